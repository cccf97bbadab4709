"""What generation_config.json says, and what it fails to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intcc.errors import ModelError
from intcc.frontends.generation import GenerationDefaults, read_generation

CONFIG = {"bos_token_id": 1, "eos_token_id": 2}
PLAIN = GenerationDefaults(1, (2,))


@pytest.mark.parametrize(
    ("own", "config", "expected"),
    [
        (None, CONFIG, PLAIN),
        (None, {}, GenerationDefaults()),
        ({}, {"bos_token_id": None, "eos_token_id": [3, 4, 3]}, GenerationDefaults(None, (3, 4))),
        ({"eos_token_id": [5, 6]}, CONFIG, GenerationDefaults(1, (5, 6))),
        ({"bos_token_id": 0, "eos_token_id": 9}, CONFIG, GenerationDefaults(0, (9,))),
        ({"eos_token_id": "</s>", "bos_token_id": True}, CONFIG, PLAIN),
        ({"temperature": 0.6, "top_p": 0.9}, CONFIG, GenerationDefaults(1, (2,), 0.6, None, 0.9)),
        ({"top_k": 20}, CONFIG, GenerationDefaults(1, (2,), 1.0, 20, None)),
        ({"temperature": 0}, CONFIG, GenerationDefaults(1, (2,), 0.0, None, None)),
        ({"temperature": -1, "top_k": None, "top_p": 2}, CONFIG, PLAIN),
        ({"temperature": float("nan"), "top_k": "many", "top_p": False}, CONFIG, PLAIN),
        ([1], CONFIG, PLAIN),
    ],
)
def test_settings(own: Any, config: Any, expected: GenerationDefaults, tmp_path: Path) -> None:
    if own is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(own), encoding="utf-8")
    assert read_generation(tmp_path, config) == expected


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"generation_config\.json"):
        read_generation(tmp_path, CONFIG)
