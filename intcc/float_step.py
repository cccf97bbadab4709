"""The float graph of a decoder with a cache: what a step costs where nothing is computed twice.

    before   input_ids -> ... CausalAttention(q, k, v) ...               -> logits
    after    input_ids, past_key.i, past_value.i -> ...                  -> logits, present_*.i

The canonical graph computes a whole text. Here every attention appends its keys and values to
those of earlier tokens, and rows of position tables begin behind them. The masks are made once
for all layers, query heads of one key head share one product, and what an attention does not need
(a soft cap, a window) is not in the graph.

Exactness  the order of sums in attention aside, the float arithmetic of the canonical graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.runtime.ort import open_session
from intcc.sites import constant

__all__ = ["FloatSession", "add_caches", "open_float_step"]

Array = npt.NDArray[Any]
DOMAIN = "ai.intcc.step"

_SIGHT = """
<domain: "ai.intcc.step", opset_import: ["" : 23]>
Sight <window> (past_length, total_length) => (bias)
{
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    seen = Constant <value_float = 0.0> ()
    hidden = Constant <value_float = -inf> ()
    row_axis = Constant <value_ints = [0]> ()
    column_axis = Constant <value_ints = [1]> ()
    reach = Constant <value_int : int = @window> ()
    first = Squeeze (past_length)
    end = Squeeze (total_length)
    rows = Range (first, end, one)
    columns = Range (zero, end, one)
    i = Unsqueeze (rows, column_axis)
    j = Unsqueeze (columns, row_axis)
    earlier = LessOrEqual (j, i)
    nearest = Sub (i, reach)
    near = Greater (j, nearest)
    allowed = And (earlier, near)
    bias = Where (allowed, seen, hidden)
}
"""
# Queries lie as [B, Hkv, G * S, D]: those of one key head are rows of one product.
_ATTENTION = """
<domain: "ai.intcc.step", opset_import: ["" : 23]>
%s <scale, softcap> (q, k, v, past_key, past_value, bias) => (y, key, value)
{
    factor = Constant <value_float : float = @scale> ()
    cap = Constant <value_float : float = @softcap> ()
    any = Constant <value_ints = [-1]> ()
    outer = Shape <start = 0, end = 2> (q)
    batch = Shape <start = 0, end = 1> (q)
    length = Shape <start = 1, end = 2> (q)
    heads = Shape <start = 2, end = 3> (q)
    width = Shape <start = 3> (q)
    kv_heads = Shape <start = 2, end = 3> (k)
    depth = Shape <start = 3> (v)
    kt = Transpose <perm = [0, 2, 1, 3]> (k)
    vt = Transpose <perm = [0, 2, 1, 3]> (v)
    key = Concat <axis = 2> (past_key, kt)
    value = Concat <axis = 2> (past_value, vt)
    split = Concat <axis = 0> (outer, kv_heads, any, width)
    q5 = Reshape (q, split)
    qt = Transpose <perm = [0, 2, 3, 1, 4]> (q5)
    flat = Concat <axis = 0> (batch, kv_heads, any, width)
    q4 = Reshape (qt, flat)
    columns = Transpose <perm = [0, 1, 3, 2]> (key)
    products = MatMul (q4, columns)
    scaled = Mul (products, factor)
    %s
    total = Shape <start = 2, end = 3> (key)
    grouped = Concat <axis = 0> (batch, kv_heads, any, length, total)
    scores5 = Reshape (scores, grouped)
    masked = Add (scores5, bias)
    weights5 = Softmax <axis = -1> (masked)
    rows = Concat <axis = 0> (batch, kv_heads, any, total)
    weights = Reshape (weights5, rows)
    mixed = MatMul (weights, value)
    spread = Concat <axis = 0> (batch, kv_heads, any, length, depth)
    mixed5 = Reshape (mixed, spread)
    turned = Transpose <perm = [0, 3, 1, 2, 4]> (mixed5)
    joined = Concat <axis = 0> (outer, heads, depth)
    y = Reshape (turned, joined)
}
"""
_PLAIN = "scores = Identity (scaled)"
_CAPPED = "ratio = Div (scaled, cap)\n    bent = Tanh (ratio)\n    scores = Mul (bent, cap)"
_FUNCTIONS = (
    _SIGHT,
    _ATTENTION % ("Attention", _PLAIN),
    _ATTENTION % ("AttentionCapped", _CAPPED),
)
#: Window of attention over all earlier tokens.
_NO_WINDOW = 2**31 - 1


def add_caches(model: ir.Model) -> list[str]:
    """Give the canonical float graph of a decoder its caches, in place.

    Returns:
        The names of the cache inputs; outputs have "present" in place of "past".

    Raises:
        ModelError: the graph has no causal attention.
    """
    graph = model.graph
    nodes = [node for node in graph if node.op_type == "CausalAttention"]
    if not nodes:
        raise ModelError(
            f"Model '{graph.name}'", "has no causal attention", "Only decoders have caches"
        )
    names: list[str] = []
    pasts: list[tuple[ir.Value, ir.Value]] = []
    for index, node in enumerate(nodes):
        pair = (
            _cache(f"past_key.{index}", node.inputs[1]),
            _cache(f"past_value.{index}", node.inputs[2]),
        )
        pasts.append(pair)
        graph.inputs.extend(pair)
        names += [str(value.name) for value in pair]
    first, last, counted = _lengths(graph, pasts[0][0])
    _shift_positions(graph, first, last)
    sights: dict[int, ir.Value] = {}
    for index, (node, pair) in enumerate(zip(nodes, pasts, strict=True)):
        window = node.attributes.get_int("window", 0) or _NO_WINDOW
        if window not in sights:
            made = ir.node("Sight", [first, last], {"window": window}, domain=DOMAIN)
            graph.insert_after(counted, [made])
            sights[window] = made.outputs[0]
        _replace(graph, node, index, pair, sights[window])
    for text in _FUNCTIONS:
        function = ir.serde.deserialize_function(onnx.parser.parse_function(text))
        model.functions[function.identifier()] = function
    model.opset_imports[DOMAIN] = 1
    return names


def _cache(name: str, new: ir.Value | None) -> ir.Value:
    """Declare a cache [B, heads, past, width] for keys or values [B, S, heads, width]."""
    assert new is not None and new.shape is not None
    shape = ir.Shape([new.shape[0], new.shape[2], "past", new.shape[3]])
    return ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.FLOAT))


def _lengths(graph: ir.Graph, past: ir.Value) -> tuple[ir.Value, ir.Value, ir.Node]:
    """Return the numbers of tokens before and after a call, [1] each, and the last node's."""
    before = ir.node("Shape", [past], {"start": 2, "end": 3})
    new = ir.node("Shape", [graph.inputs[0]], {"start": 1, "end": 2})
    total = ir.node("Add", [before.outputs[0], new.outputs[0]])
    graph.insert_before(graph[0], [before, new, total])
    return before.outputs[0], total.outputs[0], total


