"""What every operator of the dialect keeps, whatever it computes."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import onnx
import pytest

import intcc.ops
from intcc.interval import Operand
from intcc.ops import OPERATORS
from intcc.ops.operator import DOMAIN, OPSET_VERSION, Operator
from tests.ops import harness

ALL = pytest.mark.parametrize("operator", OPERATORS.values(), ids=list(OPERATORS))
FOLDER = Path(intcc.ops.__file__).parent
#: Files that no operator is named after: the contract itself and cores that operators share.
SHARED_FILES = {
    "__init__",
    "cached",
    "exact",
    "exponential",
    "operator",
    "phases",
    "rows",
    "windows",
}


def stem(operator: Operator) -> str:
    return operator.reference.__module__.rpartition(".")[2]


def test_every_file_is_registered() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - SHARED_FILES
    assert {stem(operator) for operator in OPERATORS.values()} == files


@ALL
def test_template_and_test_have_the_same_stem(operator: Operator) -> None:
    root = Path(__file__).resolve().parents[2]
    assert (root / "tests" / "ops" / f"test_{stem(operator)}.py").is_file()
    assert (root / "templates" / "c" / "ops" / f"{stem(operator)}.c.j2").is_file()


@ALL
def test_vectors_hold_in_reference_and_onnxruntime(operator: Operator) -> None:
    assert operator.vectors
    for vector in operator.vectors:
        got = harness.check(operator, *vector.inputs, **vector.attributes)
        for y, want in zip(got, vector.outputs, strict=True):
            assert y.dtype == want.dtype
            np.testing.assert_array_equal(y, want)


@ALL
def test_bounds_hold_the_vectors(operator: Operator) -> None:
    for vector in operator.vectors:
        operands = [Operand.of_constant(x) for x in vector.inputs]
        harness.proved(operator, operands, vector.inputs, **vector.attributes)


@ALL
def test_body_is_standard_integer_onnx(operator: Operator) -> None:
    for function in (operator.function, *operator.nested):
        proto = function.to_function_proto()
        versions = {o.domain: o.version for o in proto.opset_import}
        assert versions.get("", OPSET_VERSION) == OPSET_VERSION
        nested = {f.name for f in operator.nested}
        for node in proto.node:
            assert node.domain in ("", DOMAIN.domain)
            assert node.domain == "" or node.op_type in nested
            assert node.op_type not in harness.BANNED
            for attribute in node.attribute:
                assert attribute.type not in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS)
                assert not attribute.HasField("t") or attribute.t.data_type not in harness.FLOATS
                assert attribute.name != "to" or attribute.i not in harness.FLOATS


@ALL
def test_docstring_names_the_operator_and_its_limits(operator: Operator) -> None:
    text = inspect.getdoc(inspect.getmodule(operator.reference)) or ""
    assert text.startswith(f"{operator.name}: ")
    assert "Error\n" in text or "no error" in text


@ALL
def test_function_and_reference_take_the_same_inputs(operator: Operator) -> None:
    proto = operator.function.to_function_proto()
    names = [*proto.input, *proto.attribute]
    for python in (operator.reference, operator.bounds):
        kinds = inspect.signature(python).parameters.values()
        if any(p.kind is p.VAR_POSITIONAL for p in kinds):
            continue
        assert [p.name for p in kinds] == names
