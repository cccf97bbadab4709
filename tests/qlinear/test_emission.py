"""QLinear models of single layers: the same bits as the strict ones, whatever the shape."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnx import TensorProto

from intcc.backends.onnx.clean import initializer
from intcc.backends.onnx.qlinear import emit
from intcc.backends.onnx.strict import emit as emit_strict
from intcc.report.qlinear import describe
from intcc.runtime.ort import LEVELS, open_session
from tests.ops.test_conv import GEOMETRIES, attributes, case

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(11)


def linear(
    shape: tuple[int | str, ...],
    n: int,
    *,
    divisor: Array,
    bias: Array | None = None,
    zeros: tuple[int, int] = (128, 100),
    limits: tuple[int, int] = (0, 255),
    weight: Array | None = None,
) -> ir.Model:
    """Return a model of one Linear; without a bias, one of zero points alone."""
    k = int(shape[-1])
    x = ir.Value(name="x", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.UINT8))
    y = ir.Value(name="y", shape=ir.Shape((*shape[:-1], n)), type=ir.TensorType(ir.DataType.UINT8))
    graph = ir.Graph([x], [y], nodes=[], opset_imports={"": 20, "ai.intcc": 1}, name="g")
    if weight is None:
        weight = RANDOM.integers(-64, 65, (k, n)).astype(np.int8)
    whole = zeros[1] * divisor + (divisor - 1) // 2 - zeros[0] * weight.astype(np.int64).sum(0)
    arrays: dict[str, Array] = {
        "w": weight,
        "b": np.asarray(whole + (0 if bias is None else bias), np.int32),
        "d": np.asarray(divisor, np.int32),
        "lo": np.array(limits[0], np.int32),
        "hi": np.array(limits[1], np.int32),
    }
    inputs = [x, *(initializer(graph, name, array) for name, array in arrays.items())]
    graph.append(ir.Node("ai.intcc", "Linear", inputs, outputs=[y], name="layer"))
    return ir.Model(graph, ir_version=10)


def convolution(geometry: tuple[Any, ...], most: int) -> tuple[ir.Model, Array]:
    """Return a model of one Conv with weights up to `most`, and an image."""
    x, *arrays = case(RANDOM, geometry)
    arrays[1] = np.clip(arrays[1], -most, most)
    arrays[1].flat[0] = most
    options = {
        name: value if isinstance(value, int) else list(value)
        for name, value in attributes(geometry).items()
    }
    extents = [ir.SymbolicDim("b"), ir.SymbolicDim("h"), ir.SymbolicDim("w")]
    image = ir.Value(
        name="x", shape=ir.Shape([*extents, x.shape[-1]]), type=ir.TensorType(ir.DataType.UINT8)
    )
    y = ir.Value(
        name="y",
        shape=ir.Shape(["b", "oh", "ow", len(arrays[1])]),
        type=ir.TensorType(ir.DataType.UINT8),
    )
    graph = ir.Graph([image], [y], nodes=[], opset_imports={"": 20, "ai.intcc": 1}, name="g")
    inputs = [image, *(initializer(graph, f"c{i}", np.asarray(a)) for i, a in enumerate(arrays))]
    graph.append(ir.node("Conv", inputs, options, domain="ai.intcc", outputs=[y], name="layer"))
    return ir.Model(graph, ir_version=10), x


@pytest.mark.parametrize("most", [64, 127])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_windows_of_any_geometry(geometry: tuple[Any, ...], most: int) -> None:
    """Weights are signed where no two products pass int16, as kernels without VNNI add them."""
    model, x = convolution(geometry, most)
    proto, coverage = emit(model)
    assert coverage.proved
    assert [layer.operator for layer in coverage.layers] == ["QLinearConv"]
    stored = next(i for i in proto.graph.initializer if i.name == "y.qlinear_weight")
    assert stored.data_type == (TensorProto.INT8 if most == 64 else TensorProto.UINT8)
    strict = open_session(emit_strict(model).SerializeToString())
    for level in LEVELS:
        session = open_session(proto.SerializeToString(), level=level)
        for image in (x, np.concatenate([255 - x, x])):
            wanted, got = (s.run(None, {"x": image})[0] for s in (strict, session))
            np.testing.assert_array_equal(got, wanted)


def divisors(n: int) -> npt.NDArray[np.int64]:
    return 2 * RANDOM.integers(20, 300, n) + 1


def require_equal(model: ir.Model, *extents: tuple[int, ...]) -> Counter[str]:
    """Compare both flavours on random inputs at all optimisation levels; return the operators."""
    proto, coverage = emit(model)
    assert coverage.proved
    strict = open_session(emit_strict(model).SerializeToString())
    seen = set[int]()
    for level in LEVELS:
        session = open_session(proto.SerializeToString(), level=level)
        for shape in extents:
            x = RANDOM.integers(0, 256, shape).astype(np.uint8)
            wanted, got = strict.run(None, {"x": x})[0], session.run(None, {"x": x})[0]
            assert got.dtype == np.uint8
            seen.update(wanted.ravel().tolist())
            np.testing.assert_array_equal(got, wanted)
    assert len(seen) > 1
    return Counter(node.op_type for node in proto.graph.node)


@pytest.mark.parametrize("k", [1, 2, 3, 17, 64, 129])
@pytest.mark.parametrize("n", [1, 5, 16, 67])
def test_convolutions_of_odd_shapes(k: int, n: int) -> None:
    model = linear(("b", "s", k), n, divisor=divisors(n), bias=RANDOM.integers(-4000, 4000, n))
    counts = require_equal(model, (1, 1, k), (1, 33, k), (3, 7, k))
    # One channel may have a bias that zero points alone say.
    assert counts == {"Transpose": 2, "QLinearConv": 1} or (n == 1 and "QLinearMatMul" in counts)


@pytest.mark.parametrize("shape", [("b",), (4, "b"), ("b", "s", "t", "u")], ids=str)
def test_any_rank(shape: tuple[int | str, ...]) -> None:
    full = (*shape, 24)
    model = linear(full, 10, divisor=divisors(10), bias=RANDOM.integers(-4000, 4000, 10))
    extents = [tuple(d if isinstance(d, int) else e for d in full) for e in (1, 5)]
    assert require_equal(model, *extents)["QLinearConv"] == 1


def test_zero_points_alone_need_no_bias() -> None:
    """Also where the input's zero point is not in the middle, and weights of a channel cancel."""
    for zeros in ((128, 100), (0, 0), (255, 1), (3, 255)):
        model = linear(("b", "s", 48), 9, divisor=divisors(9), zeros=zeros)
        assert require_equal(model, (2, 5, 48), (1, 1, 48)) == {"QLinearMatMul": 1}