def _shift_positions(graph: ir.Graph, first: ir.Value, last: ir.Value) -> None:
    """Let rows 0 ... S of constant tables be rows past ... past + S."""
    for node in graph:
        if node.op_type == "Slice" and constant(node.inputs[0]) is not None:
            node.replace_input_with(1, first)
            node.replace_input_with(2, last)


def _replace(
    graph: ir.Graph, node: ir.Node, index: int, pasts: Sequence[ir.Value], sight: ir.Value
) -> None:
    """Put attention over a cache in place of attention inside a text."""
    softcap = node.attributes.get_float("softcap", 0.0)
    attributes = {"scale": node.attributes.get_float("scale", 1.0), "softcap": softcap}
    inputs = [*node.inputs[:3], *pasts, sight]
    kind = "AttentionCapped" if softcap else "Attention"
    made = ir.node(kind, inputs, attributes, domain=DOMAIN, num_outputs=3)
    old, new = node.outputs[0], made.outputs[0]
    new.name, new.shape, new.type = old.name, old.shape, old.type
    for stem, past, value in zip(("key", "value"), pasts, made.outputs[1:], strict=True):
        assert past.shape is not None
        value.name, value.type = f"present_{stem}.{index}", past.type
        value.shape = ir.Shape([d if i != 2 else "total" for i, d in enumerate(past.shape)])
        graph.outputs.append(value)
    graph.insert_after(node, [made])
    ir.convenience.replace_all_uses_with(old, new)
    graph.remove(node, safe=True)


class FloatSession:
    """One text in floats, in onnxruntime: its caches go in and come out of every call."""

    def __init__(self, session: Any, names: Sequence[str]) -> None:
        """Start with empty caches.

        Args:
            session: of a graph with caches.
            names: its caches.
        """
        self._session, self._names = session, names
        shapes = {i.name: i.shape for i in session.get_inputs()}
        self._caches = {
            name: np.zeros([1, shapes[name][1], 0, shapes[name][3]], np.float32) for name in names
        }
        self._fetch = ["logits", *(name.replace("past", "present", 1) for name in names)]

    def feed_all(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after each of them, [n, vocabulary]."""
        ids = np.asarray([list(tokens)], np.int64)
        logits, *caches = self._session.run(self._fetch, {"input_ids": ids, **self._caches})
        self._caches = dict(zip(self._names, caches, strict=True))
        return np.asarray(logits[0])

    def feed(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after the last one, [vocabulary]."""
        return np.asarray(self.feed_all(tokens)[-1])


def open_float_step(model: ir.Model, threads: int = 1) -> tuple[Any, list[str]]:
    """Open a canonical decoder (changed in place) with caches in onnxruntime.

    Returns:
        The session and the names of its caches, as FloatSession takes them.

    Raises:
        ModelError: the graph has no causal attention.
    """
    names = add_caches(model)
    return open_session(ir.to_proto(model).SerializeToString(), threads), names
