"""What decoders bring along: transposed heads, flattened tokens, scaled embeddings, squares."""

from __future__ import annotations

import numpy as np
import pytest

from tests.canonicalize.helpers import IDS, TOKENS, canonical, kinds, tokens

OUT = "float[batch, sequence, 6]"
W = "w = Constant<value_floats = [1.0, 0.5, -2.0, 1.5, 0.1, 3.0]>() "
HEADS = "heads = Constant<value_ints = [0, 0, 2, 3]>() flat = Constant<value_ints = [0, 0, 6]>() "


@pytest.mark.parametrize("norm", ["RMSNormalization", "LayerNormalization"])
def test_norm_of_transposed_heads(norm: str) -> None:
    body = (
        HEADS + "g = Constant<value_floats = [1.0, -0.5, 2.0]>() h = Reshape(x, heads) "
        "t = Transpose<perm = [0, 2, 1, 3]>(h) "
        f"n = {norm}<axis = 3>(t, g) u = Transpose<perm = [0, 2, 1, 3]>(n) y = Reshape(u, flat)"
    )
    model = canonical(TOKENS, OUT, body, tokens(), opset=23)
    assert kinds(model) == ["Reshape", norm, "Reshape"]


def test_norm_along_a_moved_axis_stays() -> None:
    body = (
        HEADS + "g = Constant<value_floats = [1.0, -0.5]>() h = Reshape(x, heads) "
        "t = Transpose<perm = [0, 1, 3, 2]>(h) n = RMSNormalization<axis = 3>(t, g) "
        "u = Transpose<perm = [0, 1, 3, 2]>(n) y = Reshape(u, flat)"
    )
    assert kinds(canonical(TOKENS, OUT, body, tokens(), opset=23)).count("Transpose") == 2


def test_norm_with_another_reader_stays() -> None:
    body = (
        HEADS + "g = Constant<value_floats = [1.0, -0.5, 2.0]>() h = Reshape(x, heads) "
        "t = Transpose<perm = [0, 2, 1, 3]>(h) n = RMSNormalization<axis = 3>(t, g) "
        "r = Relu(n) u = Transpose<perm = [0, 2, 1, 3]>(r) y = Reshape(u, flat)"
    )
    assert kinds(canonical(TOKENS, OUT, body, tokens(), opset=23)).count("Transpose") == 2


def test_split_of_transposed_heads() -> None:
    """GPT-NeoX: queries, keys and values of a head lie next to each other."""
    body = (
        "heads = Constant<value_ints = [0, 0, 1, 6]>() flat = Constant<value_ints = [0, 0, 3]>() "
        "h = Reshape(x, heads) t = Transpose<perm = [0, 2, 1, 3]>(h) "
        "p, q = Split<axis = 3, num_outputs = 2>(t) u = Transpose<perm = [0, 2, 1, 3]>(p) "
        "v = Transpose<perm = [0, 2, 1, 3]>(q) a = Reshape(u, flat) b = Reshape(v, flat) "
        "y = Concat<axis = 2>(b, a)"
    )
    assert "Transpose" not in kinds(canonical(TOKENS, OUT, body, tokens()))


FLATTEN = (
    "last = Constant<value_ints = [-1]>() six = Constant<value_ints = [6]>() "
    "rows = Constant<value_ints = [-1, 6]>() s = Shape<end = 2>(x) back = Concat<axis = 0>(s, six) "
    "m = Constant<value = float[6, 6] {1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, "
    "0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, "
    "0.0, 3.0, 0.0, 0.0, 0.0, 1.0}>() "
)


def test_flattened_tokens() -> None:
    """OPT: a layer norm, a linear layer and a residual on rows of all tokens."""
    body = (
        FLATTEN + W + "f = Reshape(x, rows) n = LayerNormalization<axis = 1>(f, w) "
        "g = Gemm(n, m, w) r = Relu(g) a = Add(f, r) y = Reshape(a, back)"
    )
    model = canonical(TOKENS, OUT, body, tokens())
    assert kinds(model) == ["LayerNormalization", "MatMul", "Add", "Relu", "Add"]


def test_scaled_embedding() -> None:
    table = "table = Constant<value = float[3, 6] {" + ", ".join(map(str, range(18))) + "}>() "
    body = table.replace("0,", "0.5,", 1) + "c = Constant<value_float = 1.25>() "
    given = {"input_ids": np.array([[0, 2, 1], [2, 2, 0]])}
    for product in ("Mul(e, c)", "Mul(c, e)"):
        model = canonical(IDS, OUT, body + f"e = Gather(table, input_ids) y = {product}", given)
        assert kinds(model) == ["Gather"]


def test_square() -> None:
    body = "two = Constant<value_float = 2.0>() r = Relu(x) y = Pow(r, two)"
    assert kinds(canonical(TOKENS, OUT, body, tokens())) == ["Relu", "Mul"]
