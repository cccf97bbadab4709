"""Hugging Face folders and hub names to a SourceModel.

A folder on disk is read without touching the network; a hub name is first fetched into the
hub's cache, then read as a folder. Weights come from safetensors; pickled checkpoints can run
code when opened and are refused unless asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from intcc.errors import ModelError, ToolError
from intcc.frontends.generation import GenerationDefaults, read_generation
from intcc.frontends.sentence_transformers import read_json, read_pooling
from intcc.frontends.source import (
    TASKS,
    ImageSpec,
    SourceModel,
    file_digest,
    identifier,
    image_spec,
    resolve_context,
    resolve_max_length,
)
from intcc.frontends.tokenizer import TextTokenizer, tokenizer_files

__all__ = ["fetch", "load_folder"]

#: What is fetched of a hub repository: everything but other frameworks' weights.
PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*/config.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ToolError(
            "Reading a Hugging Face model",
            f"needs a package that is not installed ({error.name})",
            "Run: pip install intcc[hf]",
        ) from None


def fetch(name: str, allow_pickle: bool = False) -> Path:
    """Download (or find in the cache) the hub repository `name`; return its folder.

    Raises:
        ModelError: no such repository, or no network and nothing cached.
        ToolError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ToolError(
            f"Fetching '{name}' from the hub",
            "needs huggingface_hub, which is not installed",
            "Run: pip install intcc[hf]; or give a local folder",
        ) from None
    patterns = [*PATTERNS, *(PICKLES if allow_pickle else ())]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # a dozen classes, from requests up to the hub's own
        raise ModelError(
            f"Model '{name}'",
            f"is no folder or .onnx file here, and the hub did not give it "
            f"({type(error).__name__})",
            "Check the spelling and the network, or download the repository and give its folder",
        ) from None


def _check_folder(folder: Path, allow_pickle: bool) -> dict[str, Any]:
    """Return the config of a folder that can be loaded."""
    if not any(folder.iterdir()):
        raise ModelError(f"Folder '{folder}'", "is empty", "Give a model's folder or .onnx file")
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"Folder '{folder}'",
            "holds no config.json, so it is not a Hugging Face model",
            "Give a folder with config.json and model.safetensors, or an .onnx file",
        )
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(
            f"File 'config.json' in '{folder}'",
            "names no model_type",
            "Give the folder of a transformers model",
        )
    if not any(folder.glob("*.safetensors")):
        pickles = [name for name in PICKLES if (folder / name).is_file()]
        if not pickles:
            raise ModelError(
                f"Folder '{folder}'",
                "has a config but no weights (model.safetensors)",
                "Download the weights too",
            )
        if not allow_pickle:
            raise ModelError(
                f"Folder '{folder}'",
                f"has only pickled weights ({pickles[0]}), which can run code when opened",
                "Convert them to safetensors, or pass --allow-pickle if you trust their source",
            )
    return config


def _stored_types(folder: Path) -> set[str]:
    """Element types named in the headers of all safetensors files."""
    types: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                if not 2 <= size <= path.stat().st_size - 8:
                    raise ValueError("its header is longer than the file")
                header = json.loads(stream.read(size))
            types |= {str(t["dtype"]) for key, t in header.items() if key != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"Weights '{path.name}' in '{folder}'",
                f"are damaged ({error})",
                "Download the file again",
            ) from None
    return types


def _left_out(model: Any, config: dict[str, Any], task: str) -> list[str]:
    """Tell of a head, such as token classification's, that is not compiled."""
    told, made = str((config.get("architectures") or [""])[0]), type(model).__name__
    if "For" not in told or told == made:
        return []
    return [f"{task} compiles {made}: the head of {told} is left out"]


#: Endings of architectures with a language modelling head.
_GENERATORS = ("ForCausalLM", "GPT2LMHeadModel")


def choose_task(task: str, config: dict[str, Any], pooled: bool) -> str:
    """Resolve `auto` from modules.json and the config's architecture; check any other name."""
    architecture = str((config.get("architectures") or [""])[0])
    image = any(key in config for key in ("image_size", "patch_size", "num_channels"))
    kinds = ("ForSequenceClassification", "ForImageClassification", "ClassificationWithTeacher")
    classifier = architecture.endswith(kinds)
    if task == "auto":
        if pooled:
            return "sentence-embedding"
        if architecture.endswith(_GENERATORS):
            return "text-generation"
        kind = "classification" if classifier else "feature-extraction"
        if image:
            return f"image-{kind}"
        return "text-classification" if classifier else kind
    if task not in TASKS:
        raise ModelError(f"Task '{task}'", "is not known", f"Tasks: auto, {', '.join(TASKS)}")
    if image and not task.startswith("image-") and f"image-{task}" in TASKS:
        task = f"image-{task}"
    if image != task.startswith("image-"):
        raise ModelError(
            f"Task '{task}'",
            f"does not fit the model type '{config['model_type']}'",
            "Use --task auto",
        )
    return task


