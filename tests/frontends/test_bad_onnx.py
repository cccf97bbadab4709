"""ONNX files that nobody should trust: one message each, and no read outside the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from intcc.errors import IntccError, ModelError, UnsupportedOperatorError
from intcc.frontends import load_source
from intcc.passes.canonicalize import canonicalize

WIDTH, WORDS = 12, 30


def encoder(opset: int = 18) -> onnx.ModelProto:
    """Embedding, one linear layer."""
    random = np.random.default_rng(5)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(0, 1, shape).astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["x"], "embed"),
            helper.make_node("MatMul", ["x", "weight"], ["m"], "linear"),
            helper.make_node("Add", ["m", "bias"], ["result"], "shift"),
        ],
        "encoder",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", "length", WIDTH])],
        [
            constant("table", WORDS, WIDTH),
            constant("weight", WIDTH, WIDTH),
            constant("bias", WIDTH),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def write(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "encoder.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refused(path: Path, *fragments: str, kind: type[IntccError] = ModelError) -> None:
    with pytest.raises(kind) as caught:
        canonicalize(load_source(path).model)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert "\n" not in message and caught.value.remedy


def changed(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = encoder()
    change(model)
    return write(model, folder)


def test_sound_file_is_accepted(tmp_path: Path) -> None:
    source = load_source(write(encoder(), tmp_path))
    assert (source.task, source.name, source.input_names) == (
        "feature-extraction", "encoder", ("input_ids",))  # fmt: skip
    canonicalize(source.model)


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "none.onnx' does not exist")


@pytest.mark.parametrize("content", [b"", b"hello, world", b"\x08", b"\x00" * 64, b"\xff" * 64])
def test_no_onnx(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    refused(path, "m.onnx'")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(share: float, tmp_path: Path) -> None:
    path = write(encoder(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "encoder.onnx'")


def test_flipped_bytes_never_escape_as_other_errors(tmp_path: Path) -> None:
    content = encoder().SerializeToString()
    random = np.random.default_rng(1)
    path = tmp_path / "m.onnx"
    for _ in range(150):
        damaged = bytearray(content)
        # The weights fill most of the file; the graph is behind them and before them.
        for at in random.choice([*range(150), *range(len(content) - 250, len(content))], 3):
            damaged[at] = random.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            canonicalize(load_source(path).model)
        except IntccError as error:
            assert error.remedy, error


def test_old_opset(tmp_path: Path) -> None:
    refused(write(encoder(16), tmp_path), "opset 16", "older than 17", "Export it again")


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21, 22, 23, 24])
def test_every_newer_opset(opset: int, tmp_path: Path) -> None:
    canonicalize(load_source(write(encoder(opset), tmp_path)).model)


def external(model: onnx.ModelProto, location: str, **fields: int) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **fields}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "a/../../secret", "", "..\\secret"]
)
def test_external_data_outside_the_folder(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(WIDTH * WIDTH * 4))
    (tmp_path / "model").mkdir()
    path = changed(tmp_path / "model", lambda m: external(m, location))
    refused(path, "External data of tensor 'weight'", "outside the model's folder")


def test_external_data_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(WIDTH * WIDTH * 4))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").symlink_to("../secret")
    path = changed(tmp_path / "model", lambda m: external(m, "weights"))
    refused(path, "outside the model's folder")


def test_external_data_missing_or_short(tmp_path: Path) -> None:
    refused(changed(tmp_path, lambda m: external(m, "weights")), "are missing ('weights')")
    (tmp_path / "weights").write_bytes(bytes(100))
    refused(changed(tmp_path, lambda m: external(m, "weights")), "do not fit", "of 100 bytes")
    (tmp_path / "weights").write_bytes(bytes(WIDTH * WIDTH * 4))
    refused(changed(tmp_path, lambda m: external(m, "weights", offset=8)), "do not fit")
    refused(changed(tmp_path, lambda m: external(m, "weights", offset=-8)), "do not fit")


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(WIDTH * WIDTH * 4))
    source = load_source(changed(tmp_path, lambda m: external(m, "weights")))
    assert set(source.source["files"]) == {"encoder.onnx", "weights"}
    (tmp_path / "weights").unlink()  # read completely, not mapped
    canonicalize(source.model)


@pytest.mark.parametrize("extents", [[2**40, 2**40], [-1, 12], [2**62], [0, 2**50]])
def test_absurd_weight(extents: list[int], tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[1].dims[:]
        model.graph.initializer[1].dims.extend(extents)

    refused(changed(tmp_path, change), "Tensor 'weight'")


def test_weight_with_too_few_bytes(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[1].raw_data = bytes(100)

    refused(changed(tmp_path, change), "holds 100 bytes", "[12, 12] needs 576")


@pytest.mark.parametrize("extent", [2**40, 0, -5])
def test_absurd_input(extent: int, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        dim = model.graph.input[0].type.tensor_type.shape.dim[0]
        dim.Clear()
        dim.dim_value = extent

    refused(changed(tmp_path, change), "'input_ids'", "absurd shape")


def test_absurd_intermediate(tmp_path: Path) -> None:
    """A few bytes that ask for 2**60 elements are not obeyed."""

    def change(model: onnx.ModelProto) -> None:
        shape = numpy_helper.from_array(np.array([2**30, 2**30]), "huge")
        model.graph.initializer.append(shape)
        model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["zeros"], "fill"))
        model.graph.node.insert(1, helper.make_node("ReduceSum", ["zeros"], ["zero"], "sum"))
        model.graph.node.append(helper.make_node("Add", ["result", "zero"], ["more"], "last"))
        model.graph.output[0].name = "more"

    refused(changed(tmp_path, change), kind=IntccError)


def test_cycle(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].input[0] = "result"

    refused(changed(tmp_path, change), "'linear' reads 'result'", "cycle or is out of order")


def test_value_that_nothing_computes(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].input[0] = "ghost"

    refused(changed(tmp_path, change), "'linear' reads 'ghost', which nothing computes")


def test_wrong_types(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[2].CopyFrom(
            numpy_helper.from_array(np.arange(WIDTH, dtype=np.int32), "bias")
        )

    refused(changed(tmp_path, change), "is not valid ONNX")


def test_wrong_shapes(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[1].dims[:] = [9, 16]

    refused(changed(tmp_path, change), "is not valid ONNX")


def test_unknown_operator(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[2].op_type = "Addd"

    refused(changed(tmp_path, change), "is not valid ONNX", "Addd")


@pytest.mark.parametrize(
    ("kind", "nearest"),
    [("LeakyRelu", "Nearest supported: Relu; `intcc ops`"), ("Neg", "rule. `intcc ops` lists")],
)
def test_operator_without_a_rule(kind: str, nearest: str, tmp_path: Path) -> None:
    """Names are suggested where they are alike: Not is no help for Neg."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[2].op_type = kind
        del model.graph.node[2].input[1]

    text = f"{kind} 'shift' of shape [batch, sequence, 12]"
    fragments = (text, "has no integer rule", nearest)
    refused(changed(tmp_path, change), *fragments, kind=UnsupportedOperatorError)