def test_limits_below_eight_bits_stay() -> None:
    model = linear(
        ("b", "s", 40), 6, divisor=divisors(6), bias=RANDOM.integers(-9, 9, 6), limits=(1, 127)
    )
    proto, _ = emit(model)
    y = open_session(proto.SerializeToString()).run(
        None, {"x": RANDOM.integers(0, 256, (8, 9, 40)).astype(np.uint8)}
    )[0]
    assert (y.min(), y.max()) == (1, 127)
    assert require_equal(model, (2, 9, 40))["Clip"] == 1


def test_coverage_names_what_was_replaced_and_what_may_differ() -> None:
    d = np.array([33, 2**18 + 1, 2**18 + 11])
    model = linear(("b", "s", 6000), 3, divisor=d, bias=np.array([5, 6, 7]), zeros=(0, 128))
    proto, coverage = emit(model)
    (layer,) = coverage.layers
    assert (layer.value, layer.operator, layer.divisor) == ("y", "QLinearConv", 2**18 + 11)
    assert not coverage.proved
    assert 0 < layer.differing < layer.accumulators
    assert coverage.kept == {}
    assert emit(model)[0].SerializeToString() == proto.SerializeToString()


def test_powers_of_two_differ_in_ties() -> None:
    model = linear(("b", "s", 48), 3, divisor=np.array([64, 128, 256]), bias=np.array([5, 6, 7]))
    _, coverage = emit(model)
    (layer,) = coverage.layers
    assert layer.ties and not coverage.proved
    assert layer.differing == sum(layer_ties(model))
    assert "rounds halves of powers of two to even" in describe(coverage)
    assert "--rescale dyadic" in describe(coverage)


def layer_ties(model: ir.Model) -> list[int]:
    """Count, per channel, the accumulators m d + d / 2 of even m that an input can reach."""
    (node,) = model.graph
    w, b, d = (
        np.asarray(v.const_value.numpy(), np.int64)  # type: ignore[union-attr]
        for v in node.inputs[1:4]
    )
    rest = b - d // 2 - 128 * d
    low = 255 * np.minimum(w, 0).sum(0) + rest
    high = 255 * np.maximum(w, 0).sum(0) + rest
    ties = [np.arange(-128, 127) * n + n // 2 for n in d]
    even = [t[(t // n) % 2 == 0] for t, n in zip(ties, d, strict=True)]
    return [int(((t >= a) & (t <= c)).sum()) for t, a, c in zip(even, low, high, strict=True)]


def test_a_layer_beyond_32_bits_stays_an_integer_function() -> None:
    """Its zero point in the middle would move the bias out of int32."""
    d = np.array([2**24 + 2**20 + 1])
    model = linear(("b", "s", 8), 1, divisor=d, bias=np.array([11]), zeros=(0, 1))
    proto, coverage = emit(model)
    assert coverage.layers == ()
    assert coverage.kept == {"Linear": 1}
    assert "QLinearConv" not in {n.op_type for n in proto.graph.node}
