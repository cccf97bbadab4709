"""Recognize masks: whatever hides padding in Attention becomes one shared boolean mask.

    before   Attention(q, k, v, any arithmetic on attention_mask [+ relative position bias])
    after    Attention(q, k, v)                            a mask that hides nothing goes
             Attention(q, k, v, keys)                       keys  [batch, 1, S, S] bool
             Attention(q, k, v, Where(keys, bias, lowest))  bias  [1, H, S, S] rows of a table
             node.metadata_props: intcc.key_mask = "attention_mask", intcc.position_bias = "bias"

A mask is recognised by its values. The part of the graph that computes it is run for every mask
of up to four tokens and for random longer ones, and must hide exactly the keys whose mask is 0
(False, or at most -9000), and leave at every other key a bias that no mask changes.

Exactness  hidden keys get weight exp(-9000) = 0 in float32 before and after. A row whose mask is
           all 0 has no defined result (softmax of nothing) and is not compared.
Order      after fold_length_tables, which turns position biases into rows of a table.
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.passes.canonicalize.evaluate import (
    BINDINGS,
    NotEvaluableError,
    evaluate,
    shape_only,
)
from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    as_shape,
    constant,
    dims,
    insert_before,
)
from intcc.passes.canonicalize.inputs import length_node

__all__ = ["RecognizeMasks"]

#: A score addend at or below this hides its key: -10000 and a bias are common.
_HIDDEN = -9e3
_MASK = "attention_mask"


class RecognizeMasks(ir.passes.InPlacePass):
    """Rewrite the mask operand of every Attention node."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Recognise each distinct mask value once."""
        graph = model.graph
        inputs = {str(v.name): v for v in graph.inputs}
        made: dict[ir.Value, tuple[ir.Value | None, dict[str, str]]] = {}
        changed = False
        for node in list(graph):
            if node.op_type != "Attention" or "intcc.masked" in node.metadata_props:
                continue
            mask = node.inputs[3] if len(node.inputs) > 3 else None
            if mask is not None:
                if mask not in made:
                    made[mask] = self._rewrite(graph, node, mask, inputs.get(_MASK))
                new, notes = made[mask]
                if new is None:
                    node.resize_inputs(3)
                else:
                    node.replace_input_with(3, new)
                node.metadata_props.update(notes)
            node.metadata_props["intcc.masked"] = "1"
            changed = True
        return ir.passes.PassResult(model, changed)

    def _rewrite(
        self, graph: ir.Graph, node: ir.Node, mask: ir.Value, source: ir.Value | None
    ) -> tuple[ir.Value | None, dict[str, str]]:
        if _hides_nothing(mask):
            return None, {}
        bias, masked = _observe(mask, source)
        notes: dict[str, str] = {}
        result: ir.Value | None = None
        rows: ir.Value | None = None
        if bias is not None:
            rows = _bias_rows(mask)
            if rows is None:
                raise ModelError(
                    f"Attention mask '{mask.name}'",
                    "adds a bias to the scores that is not a table of positions",
                    "Report the model to us",
                )
            notes["intcc.position_bias"] = str(rows.name)
            result = rows
        if masked:
            assert source is not None
            notes["intcc.key_mask"] = _MASK
            keys = _shared_keys(graph, source, node)
            result = keys if rows is None else _join(graph, keys, rows, node)
        return result, notes


def _hides_nothing(mask: ir.Value) -> bool:
    """Tell whether `mask` needs no data and leaves every score as it is."""
    if not shape_only(mask, {}):
        return False
    try:
        seen = [evaluate(mask, binding) for binding in BINDINGS]
    except NotEvaluableError:
        return False
    return all(bool(v.all()) if v.dtype == bool else not v.any() for v in seen)


def _observe(mask: ir.Value, source: ir.Value | None) -> tuple[Array | None, bool]:
    """Return the bias seen at unmasked keys (None when it is zero) and whether keys are hidden."""
    bias: Array | None = None
    masked = False
    for given in _probes(source):
        batch, length = given.shape
        values = _run(mask, given)
        addend = np.where(values, 0.0, -np.inf) if values.dtype == bool else values
        try:
            addend = np.broadcast_to(addend, (batch, max(_heads(addend), 1), length, length))
        except ValueError:
            raise _unknown(mask, f"has shape {list(values.shape)}") from None
        shown = np.broadcast_to((given != 0)[:, None, None, :], addend.shape)
        hidden = addend <= _HIDDEN
        masked = masked or bool((hidden & ~shown).any())
        if (hidden & shown).any():
            raise _unknown(mask, "hides keys that are no padding (a causal or windowed mask)")
        if masked and not hidden[~shown].all():
            raise _unknown(mask, "hides padding in some rows only")
        base = np.where(shown, addend, 0.0)
        expected = _run(mask, np.ones_like(given))
        full = (
            np.zeros_like(base) if expected.dtype == bool else np.broadcast_to(expected, base.shape)
        )
        if not np.array_equal(base, np.where(shown, full, 0.0)):
            raise _unknown(mask, "changes the scores of keys that are not hidden")
        if full.any():
            bias = full
    return bias, masked


