"""Select: an integer graph becomes a program, node by node, in order of execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from intcc.backends.c import (
    kernels_attention,
    kernels_cache,
    kernels_conv,
    kernels_dynamic,
    kernels_elementwise,
    kernels_gate,
    kernels_gelu,
    kernels_linear,
    kernels_rows,
)
from intcc.backends.c.arena import merge_in_place
from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.fuse import DIALECT, Fusions
from intcc.backends.c.kernels_movement import MOVEMENT, copy, data_inputs
from intcc.backends.c.names import identifier, layer_title, short_names
from intcc.backends.c.npu_call import npu_call
from intcc.backends.c.offload import offloaded
from intcc.backends.c.program import Parameter, Place, Program, Storage, View
from intcc.backends.c.shapes import ONE, dimensions
from intcc.backends.c.state import is_cache
from intcc.backends.c.target import Target
from intcc.backends.npu.part import Part, in_order

__all__ = ["OPERATORS", "select"]

Rule = Callable[[Builder, ir.Node], None]
FusedRule = Callable[[Builder, ir.Node, ir.Node], None]


def _key_mask(b: Builder, node: ir.Node) -> None:
    """In C every token is valid: nothing is masked."""
    b.zeros.add(node.outputs[0])


#: C forms of the dialect's operators.
OPERATORS: Mapping[str, Rule] = {
    "Add": kernels_elementwise.add,
    "Affine": kernels_elementwise.affine,
    "Attention": kernels_attention.attention,
    "BatchMatMul": kernels_dynamic.batch_matmul,
    "CacheKeys": kernels_cache.cache_keys,
    "CacheValues": kernels_cache.cache_values,
    "CachedAttention": kernels_cache.cached_attention,
    "CachedAttentionCapped": kernels_cache.cached_attention_capped,
    "Clip": kernels_elementwise.clip,
    "Conv": kernels_conv.conv,
    "ConvWide": kernels_conv.conv_wide,
    "DynamicQuantize": kernels_dynamic.dynamic_quantize,
    "Embedding": kernels_rows.embedding,
    "Gelu": kernels_gelu.gelu,
    "GeluWide": kernels_gate.gelu_wide,
    "KeyMask": _key_mask,
    "L2Normalize": kernels_rows.l2_normalize,
    "LayerNorm": kernels_rows.layer_norm,
    "Linear": kernels_linear.linear,
    "LinearDynamic": kernels_dynamic.linear_dynamic,
    "LinearDynamicFull": kernels_dynamic.linear_dynamic,
    "LinearWide": kernels_linear.linear_wide,
    "MaxPool": kernels_conv.max_pool,
    "MeanPool": kernels_rows.mean_pool,
    "Product": kernels_elementwise.product,
    "Quantize": kernels_elementwise.quantize,
    "RMSNorm": kernels_rows.rms_norm,
    "Relu": kernels_elementwise.relu,
    "Rescale": kernels_elementwise.rescale,
    "Rotary": kernels_rows.rotary,
    "SaturatingAdd": kernels_elementwise.saturating_add,
    "Sigmoid": kernels_gate.sigmoid,
    "Silu": kernels_gate.silu,
    "Softmax": kernels_gate.softmax,
    "Tanh": kernels_gate.tanh,
    "Widen": kernels_elementwise.widen,
}
_FUSED: Mapping[str, FusedRule] = {
    "Linear+Gelu": kernels_linear.linear_gelu,
    "LinearWide+Add": kernels_linear.linear_wide_add,
    "LinearDynamic+SaturatingAdd": kernels_dynamic.linear_dynamic_add,
    "LinearDynamicFull+SaturatingAdd": kernels_dynamic.linear_dynamic_add,
}
#: Operands that C does not read, because every token is valid.
_MASKS = {"KeyMask": (0,), "MeanPool": (1,)}


def _operands(node: ir.Node) -> list[ir.Value]:
    if node.domain != DIALECT:
        return data_inputs(node)
    hidden = _MASKS.get(node.op_type, ())
    return [v for i, v in enumerate(node.inputs) if v is not None and i not in hidden]


def _needed(graph: ir.Graph) -> tuple[list[ir.Node], list[ir.Value]]:
    """Return the nodes and inputs that some output depends on in C."""
    wanted = set(graph.outputs)
    nodes = []
    for node in reversed(list(graph)):
        if any(v in wanted for v in node.outputs):
            nodes.append(node)
            wanted.update(_operands(node))
    return nodes[::-1], [v for v in graph.inputs if v in wanted and not is_cache(v)]


def _finish_outputs(b: Builder) -> None:
    """Let the model's outputs be written to the caller's arrays, without a copy where possible."""
    b.layer = "output"
    taken: set[Storage] = set()
    for value in b.model.graph.outputs:
        if value in b.caches:
            continue
        view, dims = b.view(value), dimensions(value)
        b.operator = "output"
        shared = not view.whole or view.storage in taken or view.storage.padded
        if view.storage.place is not Place.ARENA or shared:
            storage = b.storage(str(value.name), view.storage.dtype, view.extent)
            target = View(storage, dims)
            copy(b, ONE, view.extent, view, view.extent, target, view.extent)
            view = target
        view.storage.place = Place.OUTPUT
        view.storage.name = b.public[value]
        taken.add(view.storage)
        b.program.outputs.append(Parameter(view, str(value.name)))


def select(
    model: ir.Model,
    target: Target,
    max_tokens: int | None = None,
    offload: Sequence[str] = (),
    parts: Sequence[Part] = (),
) -> Program:
    """Return the program of an integer graph.

    Args:
        model: the graph.
        target: the choices of a machine family.
        max_tokens: most tokens of a call, in place of the model's longest sequence.
        offload: what an accelerator is called for; keys of `offload.OFFLOADED`.
        parts: nodes of the graph that an NPU computes.

    Raises:
        UnsupportedOperatorError: an operator or a shape has no C form.
    """
    b = Builder(model, target, max_tokens)
    nodes, inputs = _needed(model.graph)
    for value in inputs:
        b.input(value)
    b.program.offload = tuple(offload)
    elsewhere = offloaded(offload)
    placed = {node for part in parts for node in part.nodes}
    fusions = Fusions(model.graph, lambda node: node.op_type in elsewhere or node in placed)
    rules = {**OPERATORS, **elsewhere}
    for node in in_order(nodes, parts):
        if isinstance(node, Part):
            npu_call(b, node)
            continue
        b.layer = layer_title(node.metadata_props.get("intcc.layer", ""))
        b.operator = node.op_type
        if node in fusions.absorbed:
            continue
        if node in fusions.partner:
            b.operator = f"{fusions.partner[node].op_type}+{node.op_type}"
            _FUSED[b.operator](b, fusions.partner[node], node)
        elif node.domain == DIALECT and node.op_type in rules:
            rules[node.op_type](b, node)
        elif node.domain == "" and node.op_type in MOVEMENT:
            MOVEMENT[node.op_type](b, node)
        else:
            raise unsupported(node, "has no C form")
    _finish_outputs(b)
    merge_in_place(b.program)
    _name_storages(b)
    return b.program


def _name_storages(b: Builder) -> None:
    """Replace the graph's names by identifiers; constants are public and carry the prefix."""
    program = b.program
    program.constants = [s for s in program.constants if s in set(program.storages())]
    named = [s for s in program.storages() if s.place in (Place.ARENA, Place.FLASH, Place.STATE)]
    short = short_names(s.name for s in named)
    for storage in named:
        name = identifier(short[storage.name])
        if storage.place is Place.FLASH:
            storage.name = b.names.external(f"{program.name}_", name)
        else:
            storage.name = b.names.unique(name)
