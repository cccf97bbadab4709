"""Strict ONNX: standard integer operators only, no float in any tensor, value or attribute.

The dialect's operators are ONNX functions already. Emission attaches their bodies, inlines them
(or keeps them) and then looks for cheaper forms with the same bits, pass by pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import onnx
import onnx_ir as ir
from onnx import inliner
from onnx_ir.passes.common import ShapeInferencePass

from intcc.backends.onnx.clean import (
    constants_to_initializers,
    remove_neutral,
    remove_unused,
    share_equal_nodes,
)
from intcc.backends.onnx.fold import fold_constants
from intcc.backends.onnx.merge_constants import merge_constants
from intcc.backends.onnx.move_blocks import move_blocks
from intcc.backends.onnx.ranges import Range
from intcc.backends.onnx.shallow_masks import shallow_masks
from intcc.backends.onnx.sum_rows import sum_rows
from intcc.backends.onnx.tabulate import tabulate
from intcc.backends.onnx.widen_tables import widen_tables
from intcc.interval import Interval
from intcc.ops import OPERATORS
from intcc.ops.operator import DOMAIN

__all__ = ["attach_functions", "emit", "functions_of", "optimize"]


def attach_functions(integer: ir.Model) -> onnx.ModelProto:
    """Return the dialect graph with the bodies of the operators it uses, nested ones included."""
    proto = ir.to_proto(integer)
    proto.functions.extend(functions_of(integer))
    return proto


def functions_of(integer: ir.Model) -> list[onnx.FunctionProto]:
    """Return the bodies of the operators that a dialect graph uses, nested ones included."""
    used = {n.op_type for n in integer.graph if n.domain == DOMAIN.domain}
    functions = {f.name: f for k in used for f in (OPERATORS[k].function, *OPERATORS[k].nested)}
    return [functions[name].to_function_proto() for name in sorted(functions)]


def emit(
    integer: ir.Model,
    proved: Mapping[str, Interval] = MappingProxyType({}),
    *,
    keep_functions: bool = False,
) -> onnx.ModelProto:
    """Return the strict model.

    Args:
        integer: the INTEGER graph.
        proved: intervals of its values by name; without, fewer forms are known to fit.
        keep_functions: keep `ai.intcc` functions instead of inlining them.
    """
    proto = attach_functions(integer)
    if keep_functions:
        return proto
    flat = ir.from_proto(inliner.inline_local_functions(proto))
    optimize(flat, {name: (i.min, i.max) for name, i in proved.items()})
    flat.opset_imports.pop(DOMAIN.domain, None)
    return ir.to_proto(flat)


def optimize(flat: ir.Model, proved: Mapping[str, Range]) -> None:
    """Give a flat graph its cheapest known form, in place; the order is explained on each line.

    Args:
        flat: bodies inlined.
        proved: ranges of the dialect's values by name.
    """
    graph = flat.graph
    constants_to_initializers(graph)
    ShapeInferencePass()(flat)
    fold_constants(flat)  # constants are seen as such from here on
    remove_neutral(graph)
    share_equal_nodes(flat)
    move_blocks(flat)
    tabulate(flat, proved)  # takes whole chains; what remains is cleaned once more
    remove_unused(graph)
    ShapeInferencePass()(flat)
    fold_constants(flat)
    shallow_masks(flat, proved)
    widen_tables(flat, proved)
    share_equal_nodes(flat)
    merge_constants(flat, proved)
    sum_rows(flat, proved)
    remove_unused(graph)
    graph.sort()
