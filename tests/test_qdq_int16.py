"""The QDQ flavour with int16: near the float model, a pair at every real value, checks of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import intcc
from intcc.backends.onnx.qdq import emit_qdq
from intcc.backends.onnx.qdq_grid import ALL, DYADIC, POW2, WIDE, Grid
from intcc.backends.onnx.qdq_int16 import pair_everything
from intcc.build import Built
from intcc.errors import SettingsError
from intcc.flavours import qdq_model
from intcc.qparams import QParams, Role
from intcc.reach import reach_of
from intcc.report.metrics import cosine
from intcc.report.qdq import qdq_report
from intcc.runtime.ort import LEVELS
from intcc.settings import Settings
from intcc.verification.qdq import scale_findings, weight_findings
from tests.onnx_convnet import images
from tests.onnx_encoder import LENGTH, feeds
from tests.qdq_models import CLOSE, build, change, convnet, encoder, family, session

Array = npt.NDArray[Any]
KINDS = [(WIDE, DYADIC), (WIDE, POW2), (ALL, DYADIC), (ALL, POW2)]
ROOT = Path(__file__).resolve().parent.parent


def emitted(built: Built, int16: str, scales: str) -> onnx.ModelProto:
    return qdq_model(built, Settings.of(emit="qdq", int16=int16, scales=scales))


@pytest.fixture(scope="module", params=["layer", "rms"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Built]:
    return encoder(tmp_path_factory.mktemp("int16"), request.param)


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return encoder(tmp_path_factory.mktemp("layered"), "layer")[1]


@pytest.mark.parametrize(("int16", "scales"), KINDS)
def test_near_the_float_model(model: tuple[Path, Built], int16: str, scales: str) -> None:
    path, built = model
    made = emitted(built, int16, scales)
    onnx.checker.check_model(made, full_check=True)
    assert scale_findings(made, scales, int16) == []
    if scales == DYADIC:
        assert weight_findings(made, ir.to_proto(built.graph.integer)) == []
    exact = session(onnx.load(path))
    for level in LEVELS:
        ours = session(made, level)
        for batch, length in ((1, 1), (1, LENGTH), (5, 11)):
            given = feeds(99 + length, batch, length)
            shown = given["attention_mask"].astype(bool)
            a, b = (s.run(None, given)[0][shown] for s in (exact, ours))
            assert cosine(a, b).mean() > CLOSE


@pytest.mark.parametrize(("int16", "scales"), KINDS)
def test_convolutions(int16: str, scales: str, tmp_path: Path) -> None:
    path, built = convnet(tmp_path)
    made = emitted(built, int16, scales)
    onnx.checker.check_model(made, full_check=True)
    assert scale_findings(made, scales, int16) == []
    given = {"pixel_values": images(5, 20)}
    a, b = (s.run(None, given)[0] for s in (session(onnx.load(path)), session(made)))
    assert cosine(a, b).mean() > CLOSE


def test_inputs_keep_the_range_of_their_form(tmp_path: Path) -> None:
    """Images that are dark in calibration do not limit others."""
    _, built = convnet(tmp_path)
    graph = built.graph

    def dark(model: ir.Model) -> dict[str, float]:
        return {**reach_of(model, built.samples, 0), "pixel_values": 1e-3}

    made = emit_qdq(graph.scaled, graph.integer, DYADIC, ALL, dark)
    scale = next(t for t in made.graph.initializer if t.name == "pixel_values.wide.scale")
    form = graph.scaled.graph.inputs[0].meta["forms"][Role.LINEAR]
    reach = float(np.abs(form.real_bounds()).max())
    assert 1 <= float(numpy_helper.to_array(scale)) * 32767 / reach <= 2


def test_what_is_quantized(layered: Built) -> None:
    """Products keep their weights; what an operator reads is no float constant."""
    made = {k: emitted(layered, k, DYADIC) for k in (WIDE, ALL)}
    reports = {k: qdq_report(m) for k, m in made.items()}
    assert [r["quantized_weights"] for r in reports.values()] == [12, 12]
    # Inputs of products, twice where rows are laid into a matrix, queries and keys in three steps.
    assert reports[WIDE]["quantized_values"] == 2 * (2 * 4 + 3 * 2)
    assert reports[ALL]["quantized_values"] == 0
    assert reports[ALL]["int16_values"] > reports[WIDE]["int16_values"] > 40
    for proto in made.values():
        kinds = [n.op_type for n in proto.graph.node]
        assert kinds.count("Gemm") == 12
        assert [o.version for o in proto.opset_import] == [21]
        assert not any(n.op_type.endswith("Linear") and n.attribute and n.attribute[0].name ==
                       "output_dtype" for n in proto.graph.node)  # fmt: skip


def test_operators_are_those_that_qnn_quantizes(model: tuple[Path, Built]) -> None:
    """What onnxruntime's QNN provider has units of, and what makes a mask or shapes."""
    made = emitted(model[1], ALL, DYADIC)
    integers = {"Shape", "Cast", "QuantizeLinear", "DequantizeLinear"}
    units = set("Gather Reshape Flatten Transpose Unsqueeze Squeeze Slice Concat Add Sub Mul Div "
                "Softmax Gelu Clip ReduceSum LpNormalization LayerNormalization MatMul Gemm "
                "Relu".split())  # fmt: skip
    assert {n.op_type for n in made.graph.node} <= integers | units


