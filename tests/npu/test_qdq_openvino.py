"""The QDQ flavour in OpenVINO: it loads, its products run in 8 bits, its results are near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from intcc.backends.onnx.qdq_grid import ALL, DYADIC, NONE, POW2, WIDE
from intcc.build import Built
from intcc.flavours import qdq_model
from intcc.report.metrics import cosine
from intcc.settings import Settings
from tests.onnx_convnet import images
from tests.onnx_encoder import LENGTH, feeds
from tests.qdq_models import CLOSE, convnet, encoder, session

openvino = pytest.importorskip("openvino", reason="openvino is not installed: make test-npu")
#: Both run the same Q and DQ; a value on the border of two codes may fall to either side.
SAME = 0.9995
#: OpenVINO 2026.4 takes int16 pairs away, and computes in float there.
SAME_INT16 = 0.997
KINDS = [(NONE, DYADIC), (NONE, POW2), (WIDE, DYADIC), (WIDE, POW2), (ALL, DYADIC), (ALL, POW2)]


def opened(built: Built, int16: str, scales: str, folder: Path) -> tuple[Any, Any]:
    """Return OpenVINO's model and onnxruntime's."""
    model = qdq_model(built, Settings.of(emit="qdq", int16=int16, scales=scales))
    onnx.save(model, folder / "made.onnx")
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return core.compile_model(core.read_model(folder / "made.onnx"), "CPU", options), session(model)


def precisions(compiled: Any, kind: str) -> list[str]:
    """Return the precisions in which operators of a kind run."""
    return [
        n.rt_info["runtimePrecision"].astype(str)
        for n in compiled.get_runtime_model().get_ops()
        if n.rt_info["layerType"].astype(str).startswith(kind)
    ]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    return convnet(tmp_path_factory.mktemp("convnet"))


@pytest.fixture(scope="module", params=["layer", "rms"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Built]:
    return encoder(tmp_path_factory.mktemp("encoder"), request.param)


@pytest.mark.parametrize(("int16", "scales"), KINDS)
def test_convolutions(network: tuple[Path, Built], int16: str, scales: str, tmp_path: Path) -> None:
    path, built = network
    compiled, _ = opened(built, int16, scales, tmp_path)
    given = {"pixel_values": images(5, 20)}
    exact: npt.NDArray[Any] = session(onnx.load(path)).run(None, given)[0]
    assert cosine(np.asarray(compiled(given)[0]), exact).mean() > CLOSE
    if int16 != ALL:
        assert set(precisions(compiled, "Convolution")) <= {"i8", "u8"}


@pytest.mark.parametrize(("int16", "scales"), KINDS)
def test_encoder(model: tuple[Path, Built], int16: str, scales: str, tmp_path: Path) -> None:
    path, built = model
    compiled, other = opened(built, int16, scales, tmp_path)
    exact = session(onnx.load(path))
    for batch, length in ((1, 1), (1, LENGTH), (5, 11)):
        given = feeds(7 + length, batch, length)
        shown = given["attention_mask"].astype(bool)
        ours = np.asarray(compiled(given)[0])[shown]
        assert cosine(ours, exact.run(None, given)[0][shown]).mean() > CLOSE
        same = SAME if int16 == NONE else SAME_INT16
        assert cosine(ours, other.run(None, given)[0][shown]).mean() > same
    types = precisions(compiled, "FullyConnected")
    assert len(types) == 2 * 6
    assert set(types) <= {"i8", "u8"}
