"""GELU, norms, fully connected layers, pooling: every spelling becomes one node, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.canonicalize.helpers import TOKENS, canonical, kinds, masked, tokens

OUT = "float[batch, sequence, 6]"

ERF = {
    "product last": "a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
    "half first": "a = Mul(x, half) b = Mul(x, i) c = Erf(b) d = Add(c, one) y = Mul(a, d)",
    "inner half": "a = Div(x, r) b = Erf(a) c = Add(one, b) d = Mul(c, half) y = Mul(d, x)",
}
CONSTANTS = (
    "r = Constant<value_float = 1.4142135>() i = Constant<value_float = 0.70710677>() "
    "one = Constant<value_float = 1.0>() half = Constant<value_float = 0.5>() "
    "k = Constant<value_float = 0.7978846>() c3 = Constant<value_float = 0.044715>() "
    "three = Constant<value_float = 3.0>() two = Constant<value_float = 2.0>() "
)
TANH = {
    "power": "a = Pow(x, three) b = Mul(a, c3) c = Add(x, b) d = Mul(c, k) e = Tanh(d) "
    "f = Add(e, one) g = Mul(x, half) y = Mul(g, f)",
    "factored": "a = Mul(x, x) b = Mul(a, c3) c = Add(b, one) d = Mul(x, c) e = Mul(d, k) "
    "f = Tanh(e) g = Add(one, f) h = Mul(g, half) y = Mul(h, x)",
}


@pytest.mark.parametrize("spelling", ERF)
def test_erf_gelu(spelling: str) -> None:
    model = canonical(TOKENS, OUT, CONSTANTS + ERF[spelling], tokens())
    assert kinds(model) == ["Gelu"]
    assert model.graph[0].attributes["approximate"].as_string() == "none"
    assert model.graph.outputs[0].name == "y"


@pytest.mark.parametrize("spelling", TANH)
def test_tanh_gelu(spelling: str) -> None:
    model = canonical(TOKENS, OUT, CONSTANTS + TANH[spelling], tokens())
    assert kinds(model) == ["Gelu"]
    assert model.graph[0].attributes["approximate"].as_string() == "tanh"


def test_what_is_no_gelu_stays() -> None:
    swish = "a = Mul(x, half) b = Tanh(a) c = Add(b, one) d = Mul(c, half) y = Mul(x, d)"
    assert "Gelu" not in kinds(canonical(TOKENS, OUT, CONSTANTS + swish, tokens()))
    plain = canonical(TOKENS, OUT, "y = Tanh(x)", tokens())
    assert kinds(plain) == ["Tanh"]


WEIGHTS = (
    "last = Constant<value_ints = [-1]>() eps = Constant<value_float = 1e-5>() "
    "two = Constant<value_float = 2.0>() one = Constant<value_float = 1.0>() "
    "w = Constant<value_floats = [1.0, 0.5, -2.0, 1.5, 0.1, 3.0]>() "
    "b = Constant<value_floats = [0.0, 1.0, 2.0, -1.0, 0.5, 0.25]>() "
)
VARIANCE = "m = ReduceMean(x, last) d = Sub(x, m) s = Mul(d, d) v = ReduceMean(s, last) "
ROOT = "e = Add(v, eps) q = Sqrt(e) "
LAYER_NORMS = {
    "div": VARIANCE + ROOT + "n = Div(d, q) g = Mul(n, w) y = Add(g, b)",
    "reciprocal": VARIANCE + ROOT + "r = Reciprocal(q) n = Mul(d, r) g = Mul(w, n) y = Add(b, g)",
    "one over": VARIANCE + ROOT + "r = Div(one, q) n = Mul(r, d) g = Mul(n, w) y = Add(g, b)",
    "power": "m = ReduceMean(x, last) d = Sub(x, m) s = Pow(d, two) v = ReduceMean(s, last) "
    + ROOT
    + "n = Div(d, q) g = Mul(n, w) y = Add(g, b)",
    "no bias": VARIANCE + ROOT + "n = Div(d, q) y = Mul(n, w)",
    "bare": VARIANCE + ROOT + "y = Div(d, q)",
}


@pytest.mark.parametrize("spelling", LAYER_NORMS)
def test_layer_norm(spelling: str) -> None:
    small = {"x": tokens()["x"] * np.float32(1e-3)}  # epsilon counts
    model = canonical(TOKENS, OUT, WEIGHTS + LAYER_NORMS[spelling], tokens(), small)
    assert kinds(model) == ["LayerNormalization"]
    node = model.graph[0]
    assert node.attributes["epsilon"].as_float() == pytest.approx(1e-5)
    assert len(node.inputs) == (2 if spelling in ("no bias", "bare") else 3)


RMS_NORMS = {
    "mul": "s = Mul(x, x) v = ReduceMean(s, last) " + ROOT + "r = Reciprocal(q) n = Mul(x, r) "
    "y = Mul(w, n)",
    "div": "s = Pow(x, two) v = ReduceMean(s, last) " + ROOT + "n = Div(x, q) y = Mul(n, w)",
}


@pytest.mark.parametrize("spelling", RMS_NORMS)
def test_rms_norm(spelling: str) -> None:
    model = canonical(TOKENS, OUT, WEIGHTS + RMS_NORMS[spelling], tokens())
    assert kinds(model) == ["RMSNormalization"]


def test_reductions_of_opset_17() -> None:
    body = WEIGHTS + LAYER_NORMS["div"].replace("(x, last)", "<axes = [-1]>(x)").replace(
        "(s, last)", "<axes = [2]>(s)"
    )
    assert kinds(canonical(TOKENS, OUT, body, tokens(), opset=17)) == ["LayerNormalization"]


def test_gemm_becomes_matmul_and_add() -> None:
    body = (
        "w = Constant<value = float[3, 6] {1,2,3,4,5,6, -1,2,-3,4,-5,6, 0,0,1,0,0,2}>() "
        "b = Constant<value = float[3] {1, 2, 3}>() zero = Constant<value_int = 0>() "
        "first = Gather<axis = 1>(x, zero) y = Gemm<transB = 1, alpha = 0.5>(first, w, b)"
    )
    model = canonical(TOKENS, "float[batch, 3]", body, tokens())
    assert kinds(model) == ["Gather", "MatMul", "Add"]


MEAN = (
    "last = Constant<value_ints = [-1]>() one = Constant<value_ints = [1]>() "
    "least = Constant<value_float = 1e-9>() table = Constant<value = float[9, 2] "
    "{1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9}>() x = Gather(table, input_ids) "
    "u = Unsqueeze(attention_mask, last) s = Shape(x) e = Expand(u, s) m = Cast<to = 1>(e) "
    "p = Mul(x, m) t = ReduceSum<keepdims = 0>(p, one) c = ReduceSum<keepdims = 0>(m, one) "
)


@pytest.mark.parametrize("guard", ["g = Clip(c, least)", "g = Max(c, least)"])
def test_mean_pooling_and_unit_length(guard: str) -> None:
    from tests.canonicalize.helpers import MASKED

    pooled = canonical(
        MASKED, "float[batch, 2]", MEAN + guard + " y = Div(t, g)", masked(), masked(1, 1)
    )
    assert kinds(pooled) == ["Gather", "MeanPool"]
    unit = MEAN + guard + (
        " a = Div(t, g) n = ReduceL2(a, last) small = Constant<value_float = 1e-12>() "
        "k = Clip(n, small) sh = Shape(a) w = Expand(k, sh) y = Div(a, w)"
    )  # fmt: skip
    model = canonical(MASKED, "float[batch, 2]", unit, masked(), masked(1, 1))
    assert kinds(model) == ["Gather", "MeanPool", "L2Normalize"]


def test_patches() -> None:
    random = np.random.default_rng(0)
    weights = ", ".join(f"{v:.3f}" for v in random.normal(0, 1, 4 * 2 * 3 * 2))
    conv = (
        f"w = Constant<value = float[4, 2, 3, 2] {{{weights}}}>() "
        "b = Constant<value = float[4] {1, 2, 3, 4}>() "
        "c = Conv<kernel_shape = [3, 2], strides = [3, 2]>(pixel_values, w, b) "
    )
    given = {"pixel_values": random.normal(0, 1, (2, 2, 9, 8)).astype(np.float32)}
    inputs = "float[batch, 2, 9, 8] pixel_values"
    flat = "s = Constant<value_ints = [0, 4, -1]>() f = Reshape(c, s) "
    model = canonical(
        inputs, "float[batch, 12, 4]", conv + flat + "y = Transpose<perm = [0, 2, 1]>(f)", given
    )
    assert kinds(model) == ["Reshape", "Transpose", "Reshape", "MatMul", "Add"]
    model = canonical(inputs, "float[batch, 4, 3, 4]", conv + "y = Relu(c)", given)
    assert kinds(model)[-3:] == ["Transpose", "Reshape", "Relu"]
