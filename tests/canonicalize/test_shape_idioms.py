"""Shapes, positions, masks and heads: arithmetic on extents disappears, and traps are refused."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.errors import ModelError
from intcc.passes.canonicalize.graph import constant
from tests.canonicalize.helpers import IDS, MASKED, TOKENS, canonical, kinds, masked, tokens

OUT = "float[batch, sequence, 6]"


def test_reshape_targets_are_constant() -> None:
    body = (
        "s = Shape(x) z = Constant<value_int = 0>() o = Constant<value_int = 1>() "
        "b = Gather(s, z) l = Gather(s, o) a = Constant<value_ints = [0]>() "
        "b1 = Unsqueeze(b, a) l1 = Unsqueeze(l, a) h = Constant<value_ints = [3]>() "
        "m = Constant<value_ints = [-1]>() t = Concat<axis = 0>(b1, l1, h, m) "
        "r = Reshape(x, t) y = Relu(r)"
    )
    model = canonical(TOKENS, "float[batch, sequence, 3, 2]", body, tokens(), tokens(1, 1))
    assert kinds(model) == ["Reshape", "Relu"]
    target = constant(model.graph[0].inputs[1])
    assert target is not None and target.tolist() == [0, 0, 3, 2]


MOVEMENT = {
    "copies": ("a = Identity(x) b = Dropout(a) y = Relu(b)", ["Relu"]),
    "own type": ("a = Cast<to = 1>(x) y = Relu(a)", ["Relu"]),
    "there and back": (
        "a = Transpose<perm = [0, 2, 1]>(x) b = Transpose<perm = [0, 2, 1]>(a) y = Relu(b)",
        ["Relu"],
    ),
    "three turns": (
        (
            "a = Transpose<perm = [1, 2, 0]>(x) b = Transpose<perm = [0, 2, 1]>(a) "
            "c = Transpose<perm = [0, 1, 2]>(b) y = Relu(c)"
        ),
        ["Transpose", "Relu"],
    ),
    "own shape": ("s = Shape(x) e = Expand(x, s) y = Relu(e)", ["Relu"]),
    "axis in and out": (
        "u = Constant<value_ints = [1]>() a = Unsqueeze(x, u) b = Squeeze(a, u) y = Relu(b)",
        ["Relu"],
    ),
    "flat and back": (
        (
            "s = Constant<value_ints = [0, -1]>() a = Reshape(x, s) t = Shape(x) "
            "b = Reshape(a, t) y = Relu(b)"
        ),
        ["Relu"],
    ),
    "arithmetic": (
        "c = Constant<value_float = 2.0>() d = Sqrt(c) e = Neg(d) f = Mul(e, e) y = Mul(x, f)",
        ["Mul"],
    ),
    "root of the width": (
        (
            "s = Shape(x) w = Constant<value_int = 2>() d = Gather(s, w) f = Cast<to = 1>(d) "
            "q = Sqrt(f) y = Div(x, q)"
        ),
        ["Div"],
    ),
}


@pytest.mark.parametrize("case", MOVEMENT)
def test_movement_and_constants(case: str) -> None:
    body, left = MOVEMENT[case]
    out = "float[sequence, batch, 6]" if left[0] == "Transpose" else OUT
    assert kinds(canonical(TOKENS, out, body, tokens(), tokens(1, 1))) == left


def test_swap_through_merged_axes() -> None:
    """The exporters' transpose of keys: [B,H,S,D] -> [B*H,S,D] -> [B*H,D,S] -> [B,H,D,S]."""
    body = (
        "h = Constant<value_ints = [0, 0, 3, 2]>() a = Reshape(x, h) "
        "k = Transpose<perm = [0, 2, 1, 3]>(a) s = Shape(k) m = Constant<value_ints = [-1]>() "
        "i2 = Constant<value_ints = [2]>() i3 = Constant<value_ints = [3]>() "
        "i0 = Constant<value_ints = [0]>() l = Gather(s, i2) d = Gather(s, i3) "
        "bh = Slice(s, i0, i2) t1 = Concat<axis = 0>(m, l, d) f = Reshape(k, t1) "
        "g = Transpose<perm = [0, 2, 1]>(f) t2 = Concat<axis = 0>(bh, d, l) "
        "r = Reshape(g, t2) y = Relu(r)"
    )
    model = canonical(TOKENS, "float[batch, 3, 2, sequence]", body, tokens(), tokens(1, 1))
    assert kinds(model) == ["Reshape", "Transpose", "Relu"]
    assert list(model.graph[1].attributes["perm"].as_ints()) == [0, 2, 3, 1]


def floats(*shape: int) -> str:
    values = np.random.default_rng(7).normal(0, 1, int(np.prod(shape)))
    text = ", ".join(f"{v:.4f}" for v in values)
    return f"Constant<value = float[{','.join(map(str, shape))}] {{{text}}}>()"


