"""Lower: the SCALED float graph becomes the INTEGER graph of the dialect.

    before   float operators, values with forms and units
    after    ai.intcc operators and integer data movement; nothing else

Exactness  each rule's docstring; all approximations are in the operators' error bounds.
Order      after assign_scales and assign_units; correct_bias may follow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from intcc.errors import UnsupportedOperatorError
from intcc.interval import Interval
from intcc.passes.calibrate import Statistics
from intcc.passes.lowering.attention import lower_attention
from intcc.passes.lowering.context import DIALECT, Lowering
from intcc.passes.lowering.convolution import lower_convolution, lower_max_pool
from intcc.passes.lowering.decoder import (
    CacheNames,
    add_cache_inputs,
    lower_causal_attention,
    lower_positions,
    lower_rotary,
)
from intcc.passes.lowering.divisors import Divisors
from intcc.passes.lowering.elementwise import lower_elementwise
from intcc.passes.lowering.embedding import is_embedding, lower_embedding
from intcc.passes.lowering.gelu import lower_gelu
from intcc.passes.lowering.linear import lower_matmul
from intcc.passes.lowering.movement import InputProducer, lower_movement
from intcc.passes.lowering.norm import lower_norm
from intcc.passes.lowering.pooling import lower_pooling
from intcc.qparams import QParams, Role
from intcc.sites import MOVEMENT, constant, live_nodes
from intcc.stages import supported_ones

__all__ = ["RULES", "lower"]

Rule = Callable[[Lowering, ir.Node, str], None]

#: Float operators with an integer rule; `intcc ops` prints this table.
RULES: Mapping[str, Rule] = {
    "MatMul": lower_matmul,
    "Add": lower_elementwise,
    "Sub": lower_elementwise,
    "Mul": lower_elementwise,
    "Div": lower_elementwise,
    "Relu": lower_elementwise,
    "Clip": lower_elementwise,
    "Sigmoid": lower_elementwise,
    "Tanh": lower_elementwise,
    "Softmax": lower_elementwise,
    "Gelu": lower_gelu,
    "LayerNormalization": lower_norm,
    "RMSNormalization": lower_norm,
    "Attention": lower_attention,
    "CausalAttention": lower_causal_attention,
    "RotaryEmbedding": lower_rotary,
    "Conv": lower_convolution,
    "MaxPool": lower_max_pool,
    "MeanPool": lower_pooling,
    "L2Normalize": lower_pooling,
    **dict.fromkeys(sorted(MOVEMENT), lower_movement),
}


def layer_label(node: ir.Node) -> str:
    """Return the module path that the tracer left on a node, else the node's name."""
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes")
    if scopes:
        names = [s for s in json.loads(scopes.replace("'", '"')) if s]
        return names[-2] if len(names) > 1 else (names[-1] if names else "model")
    return str(node.name or node.op_type)


def _is_float(node: ir.Node) -> bool:
    return any(v.dtype == ir.DataType.FLOAT for v in node.outputs)


def _register(ctx: Lowering, node: ir.Node) -> None:
    rule: Rule | None = RULES.get(node.op_type)
    if node.op_type == "Gather" and is_embedding(node):
        rule = lower_embedding
    if ctx.decoder and node.op_type == "Slice" and constant(node.inputs[0]) is not None:
        rule = lower_positions
    if rule is None:
        x = node.inputs[0]
        shape = list(x.shape) if x is not None and x.shape is not None else "unknown"
        raise UnsupportedOperatorError(
            f"{node.op_type} {node.name!r} of shape {shape}",
            "has no integer rule",
            supported_ones(node.op_type, RULES),
        )
    rule(ctx, node, layer_label(node))


def _materialise(ctx: Lowering, node: ir.Node) -> None:
    """Emit the demanded forms now: the graph keeps the model's order, however deep it is."""
    for value in node.outputs:
        name = str(value.name)
        if name in ctx.producers and name in ctx.demands:
            for role in sorted(ctx.demands[name].roles):
                ctx.demand(value, role)
            if ctx.demands[name].wide:
                ctx.wide(value)


def _inputs(ctx: Lowering, model: ir.Model) -> None:
    mask_like = {"attention_mask"}
    for value in model.graph.inputs:
        if value.dtype == ir.DataType.FLOAT:
            made = ctx.add_input(value, ir.DataType.UINT8, Interval.of(0, 255))
            made.meta["scale"] = value.meta["forms"][Role.LINEAR]
            ctx.producers[str(value.name)] = InputProducer(ctx, value, made)
        else:
            assert value.dtype is not None
            top = 1 if value.name in mask_like else _vocabulary(value) - 1
            ctx.add_input(value, value.dtype, Interval.of(0, top))
    if ctx.decoder:
        add_cache_inputs(ctx)


def _vocabulary(value: ir.Value) -> int:
    tables = [
        constant(node.inputs[0])
        for node, index in value.uses()
        if index == 1 and is_embedding(node)
    ]
    return min((len(table) for table in tables if table is not None), default=2**31 - 1)


def _outputs(ctx: Lowering, model: ir.Model) -> None:
    for value in model.graph.outputs:
        made = ctx.wide(value) if value.dtype == ir.DataType.FLOAT else ctx.integer(value)
        if made.name != value.name:
            for other in [v for n in ctx.graph for v in n.outputs if v.name == value.name]:
                renamed = ctx.fresh(f"{value.name}.inner")
                ctx.intervals[renamed] = ctx.intervals[str(other.name)]
                other.name = renamed
            ctx.intervals[str(value.name)] = ctx.intervals[str(made.name)]
            made.name = value.name
        ctx.graph.outputs.append(made)
    for index, presents in enumerate(ctx.presents.values()):
        for name, made in zip(CacheNames(index).present(), presents, strict=True):
            ctx.intervals[name] = ctx.intervals[str(made.name)]
            made.name = name
            ctx.graph.outputs.append(made)


def _record_scales(ctx: Lowering) -> None:
    for value in [*ctx.graph.inputs, *(v for n in ctx.graph for v in n.outputs)]:
        scale = value.meta.get("scale")
        if isinstance(scale, QParams):
            text = {"scale": scale.scale.ravel().tolist(), "zero": scale.zero.ravel().tolist()}
            value.metadata_props["intcc.scale"] = json.dumps(text)
        elif scale is not None:
            value.metadata_props["intcc.scale"] = f"1/2^{round(-np.log2(float(scale)))}"


def lower(
    model: ir.Model,
    statistics: Mapping[str, Statistics],
    max_length: int,
    *,
    compensation: bool = True,
    dynamic: bool = False,
    rope: str = "exact",
    divisors: Divisors | None = None,
) -> tuple[ir.Model, Lowering]:
    """Return the INTEGER model and the context (forms, intervals, float counterparts).

    Raises:
        UnsupportedOperatorError: a node has no rule.
        RangeProofError: a range cannot be proved.
    """
    ctx = Lowering(
        model,
        statistics,
        max_length,
        compensation=compensation,
        dynamic=dynamic,
        rope=rope,
        divisors=divisors or Divisors(),
    )
    _inputs(ctx, model)
    live = live_nodes(model.graph)
    for node in model.graph:
        if node in live and _is_float(node):
            _register(ctx, node)
            _materialise(ctx, node)
    _outputs(ctx, model)
    _record_scales(ctx)
    integer = ir.Model(ctx.graph, ir_version=10, producer_name="intcc")
    RemoveUnusedNodesPass()(integer)
    integer.graph.opset_imports[DIALECT] = 1
    return integer, ctx
