"""Convolutional networks, end to end: compiled to both backends, verified, and close to float."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

import intcc
from intcc.frontends import load_source
from intcc.passes.canonicalize import canonicalize
from intcc.report.metrics import cosine
from intcc.stages import FLOAT, violations
from tests.frontends.families import reference
from tests.frontends.networks import NETWORKS, SIZE, save
from tests.frontends.test_families import session

Array = npt.NDArray[Any]
#: As for the families of transformers: noise of some dozen products below 2 % of the signal.
CLOSE = 0.99


@pytest.mark.parametrize("name", NETWORKS)
def test_canonical_graph_equals_torch(name: str, tmp_path: Path) -> None:
    """One Transpose turns the image; between layers there is none."""
    model = save(name, tmp_path)
    graph = canonicalize(load_source(tmp_path).model)
    assert not violations(graph.graph, FLOAT)
    assert Counter(node.op_type for node in graph.graph)["Transpose"] == 1
    run = session(graph)
    for batch in (1, 3):
        pixels = np.random.default_rng(batch).normal(0, 1, (batch, 3, *SIZE)).astype(np.float32)
        expected = reference(model, {"pixel_values": pixels})
        got = run.run(None, {"pixel_values": pixels})[0]
        # float32 sums of up to 1,000 products in another order.
        assert np.abs(got - expected).max() <= 1e-4 * max(np.abs(expected).max(), 1)


def check(folder: Path, float_model: Any) -> intcc.CompiledModel:
    """Verify an artifact and compare it with float on random images."""
    report = intcc.verify(folder, inputs=3, reference=1)
    assert report.ok, [c for c in report.checks if not c.ok]
    model = intcc.load(folder, "c")
    name = model.outputs[0].name
    shape = (24, *(int(d) for d in model.inputs[0].shape[1:]))
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    real = model.dequantize("pixel_values", pixels).astype(np.float32)
    got = model.dequantize(name, model({"pixel_values": pixels})[name])
    assert float(np.mean(cosine(got, float_model(real)))) > CLOSE
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "regnet", "mobilenet-v1"])
def test_family(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path / "model")
    intcc.compile(tmp_path / "model", tmp_path / "out", calibration_samples=24)
    check(tmp_path / "out", lambda pixels: reference(model, {"pixel_values": pixels}))


def le_net(*, pruned: bool = False) -> onnx.ModelProto:
    """Convolution, pooling and fully connected layers, as an exporter writes them.

    Args:
        pruned: whether layers behind which a Relu stands have channels without weights, whose
            results are always, never, and just at zero.
    """
    rng = np.random.default_rng(2)
    shapes = {"c1": (6, 1, 5, 5), "c2": (11, 6, 3, 3), "f1": (21, 11 * 25), "f2": (10, 21)}
    constants = []
    for name, shape in shapes.items():
        weight = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        bias = rng.normal(0, 0.1, shape[0])
        if pruned and name != "f2":
            weight[:3], bias[:3] = 0, (0.7, -0.7, 0)
        for suffix, array in (("w", weight), ("b", bias)):
            tensor = onnx.numpy_helper.from_array(array.astype(np.float32), f"{name}{suffix}")
            constants.append(tensor)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        "lenet (float[N, 1, 28, 28] image) => (float[N, 10] scores) {"
        "a = Conv<pads = [2, 2, 2, 2]>(image, c1w, c1b) b = Relu(a) "
        "c = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(b) "
        "d = Conv(c, c2w, c2b) e = Relu(d) "
        "f = AveragePool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 0>(e) "
        "g = Flatten(f) h = Gemm<transB = 1>(g, f1w, f1b) i = Relu(h) "
        "scores = Gemm<transB = 1>(i, f2w, f2b) }"
    )
    model.graph.initializer.extend(constants)
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("pruned", [False, True], ids=["whole", "pruned"])
def test_le_net_from_an_onnx_file(tmp_path: Path, pruned: bool) -> None:
    path = tmp_path / "lenet.onnx"
    onnx.save(le_net(pruned=pruned), str(path))
    intcc.compile(path, tmp_path / "out", calibration_samples=16)
    run = onnxruntime.InferenceSession(str(path))
    model = check(tmp_path / "out", lambda pixels: run.run(None, {"image": pixels})[0])
    assert model.inputs[0].shape == ("batch", 1, 28, 28)
    graph = onnx.load(str(tmp_path / "out" / "integer.onnx")).graph
    kinds = Counter(node.op_type for node in graph.node)
    # Activations are limits of their layer's bytes; the mean is a convolution onto 32 bits.
    assert kinds["Conv"] == 2 and kinds["ConvWide"] == kinds["MaxPool"] == 1
    assert not {"Relu", "Clip", "MeanPool"} & set(kinds)


def test_an_image_that_the_graph_prepares(tmp_path: Path) -> None:
    """The input on another grid, less a constant, is a value like any other."""
    path = tmp_path / "prepared.onnx"
    weight = np.random.default_rng(3).normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        "prepared (float[N, 3, 8, 7] image) => (float[N, 150] scores) "
        "<float m = {0.45}, float s = {0.225}> {"
        "a = Sub(image, m) b = Div(a, s) c = Conv(b, w) scores = Flatten(c) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, str(path))
    intcc.compile(path, tmp_path / "out", calibration_samples=16)
    run = onnxruntime.InferenceSession(str(path))
    check(tmp_path / "out", lambda pixels: run.run(None, {"image": pixels})[0])


TWO_POOLS = (
    "a = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(image) "
    "b = MaxPool<kernel_shape = [2, 1]>(a) c = Conv(b, w)"
)


@pytest.mark.parametrize(
    ("body", "shape"),
    [(TWO_POOLS, (5, 3, 2, 2)), ("c = MatMul(image, w)", (7, 5))],
    ids=["maxima", "rows"],
)
def test_what_reads_the_image_itself_takes_its_grid(
    body: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "first.onnx"
    weight = np.random.default_rng(3).normal(0, 0.3, shape).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        f"first (float[N, 3, 8, 7] image) => (float[N, C] scores) {{ {body} scores = Flatten(c) }}"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, str(path))
    intcc.compile(path, tmp_path / "out", calibration_samples=16)
    run = onnxruntime.InferenceSession(str(path))
    check(tmp_path / "out", lambda pixels: run.run(None, {"image": pixels})[0])
