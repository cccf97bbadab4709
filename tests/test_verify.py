"""Verification finds what is wrong: each check is shown something that must fail it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intcc
from intcc.backends.onnx.float_tail import add_float_tail
from intcc.cli import main
from intcc.model import open_runtime
from intcc.runtime.artifact import Artifact
from intcc.runtime.ort import open_session, without_float_tail
from intcc.specs import Scale
from intcc.verification.equality import compare, open_way
from intcc.verification.float_c import compile_without_float, token_findings
from intcc.verification.float_onnx import float_findings
from intcc.verification.inputs import inputs_of, valid_positions
from intcc.verification.texts import TextRuntime


def model(
    *nodes: onnx.NodeProto,
    constants: dict[str, np.ndarray] | None = None,
    functions: list[onnx.FunctionProto] | None = None,
) -> onnx.ModelProto:
    """Build x -> nodes -> y over int32."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT32, [2])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [2])],
        [numpy_helper.from_array(a, n) for n, a in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.intcc", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions or [], ir_version=10)


def cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], target, to=kind)


def branch(kind: np.dtype) -> onnx.GraphProto:
    constant = numpy_helper.from_array(np.ones(2, kind), "inner")
    out = helper.make_tensor_value_info("b", TensorProto.INT32, [2])
    nodes = [helper.make_node("Constant", [], ["c"], value=constant), cast("c", "b", 6)]
    return helper.make_graph(nodes, "branch", [], [out])


def conditional(kind: type[np.generic]) -> onnx.ModelProto:
    node = helper.make_node(
        "If", ["t"], ["y"], then_branch=branch(np.dtype(kind)), else_branch=branch(np.dtype(kind))
    )
    return model(node, constants={"t": np.array(True)})


