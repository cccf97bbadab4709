"""Whole models on the TOSA reference model, and what `--emit tosa` writes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import intcc
from intcc.backends.tosa.emit import tosa_graph
from intcc.backends.tosa.serialize import element_types, serialize
from intcc.runtime.reference import evaluate, evaluate_node
from intcc.runtime.tosa import TosaModel
from intcc.specs import PAST
from tests.c.cases_cache import decoder
from tests.c.encoder import encoder
from tests.npu.tosa_bench import differences, specs
from tests.test_tiny import WORDS, perceptron

pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed: make test-npu")


def traced(name: str) -> ir.Model:
    """Return a model that `make test-npu` has compiled where torch is."""
    folder = os.environ.get("INTCC_NPU_MODELS")
    if not folder:
        pytest.skip("INTCC_NPU_MODELS names no folder of compiled models: make test-npu")
    return ir.load(Path(folder) / f"{name}.onnx")


@pytest.mark.parametrize(
    ("name", "extents", "lacking"),
    [
        ("tiny_bert", {"sequence": 12}, ()),
        ("tiny_bert", {"sequence": 12}, ("INTDIV", "REDUCE_MAX")),
        ("tiny_llama", {"sequence": 1, PAST: 9}, ()),
    ],
)
def test_traced_models(name: str, extents: dict[str, int], lacking: tuple[str, ...]) -> None:
    model, sizes = traced(name), {"batch": 1, **extents}
    flatbuffer = serialize(tosa_graph(model, sizes, evaluate_node, lacking))
    runtime = TosaModel(flatbuffer, specs(model.graph.inputs), specs(model.graph.outputs))
    for seed in range(4):
        random, feeds = np.random.default_rng(seed), {}
        for value in model.graph.inputs:
            assert value.shape is not None and value.dtype is not None
            shape = [d if isinstance(d, int) else sizes[str(d)] for d in value.shape]
            lo, hi = (int(v) for v in value.metadata_props["intcc.range"].split())
            numbers = random.integers(lo, hi, shape, endpoint=True)
            feeds[str(value.name)] = numbers.astype(value.dtype.numpy())
        with np.errstate(over="ignore"):
            expected = evaluate(model, feeds)
        got = runtime.run(feeds)
        assert all((got[k] == v).all() for k, v in expected.items())


def test_tiny_encoder() -> None:
    assert differences(encoder(), [(1, 1), (24, 1)]) == []


def test_tiny_decoder() -> None:
    assert differences(decoder(), [(1, 9), (4, 3)], ("random", "mix")) == []


def cnn(path: Path) -> None:
    """Write Conv -> Relu -> MaxPool -> depthwise Conv -> Relu -> Gemm, as an exporter would."""
    random = np.random.default_rng(2)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(0, 0.4, shape).astype(np.float32), name)

    node = helper.make_node
    nodes = [
        node("Conv", ["pixel_values", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"], "relu1"),
        node("MaxPool", ["r1"], ["p1"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2", "b2"], ["c2"], "depthwise", group=6, strides=[2, 2]),
        node("Relu", ["c2"], ["r2"], "relu2"),
        node("Flatten", ["r2"], ["f"], "flatten"),
        node("Gemm", ["f", "w3", "b3"], ["logits"], "classes", transB=1),
    ]
    weights = [constant("w1", 6, 2, 3, 3), constant("b1", 6), constant("w2", 6, 1, 3, 3)]
    weights += [constant("b2", 6), constant("w3", 5, 24), constant("b3", 5)]
    image = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 2, 12, 12])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])
    graph = helper.make_graph(nodes, "cnn", [image], [logits], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)


@pytest.fixture(scope="module", params=["perceptron", "cnn"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    random = np.random.default_rng(6)
    if request.param == "cnn":
        cnn(folder / "model.onnx")
        np.savez(
            folder / "inputs.npz", pixel_values=random.normal(size=(12, 2, 12, 12)).astype("f4")
        )
    else:
        perceptron(folder / "model.onnx")
        np.savez(folder / "inputs.npz", input_ids=random.integers(0, WORDS, (12, 9)))
    calibration = folder / "inputs.npz"
    for name in ("out", "again"):
        intcc.compile(
            folder / "model.onnx",
            folder / name,
            calibration=calibration,
            max_length=16,
            emit="tosa",
        )
    return folder


def test_artifact(compiled: Path) -> None:
    """Verification runs the flatbuffer; nothing is skipped."""
    report = intcc.verify(compiled / "out")
    assert report.ok and not report.skipped, (report.checks, report.skipped)
    assert {"TOSA free of float", "TOSA reference model"} <= {c.name for c in report.checks}
    assert all("0 of" in c.detail for c in report.checks if c.name == "TOSA reference model")


def test_same_bytes(compiled: Path) -> None:
    digests = {
        hashlib.sha256((compiled / name / "npu/model.tosa").read_bytes()).hexdigest()
        for name in ("out", "again")
    }
    assert len(digests) == 1


def test_only_integers(compiled: Path) -> None:
    types = set(element_types(compiled / "out/npu/model.tosa").values())
    assert {"INT8", "INT32"} <= types <= {"INT8", "INT16", "INT32", "SHAPE"}


def test_verification_sees_other_weights(compiled: Path, tmp_path: Path) -> None:
    """A graph of other numbers is told so."""
    folder = tmp_path / "changed"
    shutil.copytree(compiled / "out", folder)
    model = ir.load(folder / "integer.onnx")
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        if value.const_value.dtype == ir.DataType.INT8 and value.const_value.size > 50:
            value.const_value = ir.tensor(np.asarray(value.const_value.numpy())[::-1].copy())
            break
    ir.save(model, folder / "integer.onnx")
    report = intcc.verify(folder)
    assert not report.ok
    failed = {c.name for c in report.checks if not c.ok}
    assert "TOSA reference model" in failed


def test_verification_without_the_tools(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tosa_serializer", "tosa_reference_model"):
        monkeypatch.setitem(sys.modules, name, None)
    report = intcc.verify(compiled / "out")
    assert report.ok
    assert set(report.skipped) == {"TOSA free of float", "TOSA reference model"}
    assert "pip install 'intcc[npu]'" in report.skipped["TOSA reference model"]
