"""Read a sentence-transformers folder: modules.json, 1_Pooling/config.json, Normalize.

Transformer -> Pooling (mean of the unmasked tokens, or the first token) -> [Normalize]
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intcc.errors import ModelError

__all__ = ["Pooling", "read_json", "read_pooling"]


@dataclass(frozen=True)
class Pooling:
    """How token states become one embedding.

    Attributes:
        mode: "mean" or "cls".
        normalize: scale the embedding to length one.
    """

    mode: str
    normalize: bool

    def apply(self, hidden: Any, attention_mask: Any) -> Any:
        """Pool inside a torch trace: [B, S, C] and [B, S] to [B, C]."""
        import torch

        if self.mode == "cls":
            pooled = hidden[:, 0]
        else:
            pooled = torch.onnx.ops.symbolic(
                "ai.intcc.float::MeanPool",
                [hidden, attention_mask],
                {},
                dtype=torch.float32,
                shape=(hidden.shape[0], hidden.shape[2]),
                version=1,
            )
        if not self.normalize:
            return pooled
        return torch.onnx.ops.symbolic(
            "ai.intcc.float::L2Normalize",
            [pooled],
            {},
            dtype=torch.float32,
            shape=pooled.shape,
            version=1,
        )


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"File '{path.name}' in '{path.parent}'",
            f"cannot be read as JSON ({error})",
            "Restore the file from the model's repository",
        ) from None


def read_pooling(folder: Path) -> Pooling | None:
    """Return the pooling that `folder` asks for; None when it has no modules.json.

    Raises:
        ModelError: a module or pooling mode that has no integer form here.
    """
    if not (folder / "modules.json").is_file():
        return None
    mode, normalize = "mean", False
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
        raise ModelError(
            f"File 'modules.json' in '{folder}'",
            "is no list of modules",
            "Restore the file from the model's repository",
        )
    for module in modules:
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind == "Normalize":
            normalize = True
        elif kind == "Pooling":
            inner = folder / str(module.get("path", "1_Pooling"))
            if not inner.resolve().is_relative_to(folder.resolve()):
                raise ModelError(
                    f"Sentence encoder '{folder.name}'",
                    f"keeps its pooling outside its own folder ('{module.get('path')}')",
                    "Restore modules.json from the model's repository",
                )
            mode = _pooling_mode(inner)
        elif kind != "Transformer":
            raise ModelError(
                f"Sentence encoder '{folder.name}'",
                f"has a module of type {kind or 'unknown'}",
                "Supported: Transformer, Pooling, Normalize; compile with --task "
                "feature-extraction for the token states alone",
            )
    return Pooling(mode, normalize)


def _pooling_mode(folder: Path) -> str:
    config = read_json(folder / "config.json")
    chosen = [
        key.removeprefix("pooling_mode_")
        for key, value in config.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    if isinstance(config.get("pooling_mode"), str):  # the newer, single key
        chosen = [config["pooling_mode"]]
    names = {"mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls"}
    modes = [names.get(name) for name in chosen]
    if len(modes) != 1 or modes[0] is None:
        raise ModelError(
            f"Pooling in '{folder}'",
            f"asks for {' + '.join(chosen) or 'nothing'}",
            "Supported: the mean of the tokens, or the first token (cls)",
        )
    return modes[0]