def _config_image(folder: Path, config: dict[str, Any]) -> ImageSpec:
    size = config.get("image_size") or _prepared_size(folder)
    height, width = (size, size) if isinstance(size, int) else (size[0], size[1])
    return image_spec(folder, int(config.get("num_channels", 3)), int(height), int(width))


def _prepared_size(folder: Path) -> int | tuple[int, int]:
    """Return the extents of prepared images: networks of windows alone take any."""
    path = folder / "preprocessor_config.json"
    prepared = read_json(path) if path.is_file() else {}
    size = prepared.get("crop_size" if prepared.get("do_center_crop") else "size", 224)
    if isinstance(size, int):
        return size
    edge = size.get("shortest_edge", 224)
    return int(size.get("height", edge)), int(size.get("width", edge))


def _model_name(folder_name: str, config: dict[str, Any]) -> str:
    """Return the folder's name, or the name in the config where the folder's says nothing."""
    told = str(config.get("_name_or_path") or "").replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    generic = folder_name.lower() in ("", "model", "models", "checkpoint", "hf", "snapshot")
    return told if generic and told else folder_name


def load_folder(
    folder: Path,
    *,
    task: str,
    max_length: int | None,
    context: int | None,
    rope: str,
    allow_pickle: bool,
    name: str,
) -> SourceModel:
    """Load, check and trace the model in `folder`; the arguments are those of `load_source`.

    Raises:
        ModelError: the folder is not a sound model of a supported kind.
        ToolError: torch or transformers is not installed.
    """
    config = _check_folder(folder, allow_pickle)
    name = identifier(_model_name(name, config))
    types = _stored_types(folder)
    pooling = read_pooling(folder)
    task = choose_task(task, config, pooling is not None)
    generates = task == "text-generation"
    if context is not None and not generates:
        raise ModelError(
            f"--context {context}",
            f"is for language models, and the task is {task}",
            "Give the longest input with --max-length",
        )
    _require_torch()
    from intcc.frontends import tracing
    from intcc.frontends.checkpoint import load_torch
    from intcc.frontends.ternary import mark_ternary
    from intcc.frontends.tracing_decoder import registered_causal_attention, trace_decoder

    notes = [
        f"{label} weights converted to float32"
        for code, label in (("F16", "float16"), ("BF16", "bfloat16"), ("F64", "float64"))
        if code in types
    ]
    tokens = folder / "tokenizer.json"
    image = _config_image(folder, config) if task.startswith("image-") else None
    tokenizer = TextTokenizer(tokens) if tokens.is_file() and image is None else None
    with tracing.quiet(), tracing.registered_attention(), registered_causal_attention():
        model = load_torch(folder, config, task, allow_pickle)
        notes += _left_out(model, config, task)
        limit = 0 if image else tracing.max_positions(model)
        if generates:
            limit = length = resolve_context(max_length if context is None else context, limit)
            graph, found = trace_decoder(model, TASKS[task], length, rope)
            notes += found
            mark_ternary(model, graph)
        else:
            own = tokenizer.own_length if tokenizer else None
            length = 0 if image else resolve_max_length(max_length, own, limit)
            shape = (image.channels, image.height, image.width) if image else None
            if task != "sentence-embedding":
                pooling = None
            graph = tracing.trace(model, task, TASKS[task], pooling, shape)
        tracing.release(model, graph)
    graph.metadata_props.update(
        {
            "intcc.task": task,
            "intcc.name": name,
            "intcc.max_length": str(length),
        }
    )
    if limit:
        graph.metadata_props["intcc.max_positions"] = str(limit)
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors", ".bin"))
    return SourceModel(
        model=graph,
        name=name,
        task=task,
        max_length=length,
        tokenizer_files=() if image else tokenizer_files(folder),
        source={
            "kind": "huggingface",
            "model_type": config["model_type"],
            "files": {p.relative_to(folder).as_posix(): file_digest(p) for p in files},
        },
        image=image,
        notes=notes,
        tokenizer=tokenizer,
        generation=read_generation(folder, config) if generates else GenerationDefaults(),
    )
