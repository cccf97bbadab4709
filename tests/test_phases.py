"""Rotary rows that C computes: equal bits however a text is cut, and no table in flash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import intcc
from intcc.generation import LOGITS
from intcc.ops.phases import SINE
from tests.frontends.decoders import ids, save
from tests.test_decoders import CUTS, empty, in_pieces

CONTEXT = 300


def _flash(folder: Path) -> int:
    return int(json.loads((folder / "report.json").read_text())["figures"]["flash"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pairs"), [("llama", 6), ("gpt-neox", 3), ("yarn", 10), ("gemma3", 20)]
)
def test_same_bits_and_no_table(name: str, pairs: int, tmp_path: Path) -> None:
    save(name, tmp_path / "model", max_position_embeddings=CONTEXT)
    for rope, emit in (("exact", "c"), ("phase", "onnx,c")):
        intcc.compile(
            tmp_path / "model",
            tmp_path / rope,
            context=CONTEXT,
            calibration_samples=8,
            rope=rope,
            emit=emit,
        )
    models = [intcc.load(tmp_path / "phase", backend) for backend in ("onnx", "c", "reference")]
    tokens = ids(2, CONTEXT)
    whole = models[0]({"input_ids": tokens, **empty(models[0], 2)})[LOGITS]
    for row, cut in enumerate(CUTS):
        for model in models[:2]:
            assert np.array_equal(in_pieces(model, tokens[row].tolist(), cut), whole[row])
    few = tokens[0, :12].tolist()
    assert np.array_equal(in_pieces(models[2], few, CUTS[0]), whole[0, :12])
    tables, increments = 4 * pairs * CONTEXT, 4 * pairs  # two tables of 16 bits
    saved = _flash(tmp_path / "exact") - _flash(tmp_path / "phase")
    assert saved == tables - increments - SINE.nbytes