def function(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    body = helper.make_function("ai.intcc", "F", ["x"], ["y"], nodes, [helper.make_opsetid("", 20)])
    return model(helper.make_node("F", ["x"], ["y"], domain="ai.intcc"), functions=[body])


CLEAN = [
    model(helper.make_node("Add", ["x", "x"], ["y"])),
    model(cast("x", "a", TensorProto.INT8), cast("a", "y", TensorProto.INT32)),
    conditional(np.int32),
    function(helper.make_node("Add", ["x", "x"], ["y"])),
]


@pytest.mark.parametrize("clean", CLEAN)
def test_integer_models_have_no_findings(clean: onnx.ModelProto) -> None:
    assert float_findings(clean) == []


FLOATS = {
    "casts to FLOAT": model(cast("x", "f", TensorProto.FLOAT), cast("f", "y", TensorProto.INT32)),
    "casts to BFLOAT16": model(
        cast("x", "f", TensorProto.BFLOAT16), cast("f", "y", TensorProto.INT32)
    ),
    "initialiser 'w' is DOUBLE": model(
        helper.make_node("Add", ["x", "x"], ["y"]), constants={"w": np.ones(1)}
    ),
    "float attribute 'value_float'": model(
        helper.make_node("Constant", [], ["c"], value_float=1.0), cast("c", "y", TensorProto.INT32)
    ),
    "subgraph 'then_branch'": conditional(np.float32),
    "function ai.intcc.F": function(
        cast("x", "h", TensorProto.FLOAT16), cast("h", "y", TensorProto.INT32)
    ),
    "attribute 'value' is FLOAT16": model(
        helper.make_node(
            "Constant", [], ["c"], value=numpy_helper.from_array(np.ones(2, np.float16))
        ),
        cast("c", "y", TensorProto.INT32),
    ),
}


@pytest.mark.parametrize("words", FLOATS)
def test_float_is_found_wherever_it_hides(words: str) -> None:
    found = float_findings(FLOATS[words])
    assert any(words in line for line in found), found


def test_float_without_any_declaration_is_found() -> None:
    """Softmax of a dequantized value: no type, constant or attribute in the file says float."""
    proto = model(
        helper.make_node("DequantizeLinear", ["x", "s"], ["r"]),
        helper.make_node("Floor", ["r"], ["f"]),
        cast("f", "y", TensorProto.INT32),
        constants={"s": np.ones(1, np.float32)},
    )
    assert any("value 'f' of Floor is FLOAT" in line for line in float_findings(proto))


def test_float_tail_comes_off_again() -> None:
    proto = model(helper.make_node("Add", ["x", "x"], ["y"]))
    add_float_tail(proto, {"y": Scale(3, 2, 1)})
    onnx.checker.check_model(proto, full_check=True)
    feeds = {"x": np.array([1, -4], np.int32)}
    real = open_session(proto.SerializeToString()).run(["y"], feeds)[0]
    assert real.dtype == np.float32
    assert real.tolist() == [(2 - 1) * 0.75, (-8 - 1) * 0.75]
    assert float_findings(proto)
    bare = without_float_tail(proto)
    assert float_findings(bare) == []
    assert open_session(bare.SerializeToString()).run(None, feeds)[0].tolist() == [2, -8]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("float f(void);", "float"),
        ("typedef long double T;", "double"),
        ("int a[] = {1, 2.5};", "float literal 2.5"),
        ("int a = 1e3;", "float literal 1e3"),
        ("int a = .5f;", "float literal .5f"),
        ("int a = 0x1p3;", "float literal 0x1p3"),
        ("#include <math.h>", "includes <math.h>"),
        ("void *p = malloc(3);", "malloc, the heap"),
    ],
)
def test_float_tokens_in_c(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.c").write_text(line + "\n", encoding="utf-8")
    assert any(words in found for found in token_findings(tmp_path / "a.c"))


def test_integers_comments_and_strings_are_no_floats(tmp_path: Path) -> None:
    text = (
        '#include <stdint.h>\n#include "own.h"\n/* a float of 1.5 */ // double\n'
        'static const char *s = "float 2.5\\"";\nint a = 0x1e5 + 0xFFu + 12L + 1u; int floats;\n'
    )
    (tmp_path / "a.c").write_text(text, encoding="utf-8")
    (tmp_path / "own.h").write_text("int x;\n", encoding="utf-8")
    assert list(token_findings(tmp_path / "a.c")) == []


def test_compiler_refuses_floats(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.c", tmp_path / "bad.c"
    good.write_text("int f(int x) { return x + 1; }\n", encoding="utf-8")
    bad.write_text("int f(int x) { volatile double d = x; return (int)d; }\n", encoding="utf-8")
    assert compile_without_float([good], "gcc") == []
    assert "bad.c" in compile_without_float([good, bad], "gcc")[0]


def test_padded_positions_do_not_count() -> None:
    from intcc.specs import TensorSpec

    output = np.arange(12).reshape(2, 3, 2)
    mask = np.array([[1, 1, 1], [1, 0, 0]])
    tokens = TensorSpec("y", "int32", ("batch", "sequence", 2))
    assert valid_positions(tokens, output, mask).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    row = TensorSpec("y", "int32", ("batch", 2))
    assert valid_positions(row, output, mask) is output


DECODER_CHECKS = (
    "ranges proved",
    "onnxruntime, whole texts",
    "reference",
    "onnxruntime, 1 thread, all optimisation",
    "onnxruntime, 2 threads, disable optimisation",
    "C self-test",
    "C, cc -O3 -march=native",
)


def test_decoders_are_compared_in_pieces(decoder: Path) -> None:
    report = intcc.verify(decoder, inputs=6, reference=4)
    assert report.ok, [c for c in report.checks if not c.ok]
    assert set(DECODER_CHECKS) <= {c.name for c in report.checks}


def test_float_tail_of_a_decoder_leaves_its_caches(tmp_path: Path) -> None:
    model = Path(__file__).resolve().parent.parent / "examples/tiny_llama/model"
    intcc.compile(model, tmp_path / "out", emit="onnx", calibration_samples=4, float_io=True)
    report = intcc.verify(tmp_path / "out", inputs=4, reference=2)
    assert report.ok, [c for c in report.checks if not c.ok]


def test_texts_have_every_length_and_are_cut(decoder: Path) -> None:
    opened = Artifact.open(decoder)
    context = opened.max_length
    assert context is not None
    texts = inputs_of(opened, 12)
    assert all(set(text) == {"input_ids", "cuts"} for text in texts)
    shapes = {text["input_ids"].shape for text in texts}
    assert {1, context} <= {length for _, length in shapes} and {1, 3} == {b for b, _ in shapes}
    for text in texts:
        cuts, length = text["cuts"], text["input_ids"].shape[1]
        assert cuts[-1] == length and (np.diff([0, *cuts]) > 0).all()
        assert np.diff([0, *cuts])[1:][-2:].tolist() == [1, 1][: max(length - 1, 0)]


def test_a_backend_that_forgets_is_found(decoder: Path) -> None:
    """Empty caches in place of the earlier tokens: texts in pieces differ."""
    opened = Artifact.open(decoder)
    texts = inputs_of(opened, 4)

    class Forgetful:
        def __init__(self) -> None:
            self.runtime = open_runtime(opened, "onnx")

        def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            ids = feeds["input_ids"]
            empty = {s.name: s.empty_cache(len(ids)) for s in opened.inputs if s.cached}
            return self.runtime.run({"input_ids": ids, **empty})

    whole = TextRuntime(opened, open_runtime(opened, "onnx"), whole=True)
    expected = [whole.run(text) for text in texts]
    assert compare(opened, texts, expected, open_way(opened, "onnx")).differing == 0
    found = compare(opened, texts, expected, TextRuntime(opened, Forgetful()))
    assert found.differing and "output 'logits'" in found.first


def change_position_table(folder: Path) -> None:
    """Other angles of rotation in model.onnx."""
    path = folder / "model.onnx"
    proto = onnx.load(path)
    slices = {n.input[0] for n in proto.graph.node if n.op_type == "Slice"}
    tensor = next(t for t in proto.graph.initializer if t.name in slices and t.dims[1] > 1)
    array = numpy_helper.to_array(tensor)[:, ::-1].copy()
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)


def test_damage_of_a_decoder_is_found(decoder: Path, tmp_path: Path) -> None:
    shutil.copytree(decoder, tmp_path / "copy")
    change_position_table(tmp_path / "copy")
    report = intcc.verify(tmp_path / "copy", inputs=4, reference=4)
    failed = {c.name for c in report.checks if not c.ok}
    assert {"files match the manifest", "reference", "C, cc -O3 -march=native"} <= failed


@pytest.mark.slow
def test_stories_are_equal_everywhere(stories: Path) -> None:
    report = intcc.verify(stories, inputs=8, reference=3)
    assert report.ok, [c for c in report.checks if not c.ok]
    assert not report.skipped


def change_weight(folder: Path) -> None:
    path = folder / "model.onnx"
    proto = onnx.load(path)
    tensor = max(
        (t for t in proto.graph.initializer if t.data_type == TensorProto.INT8),
        key=lambda t: len(t.raw_data),
    )
    array = numpy_helper.to_array(tensor).copy()
    array += 1
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)