def test_padding_changes_nothing(layered: Built) -> None:
    """The score of a hidden key saturates far enough below all others."""
    ours = session(emitted(layered, ALL, DYADIC), "disable")
    given = feeds(3, 1, 7)
    wider = {k: np.concatenate([v, np.zeros((1, 6), v.dtype)], 1) for k, v in given.items()}
    alone, padded = (ours.run(None, x)[0] for x in (given, wider))
    assert cosine(alone[0], padded[0, :7]).min() > 0.99999


def test_emission_is_deterministic(layered: Built) -> None:
    first, second = (
        emitted(layered, WIDE, POW2).SerializeToString(deterministic=True) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("int16", "scales", "ending", "work", "message"),
    [
        (WIDE, POW2, ".wide.scale", lambda a: np.float32(1.5) * a, "more than 1 significant bits"),
        (WIDE, DYADIC, ".wide.zero", lambda a: a + a.dtype.type(3), "a zero point of 3"),
        (ALL, POW2, ".linear.zero", lambda a: a.astype(np.int8), "stored as int8"),
        (WIDE, POW2, ".linear.zero", lambda a: a.astype(np.uint8), "stored as uint8"),
        (WIDE, DYADIC, ".gain.stored.scale", lambda a: a * np.float32(2), "of its layer's scales"),
        (WIDE, DYADIC, ".bias.scale", lambda a: np.float32(2) * a, "of its layer's scales"),
        (WIDE, DYADIC, ".heads.wide.scale", lambda a: a / np.float32(2), "to another scale"),
        (ALL, DYADIC, ".wide.scale", lambda a: np.repeat(a[None], 2), "activation with 2 scales"),
    ],
)
def test_findings(
    layered: Built, int16: str, scales: str, ending: str, work: Any, message: str
) -> None:
    made = emitted(layered, int16, scales)
    found = scale_findings(change(made, ending, work), scales, int16)
    assert any(message in line for line in found), found


