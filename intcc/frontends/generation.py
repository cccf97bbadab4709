"""How a language model's texts begin, go on and end: generation_config.json, else config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intcc.frontends.sentence_transformers import read_json

__all__ = ["GenerationDefaults", "read_generation"]

#: For a model that says nothing of sampling.
TEMPERATURE, TOP_P = 0.8, 0.95


@dataclass(frozen=True)
class GenerationDefaults:
    """Settings of generation.

    Attributes:
        begin_token: the token that a text begins with, where there is one.
        end_tokens: tokens that end a text.
        temperature: divisor of the logits; 0 is greedy.
        top_k: tokens kept; None keeps all.
        top_p: share of the probability kept; None keeps all.
    """

    begin_token: int | None = None
    end_tokens: tuple[int, ...] = ()
    temperature: float = TEMPERATURE
    top_k: int | None = None
    top_p: float | None = TOP_P


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _tokens(value: Any) -> tuple[int, ...]:
    """Return the tokens of a number or a list; what is neither names none."""
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(v for v in values if _is_token(v)))


def _number(settings: Mapping[str, Any], name: str, most: float) -> float | None:
    """Return a number from 0 to `most`; what is none says nothing."""
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= most else None


def read_generation(folder: Path, config: Mapping[str, Any]) -> GenerationDefaults:
    """Read the settings of a model's folder.

    Args:
        folder: holds generation_config.json, or not.
        config: its config.json.

    Raises:
        ModelError: generation_config.json is damaged.
    """
    path = folder / "generation_config.json"
    read = read_json(path) if path.is_file() else {}
    own: Mapping[str, Any] = read if isinstance(read, dict) else {}
    begin = _tokens(own.get("bos_token_id")) or _tokens(config.get("bos_token_id"))
    end = _tokens(own.get("eos_token_id")) or _tokens(config.get("eos_token_id"))
    temperature = _number(own, "temperature", 1e6)
    top_k, top_p = _number(own, "top_k", (1 << 32) - 1), _number(own, "top_p", 1.0)
    if temperature is None and top_k is None and top_p is None:
        return GenerationDefaults(begin[0] if begin else None, end)
    return GenerationDefaults(
        begin[0] if begin else None,
        end,
        1.0 if temperature is None else temperature,
        None if top_k is None else int(top_k),
        top_p,
    )
