"""QLinear as a backend: compiled, verified, run, reported, refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intcc
from intcc.cli import main
from intcc.errors import ArtifactError, ModelError
from intcc.requantization import LARGEST_DIVISOR
from intcc.runtime.artifact import Artifact, sha256_of
from intcc.verification.float_scales import scale_constants, unscaled_floats
from tests.test_tiny import WORDS, perceptron

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def both(tiny_encoder: Path, sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny encoder, of three heads of 20, in both flavours."""
    folder = tmp_path_factory.mktemp("qlinear") / "both"
    intcc.compile(
        tiny_encoder, folder, emit="onnx,qlinear", calibration=sentences, calibration_samples=16
    )
    return folder


def checks(folder: Path) -> dict[str, tuple[bool, str]]:
    report = intcc.verify(folder, inputs=4, reference=2)
    return {c.name: (c.ok, c.detail) for c in report.checks}


def test_an_encoder_is_equal_everywhere(both: Path) -> None:
    found = checks(both)
    assert all(ok for ok, _ in found.values()), found
    assert "0 float of" in found["QLinear float in scales only"][1]
    assert "8 layers proved equal" in found["QLinear requantization"][1]
    assert "0 of" in found["QLinear, 1 thread, disable optimisation"][1]


def test_report_says_what_is_covered(both: Path) -> None:
    section = Artifact.open(both).report()["qlinear"]
    # Of its random layers only the values, which are centred, have a bias.
    assert section["operators"] == {"QLinearConv": 2, "QLinearMatMul": 6}
    assert section["kept"]["LinearWide"] == 4
    assert section["proved_equal"]
    assert section["recorded"]["differing"] == 0 < section["recorded"]["values"]
    assert {layer["differing"] for layer in section["layers"]} == {0}
    page = (both / "report.html").read_text(encoding="utf-8")
    assert "2 QLinearConv, 6 QLinearMatMul; 8 layers proved equal" in page


def test_same_bytes_again(both: Path, tiny_encoder: Path, sentences: Path, tmp_path: Path) -> None:
    """Whatever else is emitted beside it."""
    intcc.compile(
        tiny_encoder, tmp_path / "again", emit="qlinear", calibration=sentences,
        calibration_samples=16,
    )  # fmt: skip
    assert not (tmp_path / "again" / "model.onnx").exists()
    digests = [sha256_of(f / "model.qlinear.onnx") for f in (both, tmp_path / "again")]
    assert digests[0] == digests[1]
    assert all(ok for ok, _ in checks(tmp_path / "again").values())


def test_commands_take_the_backend(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for backend in ("onnx", "qlinear"):
        command = ["run", str(both), "--text", "the cat sat", "--backend", backend, "--json"]
        assert main(command) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]


