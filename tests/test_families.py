"""Every family, end to end: compiled to both backends, verified, and close to torch.

Random weights are a hard case: nothing was trained to be robust, and calibration inputs are random
too. Extents are no powers of two: hidden 60, 3 heads, inner 77, odd lengths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import intcc
from intcc.report.metrics import cosine
from intcc.verification.inputs import valid_positions
from tests.frontends.families import FAMILIES, feeds, reference, save

Array = npt.NDArray[Any]
LENGTH = 21
#: Two layers of random weights at 8 bits: 1 - cosine is half the noise-to-signal ratio, and the
#: noise of about 30 products with 7 to 8 bits each stays below 2 % of the signal.
CLOSE = 0.99
#: (batch, length) of the inputs. A classifier of three numbers gives one short row a text or an
#: image, and the direction of few such rows says nothing about the mean noise: they come by the
#: dozen.
TEXTS = ((1, 1), (1, LENGTH), (12, 13))
IMAGES = ((1, 1), (12, 2))


def check(name: str, folder: Path, **settings: Any) -> None:
    torch_model = save(name, folder / "model")
    intcc.compile(
        folder / "model", folder / "out", max_length=None if "vit" in name or "deit" in name
        else LENGTH, calibration_samples=24, **settings,
    )  # fmt: skip
    report = intcc.verify(folder / "out", inputs=6, reference=6)
    assert report.ok, [c for c in report.checks if not c.ok]
    model = intcc.load(folder / "out", "c")
    spec = model.outputs[0]
    pairs = "token_type_ids" in [s.name for s in model.inputs]
    real_rows: list[Array] = []
    exact_rows: list[Array] = []
    for batch, length in IMAGES if "pixel_values" in [s.name for s in model.inputs] else TEXTS:
        given = feeds(name, batch, length, pairs)
        integers = given
        if "pixel_values" in given:
            random = np.random.default_rng(length)
            shape = given["pixel_values"].shape
            integers = {"pixel_values": random.integers(0, 256, shape, dtype=np.uint8)}
            pixels = model.dequantize("pixel_values", integers["pixel_values"])
            given = {"pixel_values": pixels.astype(np.float32)}
        exact = reference(torch_model, given)
        real = model.dequantize(spec.name, model(integers)[spec.name])
        mask = given.get("attention_mask")
        for rows, x in ((real_rows, real), (exact_rows, exact)):
            rows.append(valid_positions(spec, x, mask).reshape(-1, exact.shape[-1]))
        if "pixel_values" not in given:
            assert float(np.mean(cosine(real_rows[-1], exact_rows[-1]))) > CLOSE
    assert float(np.mean(cosine(np.concatenate(real_rows), np.concatenate(exact_rows)))) > CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_family(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "mpnet", "vit"])
def test_family_with_scales_per_token(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, activations="dynamic")


@pytest.mark.slow
def test_a_rescale_by_powers_of_two(tmp_path: Path) -> None:
    check("bert", tmp_path, rescale="pow2")
    model = onnx.load(tmp_path / "out" / "integer.onnx")
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    divisors = [constants[n.input[3]] for n in model.graph.node if n.op_type == "Linear"]
    assert divisors and all((d & (d - 1) == 0).all() for d in divisors)
