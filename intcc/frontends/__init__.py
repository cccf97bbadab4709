"""Frontends: whatever the user names becomes a SourceModel with a FLOAT graph."""

from __future__ import annotations

from pathlib import Path

from intcc.errors import ModelError
from intcc.frontends.source import ImageSpec, SourceModel

__all__ = ["ImageSpec", "SourceModel", "load_source"]


def load_source(
    model: str | Path,
    *,
    task: str = "auto",
    max_length: int | None = None,
    context: int | None = None,
    rope: str = "exact",
    allow_pickle: bool = False,
) -> SourceModel:
    """Load a Hugging Face folder, a hub name or an `.onnx` file.

    A path that exists is never looked up on the network.

    Args:
        model: the folder, hub name or file.
        task: a key of `source.TASKS`, or "auto" to read it from the model.
        max_length: most tokens per sample; the tokenizer's own length, else 128, by default.
        context: most tokens that a language model sees; its positions, at most 512, by default.
        rope: angles of rotary embeddings, as transformers rounds them ("hf") or exact.
        allow_pickle: open pickled checkpoints, which can run code.

    Raises:
        ModelError: the source is missing, damaged, unsafe or of no supported kind.
        ToolError: a package that the source needs is not installed.
    """
    path = Path(model)
    text = str(model)
    if path.suffix == ".onnx" and not path.is_dir():
        from intcc.frontends.onnx import load_onnx

        return load_onnx(path, task=task, max_length=max_length)
    from intcc.frontends.huggingface import fetch, load_folder

    if path.is_dir():
        name = path.resolve().name
    elif path.exists():
        raise ModelError(
            f"File '{path}'",
            "is neither a model folder nor an .onnx file",
            "Give a Hugging Face folder, a hub name, or an .onnx file",
        )
    elif text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text or not text:
        raise ModelError(
            f"Model '{text}'", "does not exist", "Give a folder, a hub name, or an .onnx file"
        )
    else:
        path, name = fetch(text, allow_pickle), text.rsplit("/", 1)[-1]
    return load_folder(
        path,
        task=task,
        max_length=max_length,
        context=context,
        rope=rope,
        allow_pickle=allow_pickle,
        name=name,
    )
