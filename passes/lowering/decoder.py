"""Lower what only decoders have: the cache of keys and values, rotation, rows by position.

    k, v    one scale per token and head (DynamicQuantize), appended to the cache
    y       CachedAttention of the queries to all tokens up to each one's own
    tables  rows past ... past + sequence, where the float graph has 0 ... sequence; those of
            rotary phases carry what they are computed from, so that C need not store them

The float graph computes a whole text at once; the integer graph continues from a cache of any
length, empty at first. Its inputs and outputs carry the caches of all layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import UnsupportedOperatorError
from intcc.interval import Interval
from intcc.ops import cached_attention, cached_attention_capped, phases, rotary
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA
from intcc.ops.linear_dynamic import LARGEST_EXPONENT
from intcc.passes.lowering.context import Lowering, Producer
from intcc.sites import constant

__all__ = [
    "CACHE",
    "CacheNames",
    "add_cache_inputs",
    "lower_causal_attention",
    "lower_positions",
    "lower_rotary",
]

Array = npt.NDArray[Any]

#: What one layer keeps: stem of the name, type, whether its last axis is the head size.
CACHE = ("key", "key_mantissa", "key_exponent", "value", "value_mantissa", "value_exponent")


class CacheNames:
    """Names of the cache of layer `index`, before (`past`) and after (`present`) a call."""

    def __init__(self, index: int) -> None:
        """Remember the layer."""
        self.index = index

    def past(self) -> list[str]:
        """Return the names of the inputs."""
        return [f"past_{stem}.{self.index}" for stem in CACHE]

    def present(self) -> list[str]:
        """Return the names of the outputs."""
        return [f"present_{stem}.{self.index}" for stem in CACHE]


def _heads(value: ir.Value | None) -> tuple[int, int]:
    """Return heads and head size of [batch, sequence, H, D]."""
    assert value is not None and value.shape is not None
    heads, size = value.shape[2], value.shape[3]
    if not isinstance(heads, int) or not isinstance(size, int):
        raise UnsupportedOperatorError(
            f"Value {value.name!r}",
            "has no fixed number of heads or head size",
            "Export the model with fixed heads",
        )
    return heads, size


def add_cache_inputs(ctx: Lowering) -> None:
    """Declare the caches of all attention layers, in the order of the layers."""
    nodes = [node for node in ctx.source.graph if node.op_type == "CausalAttention"]
    codes = Interval.of(-127, 127)
    mantissa, exponent = Interval.of(1, LARGEST_MANTISSA), Interval.of(0, LARGEST_EXPONENT)
    for index, node in enumerate(nodes):
        (heads, size), (_, v_size) = _heads(node.inputs[1]), _heads(node.inputs[2])
        rows = ir.Shape(["batch", heads, 1, "past"])
        kinds = (
            (ir.DataType.INT8, ir.Shape(["batch", heads, size, "past"]), codes),
            (ir.DataType.INT32, rows, mantissa),
            (ir.DataType.INT32, rows, exponent),
            (ir.DataType.INT8, ir.Shape(["batch", heads, "past", v_size]), codes),
            (ir.DataType.INT32, rows, mantissa),
            (ir.DataType.INT32, rows, exponent),
        )
        made = []
        for name, (dtype, shape, interval) in zip(CacheNames(index).past(), kinds, strict=True):
            value = ir.Value(name=ctx.fresh(name), shape=shape, type=ir.TensorType(dtype))
            ctx.graph.inputs.append(value)
            ctx.intervals[str(value.name)] = interval
            made.append(value)
        ctx.pasts[node] = made


class CausalAttentionProducer(Producer):
    """Wide form of attention over the cache; unit of the values."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Remember the node."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def _append(self, value: ir.Value, kind: str, pasts: list[ir.Value]) -> list[ir.Value]:
        """Quantize new rows per token and head, and append them to the cache."""
        ctx = self.ctx
        quantized = ctx.quantize_rows(ctx.wide(value), value)
        types = (ir.DataType.INT8, ir.DataType.INT32, ir.DataType.INT32)
        specs = []
        for past, dtype, suffix in zip(pasts, types, ("", ".m", ".k"), strict=True):
            assert past.shape is not None
            shape = ir.Shape(["total" if str(d) == "past" else d for d in past.shape])
            specs.append((dtype, value, None, f".cache{suffix}", shape))
        return ctx.emit_many(kind, [*quantized, *pasts], specs)

    def make_wide(self) -> ir.Value:
        """Emit the cache updates and CachedAttention."""
        ctx = self.ctx
        q, k, v = self.node.inputs[:3]
        assert q is not None and k is not None and v is not None
        pasts = ctx.pasts[self.node]
        keys = self._append(k, "CacheKeys", pasts[:3])
        values = self._append(v, "CacheValues", pasts[3:])
        ctx.presents[self.node] = [*keys, *values]
        unit_q, unit_k = float(q.meta["unit"]), float(k.meta["unit"])
        attributes = self.node.attributes
        scale = attributes.get_float("scale", 1.0)
        softcap, window = attributes.get_float("softcap", 0.0), attributes.get_int("window", 0)
        (heads, size), (kv_heads, value_size) = _heads(q), _heads(v)
        shape = (heads, kv_heads, size, value_size, window or 0)
        kind = "CachedAttentionCapped" if softcap else "CachedAttention"
        constants = (
            cached_attention_capped.parameters(unit_q, unit_k, scale, softcap, *shape)
            if softcap
            else cached_attention.parameters(unit_q, unit_k, scale, *shape)
        )
        inputs = [
            ctx.wide(q),
            *keys,
            *values,
            *(ctx.const(c, "attention.const") for c in constants),
        ]
        return ctx.emit(kind, inputs, ir.DataType.INT32, self.value, scale=self.unit)