def change_integer_bias(folder: Path) -> None:
    path = folder / "integer.onnx"
    proto = onnx.load(path)
    nodes = [n for n in proto.graph.node if n.op_type == "Linear"]
    tensor = next(t for t in proto.graph.initializer if t.name == nodes[0].input[2])
    array = np.full_like(numpy_helper.to_array(tensor), 2**31 - 1)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)


def add_float_to_c(folder: Path) -> None:
    source = sorted((folder / "c").glob("*.c"))[0]
    source.write_text(source.read_text(encoding="utf-8") + "\nfloat f;\n", encoding="utf-8")


def remove_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("damage", "checks"),
    [
        (change_weight, {"files match the manifest", "reference"}),
        (change_integer_bias, {"files match the manifest", "ranges proved"}),
        (add_float_to_c, {"files match the manifest", "C sources free of float and heap"}),
        (remove_tokenizer, {"files match the manifest"}),
    ],
)
def test_damage_is_found(
    artifact: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    checks: set[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(artifact, folder)
    damage(folder)
    report = intcc.verify(folder, inputs=2, reference=2)
    assert not report.ok
    assert checks <= {c.name for c in report.checks if not c.ok}
    assert main(["verify", str(folder), "--inputs", "1", "--reference", "1"]) == 1
    assert "checks failed" in capsys.readouterr().out
