"""The model-local float functions of the canonical grammar, each with a body of standard nodes.

    MeanPool(x [B,S,C], mask [B,S])  = sum_s(x * mask) / max(sum_s(mask), 1e-9)
    L2Normalize(x [B,C])             = x / max(|x|, 1e-12)

mean what sentence-transformers and torch.nn.functional.normalize compute.

    RotaryEmbedding(x [B,S,H,D], cos [1,S,R], sin [1,S,R]) -> [B,S,H,D]

rotates the first R elements of each head: y1 = x1 * cos - x2 * sin, y2 = x2 * cos + x1 * sin on
their halves x1 and x2. cos and sin hold the table of a half twice.

    CausalAttention(q [B,S,Hq,D], k [B,S,Hkv,D], v [B,S,Hkv,Dv], scale, softcap, window)

is softmax attention of token i to the tokens j <= i, and j > i - window where window > 0. A
softcap c > 0 turns the scaled scores s into c * tanh(s / c). Query head h reads key head
h // (Hq / Hkv).

    Conv(x [B,H,W,C], w [N,KH,KW,C/group], b [N], strides, pads, dilations, group) -> [B,OH,OW,N]
    MaxPool(x [B,H,W,C], kernel_shape, strides, pads, dilations) -> [B,OH,OW,C]

are ONNX's operators with channels last.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

__all__ = ["FLOAT_DOMAIN", "AddFloatFunctions"]

FLOAT_DOMAIN = "ai.intcc.float"

_MEAN_POOL = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
MeanPool (x, mask) => (mean)
{
    last = Constant <value_ints = [-1]> ()
    tokens = Constant <value_ints = [1]> ()
    least = Constant <value_float = 1e-9> ()
    number = CastLike (mask, x)
    weight = Unsqueeze (number, last)
    weighted = Mul (x, weight)
    total = ReduceSum <keepdims = 0> (weighted, tokens)
    sum = ReduceSum <keepdims = 0> (weight, tokens)
    count = Max (sum, least)
    mean = Div (total, count)
}
"""
_L2_NORMALIZE = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
L2Normalize (x) => (unit)
{
    last = Constant <value_ints = [-1]> ()
    least = Constant <value_float = 1e-12> ()
    length = ReduceL2 <keepdims = 1> (x, last)
    divisor = Max (length, least)
    unit = Div (x, divisor)
}
"""
_ROTARY_EMBEDDING = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
RotaryEmbedding (x, cos, sin) => (y)
{
    zero = Constant <value_ints = [0]> ()
    two = Constant <value_ints = [2]> ()
    heads = Constant <value_ints = [2]> ()
    last = Constant <value_ints = [-1]> ()
    width = Shape <start = -1> (x)
    rotated = Shape <start = -1> (cos)
    half = Div (rotated, two)
    x1 = Slice (x, zero, half, last)
    x2 = Slice (x, half, rotated, last)
    rest = Slice (x, rotated, width, last)
    cos_half = Slice (cos, zero, half, last)
    sin_half = Slice (sin, zero, half, last)
    c = Unsqueeze (cos_half, heads)
    s = Unsqueeze (sin_half, heads)
    x1c = Mul (x1, c)
    x2s = Mul (x2, s)
    x2c = Mul (x2, c)
    x1s = Mul (x1, s)
    y1 = Sub (x1c, x2s)
    y2 = Add (x2c, x1s)
    y = Concat <axis = -1> (y1, y2, rest)
}
"""
# Queries lie as [B, Hkv, G, S, D] and keys as [B, Hkv, 1, S, D], so that no key is repeated.
_CAUSAL_ATTENTION = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
CausalAttention <scale, softcap, window> (q, k, v) => (y)
{
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    none = Constant <value_float = 0.0> ()
    unit = Constant <value_float = 1.0> ()
    hidden = Constant <value_float = -inf> ()
    row_axis = Constant <value_ints = [0]> ()
    column_axis = Constant <value_ints = [1]> ()
    group_axis = Constant <value_ints = [2]> ()
    factor = Constant <value_float : float = @scale> ()
    cap = Constant <value_float : float = @softcap> ()
    reach = Constant <value_int : int = @window> ()
    kv_heads = Shape <start = 2, end = 3> (k)
    group = Constant <value_ints = [-1]> ()
    outer = Shape <start = 0, end = 2> (q)
    width = Shape <start = 3> (q)
    split = Concat <axis = 0> (outer, kv_heads, group, width)
    q5 = Reshape (q, split)
    qt = Transpose <perm = [0, 2, 3, 1, 4]> (q5)
    kt = Transpose <perm = [0, 2, 3, 1]> (k)
    k5 = Unsqueeze (kt, group_axis)
    vt = Transpose <perm = [0, 2, 1, 3]> (v)
    v5 = Unsqueeze (vt, group_axis)
    products = MatMul (qt, k5)
    scores = Mul (products, factor)
    caps = Greater (cap, none)
    divisor = Where (caps, cap, unit)
    ratio = Div (scores, divisor)
    bent = Tanh (ratio)
    bounded = Mul (bent, divisor)
    soft = Where (caps, bounded, scores)
    length = Shape <start = 1, end = 2> (q)
    tokens = Squeeze (length)
    count = Range (zero, tokens, one)
    i = Unsqueeze (count, column_axis)
    j = Unsqueeze (count, row_axis)
    earlier = LessOrEqual (j, i)
    windowed = Greater (reach, zero)
    all = Add (tokens, one)
    span = Where (windowed, reach, all)
    first = Sub (i, span)
    near = Greater (j, first)
    allowed = And (earlier, near)
    masked = Where (allowed, soft, hidden)
    weights = Softmax <axis = -1> (masked)
    mixed = MatMul (weights, v5)
    turned = Transpose <perm = [0, 3, 1, 2, 4]> (mixed)
    heads = Shape <start = 2, end = 3> (q)
    depth = Shape <start = 3> (v)
    joined = Concat <axis = 0> (outer, heads, depth)
    y = Reshape (turned, joined)
}
"""
_CONV = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
Conv <strides, pads, dilations, group> (x, w, b) => (y)
{
    image = Transpose <perm = [0, 3, 1, 2]> (x)
    filters = Transpose <perm = [0, 3, 1, 2]> (w)
    made = Conv <strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations,
        group: int = @group> (image, filters, b)
    y = Transpose <perm = [0, 2, 3, 1]> (made)
}
"""
_MAX_POOL = """
<domain: "ai.intcc.float", opset_import: ["" : 23]>
MaxPool <kernel_shape, strides, pads, dilations> (x) => (y)
{
    image = Transpose <perm = [0, 3, 1, 2]> (x)
    made = MaxPool <kernel_shape: ints = @kernel_shape, strides: ints = @strides,
        pads: ints = @pads, dilations: ints = @dilations> (image)
    y = Transpose <perm = [0, 2, 3, 1]> (made)
}
"""
_BODIES = (_MEAN_POOL, _L2_NORMALIZE, _ROTARY_EMBEDDING, _CAUSAL_ATTENTION, _CONV, _MAX_POOL)


class AddFloatFunctions(ir.passes.InPlacePass):
    """Define in the model those of our functions that its nodes call."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add what is missing."""
        used = {node.op_type for node in model.graph if node.domain == FLOAT_DOMAIN}
        for text in _BODIES:
            function = ir.serde.deserialize_function(onnx.parser.parse_function(text))
            if function.name in used:
                model.functions[function.identifier()] = function
        if not used:
            model.opset_imports.pop(FLOAT_DOMAIN, None)
        return ir.passes.PassResult(model, bool(used))
