"""Split units: the function is kept, the largest row shrinks, even layers stay as they are."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from intcc.passes.calibrate import Statistics, calibrate
from intcc.passes.equivalences.split_units import BLOCK, SHARE, copies, split_units
from intcc.qparams import QParams, Role
from intcc.sites import linear_sites

WIDTH, INNER = 8, 1024
MASSIVE = (3, 700)
ADDED = int(INNER * SHARE) // BLOCK * BLOCK
STEP = 0.025


def network(massive: float, readers: int = 1) -> ir.Model:
    """Return x @ w1 + b1 -> Gelu -> @ w2 with forms; some rows of w2 are `massive` times larger."""
    random = np.random.default_rng(2)
    w2 = random.uniform(0.5, 1.0, (INNER, WIDTH)) * random.choice((-0.1, 0.1), (INNER, WIDTH))
    w2[list(MASSIVE)] *= massive
    arrays = {
        "w1": random.normal(0, 0.4, (WIDTH, INNER)),
        "b1": random.normal(0, 0.4, INNER),
        "w2": w2,
    }
    lines = "\n".join(f"y{i} = MatMul(g, w2)" for i in range(readers))
    outputs = ", ".join(f"float[rows, {WIDTH}] y{i}" for i in range(readers))
    proto = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": 20]>
        net (float[rows, {WIDTH}] x) => ({outputs}) <float[rows, {INNER}] m,
            float[rows, {INNER}] h, float[rows, {INNER}] g> {{
            m = MatMul(x, w1)
            h = Add(m, b1)
            g = Gelu(h)
            {lines}
        }}""")
    for name, array in arrays.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    model = ir.from_proto(proto)
    values = {v.name: v for node in model.graph for v in node.outputs}
    values["h"].meta["forms"] = {Role.GELU: QParams.of(np.full(INNER, STEP), 120)}
    values["g"].meta["forms"] = {Role.LINEAR: QParams.of(np.full(INNER, STEP), 8)}
    return model


def rows() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(50, WIDTH)).astype(np.float32)


def result(model: ir.Model) -> np.ndarray:
    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": rows()})[0])


def split(massive: float, readers: int = 1) -> tuple[ir.Model, dict[str, Statistics], np.ndarray]:
    model = network(massive, readers)
    before = result(model)
    statistics = calibrate(model, [{"x": rows()}])
    split_units(model, statistics)
    return model, statistics, before


def test_the_function_is_kept() -> None:
    model, _, before = split(40.0)
    after = result(model)
    # Offsets of the copies' biases are at most half a step and cancel to the second order.
    assert np.abs(after - before).max() <= len(MASSIVE) * 4.0 * STEP**2 / 2
    assert np.abs(before).max() > 1


def test_copies_have_equal_parts_of_the_weight_and_offsets_without_mean() -> None:
    model, _, _ = split(40.0)
    old = linear_sites(network(40.0).graph)
    new = linear_sites(model.graph)
    w2_old, w2 = old["y0"].weight, new["y0"].weight
    assert w2.shape == (INNER + ADDED, WIDTH)
    assert np.abs(w2).max() < np.abs(w2_old).max() / 10
    for k in MASSIVE:
        same = np.flatnonzero((new["h"].weight == old["h"].weight[:, k : k + 1]).all(0))
        assert len(same) > 10
        np.testing.assert_allclose(w2[same], np.repeat(w2_old[k : k + 1] / len(same), len(same), 0),
                                   rtol=1e-6)  # fmt: skip
        offsets = np.sort(new["h"].bias[same] - old["h"].bias[k])
        assert abs(offsets.mean()) < 1e-6
        np.testing.assert_allclose(np.diff(offsets), STEP / len(same), atol=1e-6)


def test_statistics_and_forms_follow() -> None:
    model, statistics, _ = split(40.0)
    values = {v.name: v for node in model.graph for v in node.outputs}
    for name in ("m", "h", "g"):
        assert values[name].shape == ["rows", INNER + ADDED]
        assert len(statistics[name].low) == INNER + ADDED
    for name in ("h", "g"):
        for form in values[name].meta["forms"].values():
            assert form.scale.shape == form.zero.shape == (INNER + ADDED,)
    exact = calibrate(model, [{"x": rows()}])["g"]
    moment, fresh = statistics["g"].moment, exact.moment
    assert moment is not None and fresh is not None and moment.shape == (INNER + ADDED,) * 2
    np.testing.assert_allclose(moment, fresh, atol=0.05)
    np.testing.assert_allclose(statistics["g"].mean, exact.mean, atol=STEP)


@pytest.mark.parametrize(("massive", "readers"), [(1.0, 1), (40.0, 2)])
def test_nothing_is_split(massive: float, readers: int) -> None:
    """An even layer gains nothing; a value with two readers keeps its channels."""
    model, statistics, before = split(massive, readers)
    assert linear_sites(model.graph)["y0"].weight.shape == (INNER, WIDTH)
    assert len(statistics["g"].low) == INNER
    assert (result(model) == before).all()


def test_copies_balance_the_shares() -> None:
    count = copies(np.array([1.0, 12.0, 6.0, 0.5]), 5)
    assert count.tolist() == [1, 5, 2, 1] and count.sum() == 4 + 5