def _heads(addend: Array) -> int:
    return addend.shape[1] if addend.ndim == 4 else 1


def _probes(source: ir.Value | None) -> list[Array]:
    """Every mask of two, three and four tokens in pairs with its reverse, and longer ones.

    A graph of fixed extents gets 64 random masks of its own size.
    """
    generator = np.random.default_rng(0)
    fixed = [d for d in dims(source) if isinstance(d, int)]
    sizes = [(2, 5)]
    if source is None:
        return [np.ones(sizes[0], np.int64)]
    if fixed:
        batch, length = (
            d if isinstance(d, int) else n for d, n in zip(dims(source), (2, 5), strict=True)
        )
        sizes = [(batch, length)]
    probes = [np.ones(sizes[0], np.int64)]
    if not fixed:
        for length in (2, 3, 4):
            for bits in itertools.product((0, 1), repeat=length):
                if any(bits):
                    probes.append(np.array([bits, bits[::-1]], np.int64))
        sizes = [(3, 7), (3, 13)]
    for size in sizes * (64 if fixed else 1):
        rows = generator.integers(0, 2, size)
        rows[:, generator.integers(0, size[1])] = 1
        probes.append(rows.astype(np.int64))
    return probes


def _run(mask: ir.Value, given: Array) -> Array:
    binding = {"batch": given.shape[0], "sequence": given.shape[1]}
    feeds = {_MASK: given, "input_ids": np.full_like(given, 2)}
    try:
        return evaluate(mask, binding, feeds)
    except NotEvaluableError as error:
        raise _unknown(mask, f"cannot be computed from the padding mask ({error})") from None


def _unknown(mask: ir.Value, fact: str) -> ModelError:
    return ModelError(
        f"Attention mask '{mask.name}'", fact, "Supported: padding masks and position biases"
    )


def _bias_rows(mask: ir.Value) -> ir.Value | None:
    """Find the folded table of position biases among the terms of `mask`."""
    stack, seen = [mask], set()
    found = []
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        node = value.producer()
        if node is None and constant(value) is not None:
            found.append(value)  # a graph of fixed length
        elif node is not None and node.op_type == "Slice" and constant(node.inputs[0]) is not None:
            found.append(value)
        elif node is not None and node.op_type in ("Add", "Where", "Sub", "Expand", "Identity"):
            stack.extend(x for x in node.inputs if x is not None)
    rows = [v for v in found if v.shape is not None and len(v.shape) in (3, 4)]
    return rows[0] if len(rows) == 1 else None


def _shared_keys(graph: ir.Graph, source: ir.Value, node: ir.Node) -> ir.Value:
    """Return [batch, 1, S, S] bool from the mask input; made once per graph.

    onnxruntime's kernel wants the query axis written out, hence the Expand.
    """
    for user in source.consumers():
        if user.metadata_props.get("intcc.key_mask") == "1":
            return _end(user.outputs[0])
    axes = add_initializer(graph, "mask_axes", np.array([1, 2], np.int64))
    one = add_initializer(graph, "mask_one", np.array([1], np.int64))
    cast = ir.node("Cast", [source], {"to": int(ir.DataType.BOOL)})
    cast.metadata_props["intcc.key_mask"] = "1"
    keys = ir.node("Unsqueeze", [cast.outputs[0], axes])
    length = length_node(graph, node)
    shape = ir.node("Concat", [one, one, length, one], {"axis": 0})
    expand = ir.node("Expand", [keys.outputs[0], shape.outputs[0]])
    insert_before(node, [cast, keys, shape, expand])
    boolean = ir.TensorType(ir.DataType.BOOL)
    for made, name, extents in (
        (cast, "key_mask", ["batch", "sequence"]),
        (keys, "key_mask.row", ["batch", 1, 1, "sequence"]),
        (expand, "key_mask.all_queries", ["batch", 1, "sequence", "sequence"]),
    ):
        made.name = made.outputs[0].name = name
        made.outputs[0].type, made.outputs[0].shape = boolean, as_shape(extents)
    shape.name = shape.outputs[0].name = "key_mask.shape"
    shape.outputs[0].type, shape.outputs[0].shape = ir.TensorType(ir.DataType.INT64), ir.Shape([4])
    return expand.outputs[0]


def _end(value: ir.Value) -> ir.Value:
    """Follow Cast -> Unsqueeze -> Expand."""
    while True:
        users = [u for u in value.consumers() if u.op_type in ("Unsqueeze", "Expand")]
        if not users:
            return value
        value = users[0].outputs[0]


def _join(graph: ir.Graph, keys: ir.Value, rows: ir.Value, node: ir.Node) -> ir.Value:
    """Where(keys, rows, lowest): the bias at shown keys."""
    lowest = add_initializer(graph, "lowest", np.array(-1e9, np.float32))
    where = ir.node("Where", [keys, rows, lowest])
    insert_before(node, [where])
    where.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    where.outputs[0].shape = as_shape(["batch", *dims(rows)[1:]])
    return where.outputs[0]