WORDS = f"words = {floats(9, 6)} x = Gather(words, input_ids) "
POSITIONS = {
    "range": "s = Shape<start = 1, end = 2>(input_ids) n = Squeeze(s) "
    "z = Constant<value_int = 0>() o = Constant<value_int = 1>() p = Range(z, n, o) ",
    "counted": "z = Constant<value_int = 0>() o = Constant<value_int = 1>() e = Equal(input_ids, o)"
    " f = Not(e) g = Cast<to = 7>(f) c = CumSum(g, o) h = Mul(c, g) p = Add(h, o) ",
    "sliced": "ids = Constant<value = int64[1, 20] {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,"
    "18,19}>() s = Shape<start = 1, end = 2>(input_ids) a = Constant<value_ints = [1]>() "
    "z = Constant<value_ints = [0]>() p = Slice(ids, z, s, a) ",
}


@pytest.mark.parametrize("spelling", POSITIONS)
def test_positions_become_rows_of_a_table(spelling: str) -> None:
    body = (
        WORDS + POSITIONS[spelling] + f"table = {floats(20, 6)} r = Gather(table, p) y = Add(x, r)"
    )
    model = canonical(IDS, OUT, body, masked(3, 7), masked(1, 1), masked(2, 18))
    assert kinds(model) == ["Shape", "Gather", "Slice", "Add"]
    # Counting starts behind the padding id, so two rows of the table are never read.
    longest = 18 if spelling == "counted" else 20
    assert model.metadata_props["intcc.max_positions"] == str(longest)
    table = constant(model.graph[2].inputs[0])
    assert table is not None and table.shape == (1, longest, 6)[-table.ndim :]


def test_zero_segments_join_the_positions() -> None:
    body = WORDS + POSITIONS["range"] + (
        f"table = {floats(20, 6)} r = Gather(table, p) segments = {floats(2, 6)} "
        "q = Shape(input_ids) k = Expand(z, q) t = Gather(segments, k) v = Add(x, t) y = Add(v, r)"
    )  # fmt: skip
    model = canonical(IDS, OUT, body, masked(3, 7), masked(1, 1))
    assert kinds(model) == ["Shape", "Gather", "Slice", "Add"]


def test_longer_than_the_table() -> None:
    from intcc.passes.canonicalize import canonicalize
    from tests.canonicalize.helpers import parse

    body = (
        WORDS + POSITIONS["range"] + f"table = {floats(20, 6)} r = Gather(table, p) y = Add(x, r)"
    )
    model = parse(IDS, OUT, body)
    model.metadata_props["intcc.max_length"] = "21"
    with pytest.raises(ModelError, match="--max-length 21 is above the 20 positions"):
        canonicalize(model)


HEADS = (
    WORDS + "h = Constant<value_ints = [0, 0, 3, 2]>() a = Reshape(x, h) "
    "q = Transpose<perm = [0, 2, 1, 3]>(a) kt = Transpose<perm = [0, 2, 3, 1]>(a) "
    "m = MatMul(q, kt) c = Constant<value_float = 1.4142135>() d = Div(m, c) "
)
REST = (
    "w = Softmax<axis = -1>(s) o = MatMul(w, q) t = Transpose<perm = [0, 2, 1, 3]>(o) "
    "j = Constant<value_ints = [0, 0, 6]>() y = Reshape(t, j)"
)
MASK = "ax = Constant<value_ints = [1, 2]>() u = Unsqueeze(attention_mask, ax) "
MASKS = {
    "additive": MASK + "f = Cast<to = 1>(u) i = Constant<value_float = 1.0>() g = Sub(i, f) "
    "l = Constant<value_float = -10000.0>() n = Mul(g, l) s = Add(d, n)",
    "where": MASK + "b = Cast<to = 9>(u) z = Constant<value_float = 0.0>() "
    "l = Constant<value_float = -3.4e38>() n = Where(b, z, l) s = Add(n, d)",
    "filled": MASK + "z = Constant<value_int = 0>() b = Equal(u, z) "
    "l = Constant<value_float = -3.4e38>() s = Where(b, l, d)",
    "kept": MASK + "b = Cast<to = 9>(u) l = Constant<value_float = -1e9>() s = Where(b, d, l)",
    "all queries": MASK + "sh = Shape(m) b4 = Slice(sh, i0, i1) s4 = Slice(sh, i2, i4) "
    "e = Concat<axis = 0>(b4, i1, s4) k = Expand(u, e) b = Cast<to = 9>(k) "
    "z = Constant<value_float = 0.0>() l = Constant<value_float = -1e30>() n = Where(b, z, l) "
    "s = Add(d, n)",
}
INDICES = " ".join(f"i{k} = Constant<value_ints = [{k}]>()" for k in (0, 1, 2, 4)) + " "


