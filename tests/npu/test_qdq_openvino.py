"""The QDQ flavour in OpenVINO: it loads, its products run in 8 bits, its results are near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from intcc.backends.onnx.qdq import emit_qdq
from intcc.build import build_graph
from intcc.progress import Progress
from intcc.report.metrics import cosine
from intcc.settings import Settings
from tests.onnx_convnet import images, write_convnet
from tests.onnx_encoder import LENGTH, WORDS, feeds, write_encoder

openvino = pytest.importorskip("openvino", reason="openvino is not installed: make test-npu")
onnxruntime = pytest.importorskip("onnxruntime")
#: As in tests/test_qdq.py.
CLOSE = 0.99
#: Both run the same Q and DQ; a value on the border of two codes may fall to either side.
SAME = 0.9995


def test_convolutions(tmp_path: Path) -> None:
    path = write_convnet(tmp_path / "m.onnx")
    np.savez(tmp_path / "images.npz", pixel_values=images(1, 12))
    settings = Settings.of(calibration=tmp_path / "images.npz")
    graph = build_graph(path, settings, Progress()).graph
    given = {"pixel_values": images(5, 20)}
    exact = onnxruntime.InferenceSession(path).run(None, given)[0]
    core = openvino.Core()
    for scales in ("dyadic", "pow2"):
        made = tmp_path / f"{scales}.onnx"
        onnx.save(emit_qdq(graph.scaled, graph.integer, scales), made)
        compiled = core.compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        assert cosine(np.asarray(compiled(given)[0]), exact).mean() > CLOSE


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_openvino(norm: str, tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "m.onnx", 45, 5, 77, norm=norm)
    ids = np.random.default_rng(1).integers(0, WORDS, (12, 9))
    np.savez(tmp_path / "ids.npz", input_ids=ids)
    settings = Settings.of(max_length=LENGTH, calibration=tmp_path / "ids.npz")
    graph = build_graph(path, settings, Progress()).graph
    core = openvino.Core()
    exact = onnxruntime.InferenceSession(path)
    for scales in ("dyadic", "pow2"):
        made = tmp_path / f"{scales}.onnx"
        onnx.save(emit_qdq(graph.scaled, graph.integer, scales), made)
        other = onnxruntime.InferenceSession(made)
        options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(made), "CPU", options)
        for batch, length in ((1, 1), (1, LENGTH), (5, 11)):
            given = feeds(7 + length, batch, length)
            shown = given["attention_mask"].astype(bool)
            ours = np.asarray(compiled(given)[0])[shown]
            assert cosine(ours, exact.run(None, given)[0][shown]).mean() > CLOSE
            assert cosine(ours, other.run(None, given)[0][shown]).mean() > SAME
        kinds = [n.rt_info["layerType"].astype(str) for n in compiled.get_runtime_model().get_ops()]
        types = [
            n.rt_info["runtimePrecision"].astype(str)
            for n in compiled.get_runtime_model().get_ops()
            if n.rt_info["layerType"].astype(str).startswith("FullyConnected")
        ]
        assert len(types) == 2 * 6, kinds
        assert set(types) <= {"i8", "u8"}, types
