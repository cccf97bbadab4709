"""Canonicalize: one spelling per float idiom, so that later passes meet a small grammar.

The grammar is written down in `grammar.py` and checked at the end.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from intcc.passes.canonicalize.float_functions import AddFloatFunctions
from intcc.passes.canonicalize.fold_length_tables import FoldLengthTables
from intcc.passes.canonicalize.merge_constant_rows import MergeConstantRows
from intcc.passes.canonicalize.merge_heads import MergeHeads
from intcc.passes.canonicalize.recognize_masks import RecognizeMasks
from intcc.passes.canonicalize.resolve_shapes import ResolveShapes

__all__ = ["canonicalize"]


def canonicalize(model: ir.Model) -> ir.Model:
    """Bring `model` (changed in place) to the canonical FLOAT grammar.

    Reads the metadata that frontends write: intcc.task, intcc.max_positions.
    """
    passes = (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        ResolveShapes(),
        FoldLengthTables(),
        MergeConstantRows(),
        RecognizeMasks(),
        MergeHeads(),
        common.RemoveUnusedNodesPass(),
        AddFloatFunctions(),
        common.NameFixPass(),
    )
    for step in passes:
        step(model)
    for name, value in list(model.graph.initializers.items()):
        if not value.consumers() and not value.is_graph_output():
            del model.graph.initializers[name]
    return model