@pytest.mark.parametrize("spelling", MASKS)
def test_padding_masks(spelling: str) -> None:
    body = INDICES + HEADS + MASKS[spelling] + " " + REST
    model = canonical(MASKED, OUT, body, masked(3, 7), masked(1, 1), masked(2, 4))
    attention = [node for node in model.graph if node.op_type == "Attention"]
    assert len(attention) == 1 and "Softmax" not in kinds(model) and "Reshape" not in kinds(model)
    assert attention[0].metadata_props["intcc.key_mask"] == "attention_mask"
    assert "intcc.position_bias" not in attention[0].metadata_props
    assert attention[0].attributes["scale"].as_float() == pytest.approx(2**-0.5)


def test_attention_without_mask() -> None:
    model = canonical(IDS, OUT, HEADS + "s = Identity(d) " + REST, masked(3, 7))
    attention = next(node for node in model.graph if node.op_type == "Attention")
    assert len(attention.inputs) == 3 and "intcc.key_mask" not in attention.metadata_props


def test_position_bias() -> None:
    """A bias per head and distance beside the mask, as in MPNet and T5."""
    bias = POSITIONS["range"].replace("p = Range", "pos = Range") + (
        f"col = Unsqueeze(pos, one0) row = Unsqueeze(pos, one1) dist = Sub(row, col) ad = Abs(dist)"
        f" cap = Constant<value_int = 8>() near = Min(ad, cap) biases = {floats(9, 3)} "
        "bg = Gather(biases, near) bt = Transpose<perm = [2, 0, 1]>(bg) b1 = Unsqueeze(bt, one0) "
        "sb = Add(d, b1) "
    )  # fmt: skip
    ones = "one0 = Constant<value_ints = [0]>() one1 = Constant<value_ints = [1]>() "
    masking = MASKS["additive"].replace("Add(d, n)", "Add(sb, n)").replace("z = ", "zz = ")
    body = HEADS + ones + bias.replace("o = Constant", "oo = Constant").replace(
        "n, o)", "n, oo)"
    ).replace("n = Squeeze", "n0 = Squeeze").replace("(z, n,", "(z, n0,").replace(
        "s = Shape<", "s0 = Shape<"
    ).replace("Squeeze(s)", "Squeeze(s0)") + masking + " " + REST  # fmt: skip
    model_feeds = (masked(3, 7), masked(1, 1), masked(2, 16))
    model = canonical(MASKED, OUT, body, *model_feeds)
    attention = next(node for node in model.graph if node.op_type == "Attention")
    name = attention.metadata_props["intcc.position_bias"]
    rows = next(out for node in model.graph for out in node.outputs if out.name == name)
    assert [str(d) for d in rows.shape or ()] == ["1", "3", "sequence", "sequence"]


REFUSED = {
    "causal": (
        (
            "s2 = Shape<start = 1, end = 2>(input_ids) e = Concat<axis = 0>(s2, s2) "
            "one = Constant<value = float[1] {1}>() f = Expand(one, e) "
            "tri = Trilu<upper = 1>(f, up) "
            "l = Constant<value_float = -1e9>() n = Mul(tri, l) s = Add(d, n)"
        ),
        "hides keys that are no padding",
    ),
    "inverted": (
        MASK + "f = Cast<to = 1>(u) l = Constant<value_float = -1e9>() n = Mul(f, l) s = Add(d, n)",
        "hides keys that are no padding",
    ),
    "soft": (
        MASK + "f = Cast<to = 1>(u) s = Add(d, f)",
        "hides padding in some rows only|adds a bias|changes the scores",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_other_masks_are_refused(trap: str) -> None:
    """What is no padding mask must never pass for one."""
    mask, message = REFUSED[trap]
    body = "up = Constant<value_int = 1>() " + HEADS + mask + " " + REST
    with pytest.raises(ModelError, match=message):
        canonical(MASKED, OUT, body)


def test_same_result_twice() -> None:
    import onnx_ir as ir

    body = INDICES + HEADS + MASKS["where"] + " " + REST
    first, second = (ir.to_proto(canonical(MASKED, OUT, body)) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )


def test_tables_that_grow_with_the_batch_are_refused() -> None:
    """Rows for every head of every text in one axis, as DeBERTa and BLOOM have them."""
    body = (
        "s = Shape(x) z = Constant<value_int = 0>() o = Constant<value_int = 1>() "
        "b = Gather(s, z) l = Gather(s, o) h = Constant<value_int = 3>() n = Mul(b, h) "
        "r = Range(z, l, o) f = Cast<to = 1>(r) a = Constant<value_ints = [0]>() "
        "n1 = Unsqueeze(n, a) l1 = Unsqueeze(l, a) o1 = Unsqueeze(o, a) "
        "t = Concat<axis = 0>(n1, o1, l1) e = Expand(f, t) m = Constant<value_ints = [-1]>() "
        "u = Concat<axis = 0>(n1, m, l1) v = Reshape(x, u) y = Add(v, e)"
    )
    with pytest.raises(ModelError, match=r"depends on batch or length.*another family"):
        canonical(TOKENS, "float[heads, two, sequence]", body, tokens())