def test_an_artifact_without_it_says_how_to_get_it(artifact: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no model.qlinear.onnx.*--emit onnx,c,qlinear"):
        intcc.load(artifact, "qlinear")


def tiny(path: Path, width: int = 12, weights: float = 1.0) -> Path:
    """Write the perceptron, the weights of its first unit times `weights`, and its samples."""
    path.mkdir()
    perceptron(path / "perceptron.onnx", width)
    model = onnx.load(path / "perceptron.onnx")
    first = next(i for i in model.graph.initializer if i.name == "w1")
    array = numpy_helper.to_array(first).copy()
    array[:, 0] *= weights
    first.CopyFrom(numpy_helper.from_array(array, "w1"))
    onnx.save(model, path / "perceptron.onnx")
    np.savez(path / "ids.npz", input_ids=np.random.default_rng(6).integers(0, WORDS, (12, 9)))
    return path / "perceptron.onnx"


def build(model: Path, folder: Path, **settings: Any) -> Path:
    chosen = {"emit": "onnx,qlinear", "max_length": 16, **settings}
    intcc.compile(model, folder, calibration=model.parent / "ids.npz", **chosen)
    return folder


def test_half_even_makes_all_layers_equal(tmp_path: Path) -> None:
    """A unit of weak weights has a divisor, many inputs have sums that float32 cannot hold."""
    model = tiny(tmp_path / "model", width=6000, weights=8e-4)
    sections, verified = [], []
    for rounding in ("half-up", "half-even"):
        folder = build(model, tmp_path / rounding, rounding=rounding, error_compensation=False)
        sections.append(Artifact.open(folder).report()["qlinear"])
        verified.append(checks(folder))
    (up,), (even,) = (section["layers"] for section in sections)
    assert up["divisor"] > LARGEST_DIVISOR >= even["divisor"]
    assert up["differing"] > 0 == even["differing"]
    assert [s["proved_equal"] for s in sections] == [False, True]
    assert "--rounding half-even makes all equal" in verified[0]["QLinear requantization"][1]
    assert "1 layers proved equal" in verified[1]["QLinear requantization"][1]
    assert all(ok for found in verified for ok, _ in found.values())


def test_dynamic_scales_have_no_such_operators(tmp_path: Path) -> None:
    model = tiny(tmp_path / "model")
    with pytest.raises(ModelError, match=r"no layer with 8-bit results.*--activations static"):
        build(model, tmp_path / "out", activations="dynamic")
    assert not (tmp_path / "out").exists()


def test_layers_of_32_bits_have_none_either(tmp_path: Path) -> None:
    model = onnx.load(tiny(tmp_path / "model"))
    (product,) = (n for n in model.graph.node if n.name == "up")
    (last,) = (n for n in model.graph.node if n.name == "residual")
    product.input[1], last.input[0] = "w", product.output[0]
    nodes = [n for n in model.graph.node if n.name not in ("up_bias", "act", "down")]
    square = numpy_helper.from_array(np.eye(12, dtype=np.float32), "w")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(square)
    onnx.save(model, tmp_path / "model" / "perceptron.onnx")
    with pytest.raises(ModelError, match=r"no layer with 8-bit results.*Use --emit onnx"):
        build(tmp_path / "model" / "perceptron.onnx", tmp_path / "out")


def test_float_io_leaves_it_integers(tmp_path: Path) -> None:
    settings = {"emit": "onnx,c,qlinear", "float_io": True}
    folder = build(tiny(tmp_path / "model"), tmp_path / "out", **settings)
    graph = onnx.load(folder / "model.qlinear.onnx").graph
    assert {o.type.tensor_type.elem_type for o in graph.output} == {TensorProto.INT32}
    assert sum(n.op_type == "QLinearConv" for n in graph.node) == 1
    assert all(ok for ok, _ in checks(folder).values())


def test_a_convolutional_network(tmp_path: Path) -> None:
    """3 x 3 with padding, pooling, depthwise, 1 x 1; the layer behind the mean ends in 32 bits."""
    random = np.random.default_rng(2)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "b2": (8,), "w3": (12, 8, 1, 1)}
    constants = {
        name: random.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in {**shapes, "w4": (12, 5)}.items()
    }
    graph = helper.make_graph(
        [
            node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
            node("Relu", "c1", "r1"),
            node("MaxPool", "r1", "m", kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", "m w2 b2", "c2", pads=[1, 1, 1, 1], kernel_shape=[3, 3], group=8),
            node("Relu", "c2", "r2"),
            node("Conv", "r2 w3", "c3", kernel_shape=[1, 1]),
            node("GlobalAveragePool", "c3", "p"),
            node("Flatten", "p", "f"),
            node("MatMul", "f w4", "y"),
        ],
        "cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 11, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "cnn.onnx")
    images = random.normal(0, 1, (9, 3, 11, 10)).astype(np.float32)
    np.savez(tmp_path / "images.npz", pixel_values=images)
    folder = tmp_path / "out"
    intcc.compile(
        tmp_path / "cnn.onnx", folder, emit="onnx,qlinear", calibration=tmp_path / "images.npz"
    )
    assert Artifact.open(folder).report()["qlinear"]["operators"]["QLinearConv"] >= 2
    assert all(ok for ok, _ in checks(folder).values())


def quantized(
    *nodes: onnx.NodeProto, scale: float = 0.25, constants: dict[str, Any] | None = None
) -> onnx.ModelProto:
    """Return x -> QLinearMatMul -> h -> nodes -> y in 8 bits."""
    inputs = ["x", "one", "zero", "w", "s", "w_zero", "one", "zero"]
    arrays = {
        "one": np.array(1, np.float32),
        "zero": np.array(3, np.uint8),
        "w": np.ones((2, 2), np.int8),
        "s": np.full(2, scale, np.float32),
        "w_zero": np.zeros(2, np.int8),
        **(constants or {}),
    }
    graph = helper.make_graph(
        [helper.make_node("QLinearMatMul", inputs, ["h"], "product"), *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [2, 2])],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], f"{output}_node", **attributes)


