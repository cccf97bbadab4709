"""What the operator tests share: an operator as a model, run by onnxruntime in both forms.

Every run executes the ONNX function twice, kept as a model-local function and inlined, and
insists that both agree; the caller compares with the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, inliner

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops import OPERATORS
from intcc.ops.operator import DOMAIN, OPSET_VERSION, Attribute, Operator

Array = npt.NDArray[Any]
#: Standard operators that hold no integer meaning or cost too much per element in onnxruntime.
BANNED = {"Where", "Mod", "CastLike", "ConstantOfShape", "QuantizeLinear", "DequantizeLinear"}
FLOATS = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.BFLOAT16,
}


def generator(*seed: int) -> np.random.Generator:
    """Return the random numbers of one test."""
    return np.random.default_rng(seed)


def build(
    operator: Operator, types: Sequence[tuple[Any, int]], attributes: dict[str, Any] | None = None
) -> onnx.ModelProto:
    """Return a model of one node; dimensions are symbolic, types are (dtype, rank)."""

    def infos(prefix: str, some: Sequence[tuple[Any, int]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                f"{prefix}{i}",
                helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
                [f"{prefix}{i}_{axis}" for axis in range(rank)],
            )
            for i, (dtype, rank) in enumerate(some)
        ]

    outputs = [(v.dtype, v.ndim) for v in operator.vectors[0].outputs]
    proto = operator.function.to_function_proto()
    node = helper.make_node(
        operator.name,
        [f"x{i}" for i in range(len(types))],
        [f"y{i}" for i in range(len(outputs))],
        domain=DOMAIN.domain,
        **(attributes or {}),
    )
    assert len(proto.input) == len(types), operator.name
    results = [
        helper.make_tensor_value_info(
            f"y{i}", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None
        )
        for i, (dtype, _) in enumerate(outputs)
    ]
    graph = helper.make_graph([node], operator.name, infos("x", types), results)
    return helper.make_model(
        graph,
        functions=[f.to_function_proto() for f in (*operator.nested, operator.function)],
        opset_imports=[
            helper.make_opsetid("", OPSET_VERSION),
            helper.make_opsetid(DOMAIN.domain, DOMAIN.version),
        ],
        ir_version=10,
    )


@cache
def sessions(
    name: str, types: tuple[tuple[Any, int], ...], attributes: tuple[tuple[str, Attribute], ...]
) -> tuple[ort.InferenceSession, ...]:
    """Return the operator's model with its function kept and inlined."""
    model = build(OPERATORS[name], types, dict(attributes))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return tuple(
        ort.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for m in (model, inliner.inline_local_functions(model))
    )


def execute(operator: Operator, *inputs: Array, **attributes: Attribute) -> tuple[Array, ...]:
    """Run the ONNX function in onnxruntime, kept and inlined."""
    types = tuple((x.dtype, x.ndim) for x in inputs)
    given = tuple(attributes.items())
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    kept, inlined = (s.run(None, feeds) for s in sessions(operator.name, types, given))
    for a, b in zip(kept, inlined, strict=True):
        np.testing.assert_array_equal(a, b)
    return tuple(np.asarray(y) for y in kept)


def check(operator: Operator, *inputs: Array, **attributes: Attribute) -> tuple[Array, ...]:
    """Assert that onnxruntime equals the reference; return the result."""
    want = operator.evaluate(*inputs, **attributes)
    got = execute(operator, *inputs, **attributes)
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_array_equal(g, w)
    return want


def constants(*arrays: Array) -> tuple[Operand, ...]:
    """Wrap compile-time arrays."""
    return tuple(Operand.of_constant(a) for a in arrays)


def proved(
    operator: Operator,
    inputs: Sequence[Operand],
    values: Sequence[Array],
    **attributes: Attribute,
) -> None:
    """Assert that the results of a run lie in the proved intervals."""
    outputs = operator.evaluate(*values, **attributes)
    for interval, y in zip(operator.prove(*inputs, **attributes), outputs, strict=True):
        wide = y.astype(object)
        assert (wide >= interval.lo).all() and (wide <= interval.hi).all()


def refuses(operator: Operator, *inputs: Operand, match: str, **attributes: Attribute) -> None:
    """Assert that the range proof fails with a message."""
    with pytest.raises(RangeProofError, match=match):
        operator.prove(*inputs, **attributes)


def operand(lo: int, hi: int, *shape: int) -> Operand:
    """Return an activation whose elements lie in [lo, hi]."""
    return Operand(Interval.of(lo, hi), shape)


def i32(x: Any) -> Array:
    """Return an int32 array."""
    return np.asarray(x, np.int32)


def i64(x: Any) -> Array:
    """Return an int64 array."""
    return np.asarray(x, np.int64)


def u8(x: Any) -> Array:
    """Return a uint8 array."""
    return np.asarray(x, np.uint8)


def integers(rng: np.random.Generator, lo: int, hi: int, shape: tuple[int, ...]) -> Array:
    """Return int64 numbers in [lo, hi], the ends included with high probability."""
    x = rng.integers(lo, hi, shape, dtype=np.int64, endpoint=True)
    edges = rng.choice(np.array([lo, hi], np.int64), shape)
    return np.asarray(np.where(rng.random(shape) < 0.1, edges, x))


@dataclass(frozen=True)
class Rows:
    """A family of int32 rows for error measurements.

    Attributes:
        name: test id.
        draw: (generator, shape) to real rows of any scale.
    """

    name: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Array]

    def make(self, n: int, largest: int, count: int = 40) -> Array:
        """Return `count` rows of n elements, scaled so that the largest is `largest`."""
        real = self.draw(generator(n, largest), (count, n))
        return i32(np.rint(real / np.abs(real).max() * largest))


def _outliers(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    real = rng.normal(0, 1, shape)
    real[:, rng.integers(shape[1])] = 60
    return np.asarray(real)


ROWS = (
    Rows("gaussian", lambda rng, shape: rng.normal(0, 1, shape)),
    Rows("uniform", lambda rng, shape: rng.uniform(-1, 1, shape)),
    Rows("student", lambda rng, shape: rng.standard_t(3, shape)),
    Rows("outliers", _outliers),
)
