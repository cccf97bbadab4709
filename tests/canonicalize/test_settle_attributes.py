"""Attributes written out, and uses of operators that are refused."""

from __future__ import annotations

import pytest

from intcc.errors import ModelError
from tests.canonicalize.helpers import TOKENS, canonical, kinds, tokens

OUT = "float[batch, sequence, 6]"
HEADS = "q_num_heads = 3, kv_num_heads = 3"
SPLIT = (
    "h = Constant<value_ints = [0, 0, 3, 2]>() a = Reshape(x, h) "
    "q = Transpose<perm = [0, 2, 1, 3]>(a) "
)


def test_positive_axis() -> None:
    body = "w = Constant<value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]>() "
    model = canonical(TOKENS, OUT, body + "y = LayerNormalization<axis = 2>(x, w)", tokens())
    assert kinds(model) == ["LayerNormalization"]
    assert model.graph[0].attributes["axis"].as_int() == -1


@pytest.mark.parametrize(
    "body",
    [
        f"y = Attention<{HEADS}>(x, x, x)",
        SPLIT + "o = Attention(q, q, q) t = Transpose<perm = [0, 2, 1, 3]>(o) "
        "j = Constant<value_ints = [0, 0, 6]>() y = Reshape(t, j)",
    ],
)
def test_default_scale(body: str) -> None:
    model = canonical(TOKENS, OUT, body, tokens(), opset=23)
    assert kinds(model) == ["Attention"]
    assert model.graph[0].attributes["scale"].as_float() == pytest.approx(2**-0.5)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"y = Attention<{HEADS}, is_causal = 1>(x, x, x)", "'n0' is causal"),
        (f"y = Attention<{HEADS}, softcap = 30.0>(x, x, x)", "softcap"),
        ("y = Softmax<axis = 1>(x)", "Softmax 'n0' works along axis 1 of 3"),
        (SPLIT + "o = Attention(q, q, q) j = Constant<value_ints = [0, -1, 6]>() "
         "y = Reshape(o, j)", "arranged in an unknown way"),
    ],
)  # fmt: skip
def test_refused(body: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        canonical(TOKENS, OUT, body, opset=23)
