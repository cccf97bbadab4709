"""The whole path in seconds, without torch: a small ONNX file becomes integers on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intcc

WIDTH, INNER, WORDS = 12, 20, 30


def perceptron(path: Path, width: int = WIDTH) -> None:
    """Write embedding -> LayerNormalization -> MatMul -> Gelu -> MatMul -> + residual."""
    random = np.random.default_rng(5)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(0, 0.4, shape).astype(np.float32), name)

    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Gather", ["table", "input_ids"], ["x"], "embed"),
            node("LayerNormalization", ["x", "gain", "shift"], ["n"], "norm", epsilon=1e-5),
            node("MatMul", ["n", "w1"], ["m"], "up"),
            node("Add", ["m", "b1"], ["h"], "up_bias"),
            node("Gelu", ["h"], ["g"], "act"),
            node("MatMul", ["g", "w2"], ["d"], "down"),
            node("Add", ["d", "x"], ["result"], "residual"),
        ],
        "perceptron",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", "sequence", width])],
        [
            constant("table", WORDS, width),
            constant("gain", width),
            constant("shift", width),
            constant("w1", width, INNER),
            constant("b1", INNER),
            constant("w2", INNER, width),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    perceptron(folder / "perceptron.onnx")
    random = np.random.default_rng(6)
    np.savez(folder / "ids.npz", input_ids=random.integers(0, WORDS, (12, 9)))
    intcc.compile(folder / "perceptron.onnx", folder / "out", calibration=folder / "ids.npz",
                  max_length=16)  # fmt: skip
    return folder / "out"


def test_every_check_passes(compiled: Path) -> None:
    report = intcc.verify(compiled, inputs=6, reference=6)
    assert report.ok, [c for c in report.checks if not c.ok]


def test_result_is_close_to_float(compiled: Path) -> None:
    import onnxruntime

    model = intcc.load(compiled)
    session = onnxruntime.InferenceSession(compiled.parent / "perceptron.onnx")
    feeds = {"input_ids": np.arange(WORDS)[None, :16]}
    exact = session.run(None, feeds)[0]
    name = model.outputs[0].name
    real = model.dequantize(name, model(feeds)[name])
    noise = np.sqrt(np.mean((real - exact) ** 2) / np.mean(exact**2))
    # Two 8-bit activations and two 8-bit weights of equal share: about 1 % of the signal.
    assert noise < 0.02


@pytest.mark.parametrize(
    "settings",
    [
        {"emit": "onnx", "keep_functions": True},
        {"emit": "onnx", "keep_functions": True, "float_io": True},
        {"emit": "c"},
        {"observer": "mse", "emit": "onnx"},
        {"observer": "percentile", "error_compensation": False, "emit": "onnx"},
        {"activations": "dynamic"},
    ],
    ids=str,
)
def test_other_settings(compiled: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    source = compiled.parent
    folder = tmp_path / "out"
    intcc.compile(source / "perceptron.onnx", folder, calibration=source / "ids.npz",
                  max_length=16, **settings)  # fmt: skip
    report = intcc.verify(folder, inputs=3, reference=3)
    assert report.ok, [c for c in report.checks if not c.ok]
    if settings.get("keep_functions"):
        assert {f.domain for f in onnx.load(folder / "model.onnx").functions} == {"ai.intcc"}