def test_operator_of_a_foreign_domain(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[2].domain = "com.example"
        model.opset_import.append(helper.make_opsetid("com.example", 1))

    refused(changed(tmp_path, change), "com.example::Add 'shift'", kind=UnsupportedOperatorError)


def test_unknown_inputs(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = "notes"
        model.graph.node[0].input[1] = "notes"

    refused(changed(tmp_path, change), "'notes' INT64", "Supported: input_ids")


def test_float_ids(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
        cast = helper.make_node("Cast", ["input_ids"], ["integers"], to=TensorProto.INT64)
        model.graph.node.insert(0, cast)
        model.graph.node[1].input[1] = "integers"

    refused(changed(tmp_path, change), "'input_ids' has type FLOAT", "int64 [batch, sequence]")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        array = numpy_helper.to_array(model.graph.initializer[1]).copy()
        array[3, 4] = value
        model.graph.initializer[1].CopyFrom(numpy_helper.from_array(array, "weight"))

    refused(changed(tmp_path, change), "Weight 'weight'", "1 NaN or infinite value")


def test_float16_weights_are_converted(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16

    source = load_source(changed(tmp_path, change))
    assert source.notes == ["float16 weights converted to float32"]
    graph = canonicalize(source.model).graph
    assert {out.dtype.name for node in graph for out in node.outputs if out.dtype} == {"FLOAT"}


def test_unknown_task(tmp_path: Path) -> None:
    path = write(encoder(), tmp_path)
    with pytest.raises(ModelError, match="Task 'poetry' is not known"):
        load_source(path, task="poetry")
    with pytest.raises(ModelError, match="does not fit the inputs"):
        load_source(path, task="image-classification")
    with pytest.raises(ModelError, match="no attention_mask"):
        load_source(path, task="sentence-embedding")


def test_importing_needs_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = write(encoder(), tmp_path)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from intcc.frontends import load_source\n"
        "from intcc.passes.canonicalize import canonicalize\n"
        f"canonicalize(load_source({str(path)!r}).model)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
