"""Centred values: the function is kept, ranges lie around zero, statistics follow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from intcc.passes.calibrate import calibrate, probe
from intcc.passes.equivalences.center_values import center_values
from intcc.passes.float_session import float_session

WIDTH, LENGTH = 4, 9


def network(readers: int = 1, *, biased: bool = True) -> ir.Model:
    """Return attention over three linear layers of x, and linear readers of its context."""
    rng = np.random.default_rng(6)
    names = ["q", "k", "v", *(f"y{i}" for i in range(readers))]
    lines = ["x = Neg(input)"]
    for name in names:
        x = "context" if name.startswith("y") else "x"
        plain = name == "v" and not biased
        lines.append(f"{name}{'' if plain else '_m'} = MatMul({x}, w_{name[0]})")
        if not plain:
            lines.append(f"{name} = Add({name}_m, b_{name[0]})")
    attention = "context = Attention<q_num_heads: int = 2, kv_num_heads: int = 2>(q, k, v)"
    lines.insert(lines.index("y0_m = MatMul(context, w_y)"), attention)
    inner = [n for n in ("x", "q", "k", "v", "q_m", "k_m", "context") if n not in names[3:]]
    shape = f"float[batch, sequence, {WIDTH}]"
    proto = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": 23]>
        net ({shape} input) => ({", ".join(f"{shape} {n}" for n in names[3:])})
        <{", ".join(f"{shape} {n}" for n in inner)}> {{ {chr(10).join(lines)} }}""")
    for name in "qkvy":
        for kind, array in (
            ("w", rng.normal(size=(WIDTH, WIDTH))),
            ("b", rng.normal(3.0, 1.0, WIDTH)),
        ):
            tensor = onnx.numpy_helper.from_array(array.astype(np.float32), f"{kind}_{name}")
            proto.graph.initializer.append(tensor)
    return ir.from_proto(proto)


def feeds(seed: int, count: int = 3) -> list[Mapping[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"input": rng.normal(size=(1, LENGTH, WIDTH)).astype(np.float32)} for _ in range(count)]


def results(model: ir.Model) -> list[np.ndarray]:
    return [np.asarray(r) for r in float_session(model, []).run(None, feeds(9, 1)[0])]


@pytest.mark.parametrize("readers", [1, 2])
def test_the_function_is_kept_and_ranges_lie_around_zero(readers: int) -> None:
    model = network(readers)
    before = results(model)
    statistics = calibrate(model, feeds(1))
    wide = np.abs(np.stack(statistics["v"].likely)).max(0)
    assert center_values(model, statistics) == 1
    for old, new in zip(before, results(model), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)
    low, high = statistics["v"].likely
    np.testing.assert_allclose(low, -high, atol=1e-5)
    assert (high < 0.9 * wide).all()


def test_statistics_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intcc.passes.calibrate.LEAST_PROBED", 1)
    model = network()
    moved = calibrate(model, feeds(1))
    probe(model, moved, feeds(2, 7))
    center_values(model, moved)
    fresh = calibrate(model, feeds(1))
    probe(model, fresh, feeds(2, 7))
    for name in ("v", "context"):
        ours, exact = moved[name], fresh[name]
        for figure in ("low", "high", "mean", "deviation", "rows", "probed"):
            a, b = getattr(ours, figure), getattr(exact, figure)
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5, err_msg=figure)
    for figure in ("second", "probed_second"):
        a, b = getattr(moved["context"], figure), getattr(fresh["context"], figure)
        np.testing.assert_allclose(a.mean, b.mean, atol=1e-5)
        np.testing.assert_allclose(a.mean_squares, np.diag(b.mean), atol=1e-5)


def test_values_without_a_bias_stay() -> None:
    model = network(biased=False)
    before = results(model)
    assert center_values(model, calibrate(model, feeds(1))) == 0
    assert (results(model)[0] == before[0]).all()
