"""Lower attention: integer scores, unnormalised numerators, one exact division per row."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from intcc.errors import UnsupportedOperatorError
from intcc.ops import attention
from intcc.passes.lowering.context import Lowering, Producer
from intcc.qparams import QParams, Role
from intcc.sites import constant

__all__ = ["AttentionProducer", "lower_attention"]


class AttentionProducer(Producer):
    """Forms of softmax(q k^T * scale + addend) v."""

    made_in_8_bits = True

    def __init__(self, ctx: Lowering, node: ir.Node, label: str) -> None:
        """Remember the node and check what is not supported."""
        super().__init__(ctx, node.outputs[0], label)
        self.node = node
        heads = node.attributes.get_int("q_num_heads", 0)
        kv_heads = node.attributes.get_int("kv_num_heads", heads)
        unsupported = [
            name
            for name in ("is_causal", "softcap")
            if name in node.attributes and node.attributes[name].value
        ]
        if not heads or kv_heads != heads or unsupported:
            raise UnsupportedOperatorError(
                f"Attention {node.name!r}",
                f"has {heads} heads over {kv_heads} and sets {unsupported or 'nothing else'}",
                "Encoders with one key head per query head have an integer rule",
            )
        self.heads = heads

    def native_roles(self) -> tuple[Role, ...]:
        """Return LINEAR: the values' own scale."""
        return (Role.LINEAR,)

    def make_narrow(self, role: Role) -> ir.Value:
        """Emit the operator."""
        ctx, node = self.ctx, self.node
        query, key, value = node.inputs[0], node.inputs[1], node.inputs[2]
        assert query is not None and key is not None and value is not None
        q_form: QParams = query.meta["forms"][Role.QUERY]
        k_form: QParams = key.meta["forms"][Role.KEY]
        width = query.shape[-1] if query.shape is not None else None
        assert isinstance(width, int)
        head_dim = width // self.heads
        scale = node.attributes.get_float("scale", 1 / math.sqrt(head_dim))
        unit = float(np.max(q_form.scale * k_form.scale)) * scale
        max_keys = ctx.extents(key)[1]
        constants = attention.parameters(unit, max_keys, self.heads, head_dim, self.heads)
        inputs = [
            ctx.narrow(query, Role.QUERY),
            ctx.narrow(key, Role.KEY),
            ctx.narrow(value, Role.VALUE),
            self._addend(unit),
            *(ctx.const(c, "attention.const") for c in constants),
        ]
        return ctx.emit("Attention", inputs, ir.DataType.UINT8, self.value, scale=self.form(role))

    def _addend(self, unit: float) -> ir.Value:
        """Return the integer addend of the scores: key mask, position bias, both or zero."""
        ctx, properties = self.ctx, self.node.metadata_props
        addend: ir.Value | None = None
        if "intcc.position_bias" in properties:
            addend = self._position_bias(properties["intcc.position_bias"], unit)
        if "intcc.key_mask" in properties:
            mask = _key_mask(ctx, properties["intcc.key_mask"])
            if addend is None:
                return mask
            # The sum must not leave int32: the mask is -2**28, a bias stays far below.
            return ctx.emit(
                "Add",
                [addend, mask],
                ir.DataType.INT32,
                self.value,
                suffix=".addend",
                shape=ir.Shape(["batch", self.heads, "sequence", "sequence"]),
            )
        return ctx.i32(np.zeros((1, 1, 1, 1))) if addend is None else addend

    def _position_bias(self, name: str, unit: float) -> ir.Value:
        """Round a constant table [1, H, S, S], possibly sliced to the actual length."""
        ctx = self.ctx
        value = next(v for n in ctx.source.graph for v in n.outputs if v.name == name)
        chain: list[ir.Node] = []
        table = constant(value)
        while table is None:
            node = value.producer()
            if node is None or node.op_type not in ("Slice", "Identity"):
                raise UnsupportedOperatorError(
                    f"Attention {self.node.name!r}",
                    f"adds the computed value {name!r} to its scores",
                    "Only constant position tables have an integer rule",
                )
            chain.append(node)
            assert node.inputs[0] is not None
            value = node.inputs[0]
            table = constant(value)
        limit = 2.0**26
        integers = ctx.i32(np.clip(table / unit, -limit, limit), f"{self.value.name}.position_bias")
        for node in reversed(chain):
            others = [ctx.integer(v) for v in node.inputs[1:] if v is not None]
            integers = ctx.move(node, [integers, *others], ir.DataType.INT32)[0]
        return integers


def _key_mask(ctx: Lowering, name: str) -> ir.Value:
    """Return the score addend of a [batch, sequence] mask input, made once."""
    key = (name, "key_mask")
    if key not in ctx.forms:
        mask = ctx.forms[(name, "integer")]
        shape = ir.Shape(["batch", 1, 1, "sequence"])
        ctx.forms[key] = ctx.emit(
            "KeyMask", [mask], ir.DataType.INT32, mask, suffix=".key_mask", shape=shape
        )
    return ctx.forms[key]


def lower_attention(ctx: Lowering, node: ir.Node, label: str) -> None:
    """Register the producer of an attention node."""
    ctx.producers[str(node.outputs[0].name)] = AttentionProducer(ctx, node, label)
