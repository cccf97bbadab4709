"""Every family of decoders in integers: equal bits however a text is cut, no noise but 8 bits.

Random weights are a hard case: nothing was trained to be robust. Extents are no powers of two, 1
to 4 query heads share a key head, windows are shorter than the text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import intcc
from intcc.generation import LOGITS, CachedSession, StateSession
from intcc.model import CompiledModel
from tests.frontends.decoders import CONTEXT, DECODERS, ids, reference, save
from tests.simulated import simulated_w8a8

Array = npt.NDArray[Any]
#: Integers may cost this much more than simulated 8-bit products in float, in decibels.
ALLOWED = 1.0
#: Ways to cut a text into calls.
CUTS = ((1, 7, 1, 2), (5, 5, 1))


def sqnr(exact: Array, real: Array) -> float:
    return float(10 * np.log10((exact**2).sum() / ((real - exact) ** 2).sum()))


def empty(model: CompiledModel, batch: int) -> dict[str, Array]:
    return {spec.name: spec.empty_cache(batch) for spec in model.inputs if spec.cached}


def in_pieces(model: CompiledModel, tokens: list[int], cut: tuple[int, ...]) -> Array:
    """Return the logits of all tokens, taken in piece by piece."""
    session = model.session()
    assert isinstance(session, CachedSession | StateSession)
    pieces, start = [], 0
    for size in (*cut, len(tokens)):
        piece = tokens[start : start + size]
        start += size
        if piece:
            pieces.append(session.feed_all(piece))
    return np.concatenate(pieces)


@pytest.fixture(scope="module", params=DECODERS)
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Any, Path]:
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name)
    torch_model = save(name, folder / "model")
    intcc.compile(folder / "model", folder / "out", context=CONTEXT, calibration_samples=24)
    return name, torch_model, folder / "out"


@pytest.mark.slow
def test_same_bits_in_every_cut_batch_and_backend(compiled: tuple[str, Any, Path]) -> None:
    _, _, folder = compiled
    onnx, c, judge = (intcc.load(folder, backend) for backend in ("onnx", "c", "reference"))
    tokens = ids(3, CONTEXT)
    whole = onnx({"input_ids": tokens, **empty(onnx, 3)})[LOGITS]
    for row, cut in zip(range(2), CUTS, strict=True):
        expected = whole[row]
        for model in (onnx, c):
            assert np.array_equal(in_pieces(model, tokens[row].tolist(), cut), expected)
        few = tokens[row, :12].tolist()
        assert np.array_equal(in_pieces(judge, few, cut), expected[:12])


@pytest.mark.slow
def test_integers_cost_nothing_beyond_8_bits(compiled: tuple[str, Any, Path]) -> None:
    name, torch_model, folder = compiled
    model = intcc.load(folder)
    texts = [ids(2, CONTEXT - short) for short in range(6)]
    exact = np.concatenate([reference(torch_model, t).ravel() for t in texts])
    ours = np.concatenate(
        [
            model.dequantize(LOGITS, model({"input_ids": t, **empty(model, 2)})[LOGITS]).ravel()
            for t in texts
        ]
    )
    with simulated_w8a8(torch_model, ternary="bitnet" in name):
        simulated = np.concatenate([reference(torch_model, t).ravel() for t in texts])
    assert sqnr(exact, ours) >= sqnr(exact, simulated) - ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_static_scales(name: str, tmp_path: Path) -> None:
    torch_model = save(name, tmp_path / "model")
    intcc.compile(
        tmp_path / "model", tmp_path / "out", context=CONTEXT, activations="static", emit="onnx"
    )
    model = intcc.load(tmp_path / "out")
    tokens = ids(2, CONTEXT)
    ours = model.dequantize(LOGITS, model({"input_ids": tokens, **empty(model, 2)})[LOGITS])
    assert sqnr(reference(torch_model, tokens), ours) > 15
    assert np.array_equal(
        in_pieces(model, tokens[0].tolist(), CUTS[0]),
        model({"input_ids": tokens, **empty(model, 2)})[LOGITS][0],
    )