class RotaryProducer(Producer):
    """Wide form of rotated heads."""

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Remember the node."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node

    def make_wide(self) -> ir.Value:
        """Emit Rotary with rows of the tables of half the rotated width."""
        ctx = self.ctx
        x, cos, sin = self.node.inputs
        assert x is not None and cos is not None and sin is not None
        if ctx.rope == "phase":
            rows = _phase_rows(ctx, cos, sin)
        else:
            rows = [position_rows(ctx, v, _half_table) for v in (cos, sin)]
        return ctx.emit(
            "Rotary", [ctx.wide(x), *rows], ir.DataType.INT32, self.value, scale=self.unit
        )


def _half_table(table: Array) -> Array:
    """Turn the real table [1, T, R] into Q14 [1, T, 1, R/2]."""
    half = table[..., : table.shape[-1] // 2]
    return rotary.table(half)[:, :, None, :]


def _phase_rows(ctx: Lowering, cos: ir.Value, sin: ir.Value) -> list[ir.Value]:
    """Return rows of tables that phases make up; their nodes carry the phases.

    Raises:
        UnsupportedOperatorError: phases cannot stand for the tables.
    """
    keys = [(str(value.name), phases.PHASE) for value in (cos, sin)]
    if not all(key in ctx.forms for key in keys):
        real = [_table(value) for value in (cos, sin)]
        half = real[0].shape[-1] // 2
        found = phases.recover(*(table.reshape(-1, 2 * half)[:, :half] for table in real))
        for key, value, phase in zip(keys, (cos, sin), found, strict=True):

            def computed(table: Array, phase: phases.Phases = phase) -> Array:
                return phase.rows(table.shape[1])[None, :, None, :]

            made = position_rows(ctx, value, computed)
            node = made.producer()
            assert node is not None
            node.metadata_props[phases.PHASE] = phase.encode()
            ctx.forms[key] = made
    return [ctx.forms[key] for key in keys]


class PositionProducer(Producer):
    """Wide form of the rows of a table of learned positions."""

    def make_wide(self) -> ir.Value:
        """Emit the rows on the value's grid."""

        def rounded(table: Array) -> Array:
            return np.rint(table.astype(np.float64) / self.unit).astype(np.int32)

        rows = position_rows(self.ctx, self.value, rounded)
        rows.meta["scale"] = self.unit
        return rows


def position_rows(ctx: Lowering, value: ir.Value, transform: Callable[[Array], Array]) -> ir.Value:
    """Return rows past ... past + sequence of a constant table, made integers by `transform`.

    Args:
        ctx: the lowering.
        value: Slice(table, 0, sequence, axis 1) of the float graph.
        transform: real table to an int32 table with positions along axis 1.
    """
    made = ctx.const(transform(_table(value)), f"{value.name}.table")
    key = (str(made.name), "position_rows")
    if key not in ctx.forms:
        first, last, axis = _positions(ctx)
        shape = ir.Shape([d if i != 1 else "sequence" for i, d in enumerate(made.shape or ())])
        rows = ir.Value(
            name=ctx.fresh(f"{value.name}.rows"), shape=shape, type=ir.TensorType(ir.DataType.INT32)
        )
        ctx.insert(ir.Node("", "Slice", [made, first, last, axis], outputs=[rows]), rows, made)
        ctx.forms[key] = rows
    return ctx.forms[key]


def _table(value: ir.Value) -> Array:
    """Return the constant that a value of the float graph has the first rows of."""
    node = value.producer()
    assert node is not None
    table = constant(node.inputs[0])
    assert table is not None
    return table


def _positions(ctx: Lowering) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Return the first position, the one past the last, and the axis, made once."""
    keys = [("", name) for name in ("first_position", "last_position", "position_axis")]
    if keys[0] not in ctx.forms:
        ids = ctx.graph.inputs[0]
        past = next(v for v in ctx.graph.inputs if str(v.name).startswith("past_key."))
        lengths = []
        for source, axis, name in ((past, 3, "past_length"), (ids, 1, "sequence_length")):
            made = _length(ctx, name)
            attributes = {"start": axis, "end": axis + 1}
            ctx.insert(ir.node("Shape", [source], attributes, outputs=[made]), made, source)
            ctx.intervals[name] = Interval.of(0, ctx.max_length)
            lengths.append(made)
        last = _length(ctx, "last_position")
        ctx.insert(ir.Node("", "Add", lengths, outputs=[last]), last, lengths[0])
        ctx.intervals["last_position"] = Interval.of(0, 2 * ctx.max_length)
        axis_value = ctx.const(np.array([1], np.int64))
        ctx.forms.update(zip(keys, (lengths[0], last, axis_value), strict=True))
    return ctx.forms[keys[0]], ctx.forms[keys[1]], ctx.forms[keys[2]]


def _length(ctx: Lowering, name: str) -> ir.Value:
    return ir.Value(
        name=ctx.fresh(name), shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64)
    )


def lower_causal_attention(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of attention over a cache."""
    ctx.producers[str(node.outputs[0].name)] = CausalAttentionProducer(ctx, node, label)


def lower_rotary(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of a rotation."""
    ctx.producers[str(node.outputs[0].name)] = RotaryProducer(ctx, node, label)


def lower_positions(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of table rows by position."""
    ctx.producers[str(node.outputs[0].name)] = PositionProducer(ctx, node.outputs[0], label)