def _pair_behind(made: onnx.ModelProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the two nodes that follow on a node."""
    readers = {name: n for n in made.graph.node for name in n.input}
    first: onnx.NodeProto = readers[node.output[0]]
    return [first, readers[first.output[0]]]


def _bypass(made: onnx.ModelProto, kind: str) -> None:
    """Let what reads the pair behind the first node of a kind read its result itself."""
    node = next(n for n in made.graph.node if n.op_type == kind)
    first, second = _pair_behind(made, node)
    assert (first.op_type, second.op_type) == ("QuantizeLinear", "DequantizeLinear")
    for reader in made.graph.node:
        for index, name in enumerate(reader.input):
            if name == second.output[0]:
                reader.input[index] = node.output[0]


def test_a_value_without_a_pair_is_found(layered: Built) -> None:
    made = emitted(layered, WIDE, DYADIC)
    _bypass(made, "Softmax")
    found = scale_findings(made, DYADIC, WIDE)
    assert any(re.search(r"Softmax_.*weights, which is not quantized at once", f) for f in found)
    assert any(re.search(r"MatMul_.*: reads .*weights, which is not quantized", f) for f in found)


def test_a_float_constant_is_found(layered: Built) -> None:
    made = emitted(layered, ALL, DYADIC)
    norm = next(n for n in made.graph.node if n.op_type == "LayerNormalization")
    made.graph.initializer.append(numpy_helper.from_array(np.ones(45, np.float32), "gain"))
    norm.input[1] = "gain"
    found = scale_findings(made, DYADIC, ALL)
    assert f"{norm.name}: reads gain, which is not quantized" in found


def test_halves_that_differ_are_found(layered: Built) -> None:
    made = emitted(layered, WIDE, DYADIC)
    node = next(n for n in made.graph.node if n.op_type == "DequantizeLinear"
                and n.input[1].endswith(".wide.scale"))  # fmt: skip
    made.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "other"))
    node.input[1] = "other"
    found = scale_findings(made, DYADIC, WIDE)
    assert any("dequantized by another scale or zero point" in line for line in found)


def test_results_and_inputs_are_quantized(tmp_path: Path) -> None:
    _, built = convnet(tmp_path)
    made = emitted(built, ALL, DYADIC)
    copy = helper.make_tensor_value_info("extra", TensorProto.FLOAT, None)
    made.graph.node.append(helper.make_node("Relu", ["pixel_values"], ["extra"], "bare"))
    made.graph.output.append(copy)
    found = scale_findings(made, DYADIC, ALL)
    assert "input pixel_values: not quantized at once" in found
    assert "output extra: not quantized" in found
    assert "bare: reads pixel_values, which is not quantized" in found


@pytest.mark.parametrize("name", ["mpnet", "vit"])
def test_families(name: str, tmp_path: Path) -> None:
    """A position bias; pixels with a mean per channel, and a token that is joined to them."""
    case = family(name, tmp_path / "model")
    for int16, scales in ((WIDE, DYADIC), (ALL, POW2)):
        made = emitted(case.built, int16, scales)
        assert scale_findings(made, scales, int16) == []
        ours = session(made).run(None, case.real)[0]
        assert cosine(ours[case.shown], case.exact[case.shown]).mean() > CLOSE


@pytest.mark.parametrize(("int16", "scales"), [(WIDE, DYADIC), (ALL, POW2)])
def test_artifact(
    int16: str, scales: str, tiny_encoder: Path, sentences: Path, tmp_path: Path
) -> None:
    """A sentence encoder: the mean over present tokens, and rows of length one."""
    intcc.compile(tiny_encoder, tmp_path / "out", emit="onnx,qdq", scales=scales, int16=int16,
                  calibration=sentences, calibration_samples=16)  # fmt: skip
    artifact = intcc.load(tmp_path / "out", "qdq").artifact
    assert (artifact.settings["int16"], artifact.report()["qdq"]["int16"]) == (int16, int16)
    verified = intcc.verify(tmp_path / "out", inputs=2, reference=2)
    assert verified.ok, [c for c in verified.checks if not c.ok]
    detail = next(c.detail for c in verified.checks if c.name == "QDQ scales and weights")
    assert detail.endswith(f"scales {scales}, int16 {int16}")
    model = onnx.load(tmp_path / "out" / "model.qdq.onnx")
    changed = change(model, ".wide.zero", lambda a: a + a.dtype.type(9))
    onnx.save(changed, tmp_path / "out" / "model.qdq.onnx")
    failed = {c.name: c.detail for c in intcc.verify(tmp_path / "out", inputs=1).checks if not c.ok}
    assert "a zero point of 9" in failed["QDQ scales and weights"]


def test_refusals() -> None:
    with pytest.raises(SettingsError, match=r"--int16 wide changes model\.qdq\.onnx only.*Add qdq"):
        Settings.of(int16="wide")
    with pytest.raises(SettingsError, match=r"--int16 'half' is not known\. Choose from: none, wi"):
        Settings.of(emit="qdq", int16="half")


def test_grids() -> None:
    assert Grid.reaching(32767.0, POW2).scale == 1.0
    assert Grid.reaching(32768.0, POW2).scale == 2.0
    fine = Grid.reaching(1.0, DYADIC)
    assert 1.0 <= fine.scale * 32767 < 1.01
    assert np.ldexp(fine.scale, 23) == np.rint(np.ldexp(fine.scale, 23))
    unsigned = Grid.of(QParams.of(0.5, 200), DYADIC)
    wide = unsigned.widened()
    assert (wide.zero, wide.dtype.name, wide.scale) == (0, "int16", 0.5 / 128)
    ends = np.array([-200, 55]) * 0.5 / wide.scale
    assert (np.abs(ends) < 2**15).all()
    signed = Grid.of(QParams.of(0.5, 128, 1, 255), DYADIC).widened()
    assert signed.scale == 0.5 / 256
    pixels = Grid.of(QParams.of([0.01, 0.02], [100.5, 3.25]), DYADIC).widened()
    assert not pixels.offset.any()


def test_reach() -> None:
    """Sums over tokens are those of the longest text, inputs are known too."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Mul", ["x", "three"], ["tripled"]),
        helper.make_node("ReduceSum", ["tripled"], ["y"], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, ["batch", "sequence"])],
        [info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(np.array(3, np.float32), "three")],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    samples = [{"x": np.array([[1, -2]], np.float32)}, {"x": np.array([[1.5, 1]], np.float32)}]
    assert reach_of(model, samples, 0) == {"x": 2.0, "tripled": 6.0, "y": 7.5}
    # 1, -2, 1.5, 1 again and again: 1.5 * 4 more
    assert reach_of(model, samples, 17)["y"] == 3 * (4 * 1.5 + 1)