COPY = node("Identity", "h", "y")
BRANCH = helper.make_graph(
    [node("Identity", "s", "b")],
    "branch",
    [],
    [helper.make_tensor_value_info("b", TensorProto.FLOAT, [2])],
)
BAD = {
    "value 'f' of DequantizeLinear is FLOAT": quantized(
        node("DequantizeLinear", "h one zero", "f"), node("QuantizeLinear", "f one zero", "y")
    ),
    "initialiser 's' is FLOAT": quantized(node("Cast", "s", "c", to=TensorProto.UINT8), COPY),
    "initialiser 'spare' is FLOAT": quantized(COPY, constants={"spare": np.ones(1, np.float32)}),
    "initialiser 's' is DOUBLE": quantized(COPY, constants={"s": np.ones(2)}),
    "scale 's' is not positive": quantized(COPY, scale=-1.0),
    "subgraph 'then_branch'": quantized(
        COPY,
        node("If", "t", "branch", then_branch=BRANCH, else_branch=BRANCH),
        constants={"t": np.array(True)},
    ),
}


def test_scales_are_no_findings() -> None:
    assert unscaled_floats(quantized(COPY)) == []
    assert scale_constants(quantized(COPY)) == {"one", "s"}


@pytest.mark.parametrize("words", BAD)
def test_any_other_float_is_found(words: str) -> None:
    found = unscaled_floats(BAD[words])
    assert any(words in line for line in found), found


def test_a_scale_that_is_an_output_is_found() -> None:
    model = quantized(COPY)
    model.graph.output.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [2]))
    assert any("output 's' is FLOAT" in line for line in unscaled_floats(model))


def test_another_domain_is_found(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    model = onnx.load(folder / "model.qlinear.onnx")
    next(n for n in model.graph.node if n.op_type == "QLinearMatMul").domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, folder / "model.qlinear.onnx")
    failed = {name for name, (ok, _) in checks(folder).items() if not ok}
    assert {"QLinear float in scales only", "QLinear standard operators only"} <= failed


def test_broken_files_fail_their_checks(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    model = onnx.load(folder / "model.qlinear.onnx")
    next(n for n in model.graph.node if n.op_type == "QLinearMatMul").op_type = "QLinearNone"
    onnx.save(model, folder / "model.qlinear.onnx")
    graph = folder / "integer.onnx"
    graph.write_bytes(graph.read_bytes()[:-500])
    failed = {name: detail for name, (ok, detail) in checks(folder).items() if not ok}
    assert (
        "ONNX refuses it: No Op registered for QLinearNone"
        in (failed["QLinear standard operators only"])
    )
    for name in ("QLinear requantization", "ranges proved", "reference"):
        assert re.search(r"integer\.onnx' cannot be read: .*Compile the model again", failed[name])


def test_a_changed_scale_is_found(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    model = onnx.load(folder / "model.qlinear.onnx")
    scale = next(i for i in model.graph.initializer if i.name.endswith("query.query.scale"))
    array = numpy_helper.to_array(scale) * np.float32(1.1)
    scale.CopyFrom(numpy_helper.from_array(array, scale.name))
    onnx.save(model, folder / "model.qlinear.onnx")
    assert not checks(folder)["QLinear, 1 thread, all optimisation"][0]
