"""Ranges: every value of a run lies inside."""

from __future__ import annotations

import numpy as np

from intcc.backends.onnx.ranges import value_ranges
from tests.strict.harness import Array, flat, node, run

I32, U8, I8 = np.int32, np.uint8, np.int8


def test_values_lie_inside() -> None:
    nodes = [
        node("Sub", "x offset", "centered"),
        node("Cast", "x", "w", to=6),
        node("Sub", "w c128", "s"),
        node("Mul", "s s", "square"),
        node("Div", "s three", "third"),
        node("Abs", "s", "size"),
        node("Clip", "s low high", "clipped"),
        node("Max", "s low", "above"),
        node("Min", "s high", "below"),
        node("MatMulInteger", "x weight offset", "product"),
        node("ReduceMax", "product axis", "top", keepdims=1),
        node("Sub", "top product", "distance"),
        node("Gather", "clipped rows", "taken", axis=0),
        node("Mul", "square square", "wrapped"),
        node("Mul", "wrapped wrapped", "wrapped_again"),
    ]
    rng = np.random.default_rng(0)
    constants: dict[str, Array] = {
        "offset": np.array(128, U8), "c128": np.array(128, I32), "three": np.array(3, I32),
        "low": np.array(-9, I32), "high": np.array(7, I32), "axis": np.array([-1], np.int64),
        "rows": np.array([3, 0, 3], np.int64),
        "weight": rng.integers(-128, 128, (6, 5)).astype(I8),
    }  # fmt: skip
    names = [n.output[0] for n in nodes]
    kinds: dict[str, type[np.generic]] = {n: U8 if n == "centered" else I32 for n in names}
    model = flat(nodes, {"x": (U8, ["n", 6])}, kinds, constants)
    x = rng.integers(0, 256, (50, 6)).astype(U8)
    x[0], x[1] = 0, 255
    ranges = value_ranges(model.graph)
    known = {str(v.name): r for v, r in ranges.items()}
    for name, y in zip(names, run(model, {"x": x}), strict=True):
        lo, hi = known[name]
        assert lo <= int(y.min()) and int(y.max()) <= hi, name
    assert known["clipped"] == known["taken"] == (-9, 7)
    assert known["size"] == (0, 128)
    assert known["third"] == (-42, 42)
    assert known["product"] == (-6 * 128 * 127, 6 * 128 * 128)
    assert known["distance"][0] == 0
    assert known["wrapped_again"] == (-(2**31), 2**31 - 1)