def test_what_the_graph_tells_precedes() -> None:
    """A mask that calibration did not see hide anything keeps its range; 1 is 1 exactly."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "real"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [info("mask", TensorProto.INT64, [2])], [info("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
        value_info=[info("real", TensorProto.FLOAT, [2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    seen = {"real": 1.0, "y": 0.0}
    for exact in ({"real": 1.0, "y": 1.0}, {}):
        made = pair_everything(model, seen, exact, DYADIC)
        got = session(made).run(None, {"mask": np.array([0, 1])})[0].tolist()
        assert (got == [1, 0]) == bool(exact)


def test_biases_of_dead_channels(tmp_path: Path) -> None:
    """A channel without weights has the bias all the same, though its weights ask for no step."""
    random = np.random.default_rng(0)
    weight = random.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32)
    weight[3] = 0
    bias = random.normal(0, 1, 8).astype(np.float32)
    info = helper.make_tensor_value_info
    node = helper.make_node("Conv", ["pixel_values", "w", "b"], ["y"], pads=[1] * 4)
    graph = helper.make_graph(
        [node], "g", [info("pixel_values", TensorProto.FLOAT, ["batch", 3, 9, 9])],
        [info("y", TensorProto.FLOAT, ["batch", 8, 9, 9])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(proto, tmp_path / "m.onnx")
    pixels = random.normal(0, 1, (12, 3, 9, 9)).astype(np.float32)
    np.savez(tmp_path / "x.npz", pixel_values=pixels)
    built = build(tmp_path / "m.onnx", calibration=tmp_path / "x.npz")
    for int16, scales in (("none", POW2), ("none", DYADIC), *KINDS):
        made = session(emitted(built, int16, scales)).run(None, {"pixel_values": pixels})[0]
        np.testing.assert_allclose(made[:, 3], bias[3], rtol=1e-3)


def test_the_documented_way_to_unsigned_numbers(
    layered: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/npu.md makes uint16 of int16, with the same results."""
    page = (ROOT / "docs/npu.md").read_text(encoding="utf-8")
    snippet = next(s for s in re.findall(r"```python\n(.*?)```", page, re.S) if "uint16" in s)
    made = emitted(layered, ALL, DYADIC)
    (tmp_path / "out").mkdir()
    onnx.save(made, tmp_path / "out" / "model.qdq.onnx")
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    unsigned = onnx.load(tmp_path / "out" / "model.uint16.onnx")
    onnx.checker.check_model(unsigned, full_check=True)
    types = {t.data_type for t in unsigned.graph.initializer}
    assert TensorProto.INT16 not in types
    assert TensorProto.UINT16 in types
    given = feeds(1, 2, 9)
    a, b = (session(m, "disable").run(None, given)[0] for m in (made, unsigned))
    assert np.array_equal(a, b)
