"""Canonicalize: one spelling per float idiom, so that later passes meet a small grammar.

The grammar is `intcc.stages.FLOAT`; every value has a type and a shape, dimensions are numbers,
"batch" or "sequence".
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from intcc.passes.canonicalize.absorb_scales import AbsorbScales
from intcc.passes.canonicalize.channels_last import ChannelsLast
from intcc.passes.canonicalize.check_grammar import CheckGrammar
from intcc.passes.canonicalize.float_functions import AddFloatFunctions
from intcc.passes.canonicalize.fold_batch_norm import FoldBatchNorm
from intcc.passes.canonicalize.fold_constants import FoldConstants
from intcc.passes.canonicalize.fold_length_tables import FoldLengthTables
from intcc.passes.canonicalize.free_extents import FreeExtents
from intcc.passes.canonicalize.fuse_attention import FuseAttention
from intcc.passes.canonicalize.infer_shapes import InferShapes
from intcc.passes.canonicalize.keep_tokens import KeepTokens
from intcc.passes.canonicalize.merge_constant_rows import MergeConstantRows
from intcc.passes.canonicalize.merge_heads import MergeHeads
from intcc.passes.canonicalize.recognize_gelu import RecognizeGelu
from intcc.passes.canonicalize.recognize_masks import RecognizeMasks
from intcc.passes.canonicalize.recognize_norms import RecognizeNorms
from intcc.passes.canonicalize.recognize_pooling import RecognizePooling
from intcc.passes.canonicalize.recognize_positions import RecognizePositions
from intcc.passes.canonicalize.remove_dead import RemoveDead
from intcc.passes.canonicalize.resolve_shapes import ResolveShapes
from intcc.passes.canonicalize.round_attributes import RoundAttributes
from intcc.passes.canonicalize.scale_embedding import ScaleEmbedding
from intcc.passes.canonicalize.settle_attributes import SettleAttributes
from intcc.passes.canonicalize.simplify_movement import SimplifyMovement
from intcc.passes.canonicalize.sink_transposes import SinkTransposes
from intcc.passes.canonicalize.spell_activations import SpellActivations
from intcc.passes.canonicalize.split_gemm import SplitGemm
from intcc.passes.canonicalize.unfold_patches import UnfoldPatches
from intcc.passes.canonicalize.upgrade_opset import UpgradeOpset
from intcc.passes.canonicalize.write_squares import WriteSquares

__all__ = ["canonicalize"]

#: Once, in this order.
PREPARE: tuple[ir.passes.PassBase, ...] = (
    RoundAttributes(),  # a traced graph is what its file would be
    UpgradeOpset(),  # one opset for all that follows
    common.InlinePass(lambda function: function.domain != "ai.intcc.float"),  # one flat graph
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),  # one constant
)
#: Until nothing changes: each lets the others see further.
SETTLE: tuple[ir.passes.PassBase, ...] = (
    InferShapes(),
    FoldConstants(),
    ResolveShapes(),
    SimplifyMovement(),
    RemoveDead(),  # a dead Shape would count as a reader
)
#: What needs no data: afterwards more shapes are known.
TABLES: tuple[ir.passes.PassBase, ...] = (
    RecognizePositions(),  # what is then left of positions depends on the length alone
    FoldLengthTables(),
    MergeConstantRows(),
)
#: Once, in this order, on a graph with known shapes and folded constants.
IDIOMS: tuple[ir.passes.PassBase, ...] = (
    RecognizePooling(),
    RecognizeGelu(),
    RecognizeNorms(),
    WriteSquares(),
    ScaleEmbedding(),
    SplitGemm(),
    KeepTokens(),  # after SplitGemm, whose Adds it reads
    SinkTransposes(),
    SimplifyMovement(),  # joins what SinkTransposes and KeepTokens left next to each other
    AbsorbScales(),
    UnfoldPatches(),  # what is left of convolutions is ChannelsLast's
    FoldBatchNorm(),
    SpellActivations(),
    ChannelsLast(),
    SimplifyMovement(),
    RemoveDead(),
    FuseAttention(),  # before RecognizeMasks, which looks at Attention's mask
    common.CommonSubexpressionEliminationPass(),  # one mask for all layers
    RecognizeMasks(),
    RemoveDead(),  # before MergeHeads: what is replaced must have no other reader
    MergeHeads(),
    FreeExtents(),
    MergeConstantRows(),  # again: a fixed export keeps its rows until here
    RemoveDead(),
    InferShapes(),  # shapes of what the idioms made
    SettleAttributes(),
    AddFloatFunctions(),
    common.NameFixPass(),
    CheckGrammar(),
)
#: A model settles in as many rounds as it has layers, in the worst case.
MAX_ROUNDS = 200


def canonicalize(model: ir.Model) -> ir.Model:
    """Bring `model` (changed in place) to the canonical FLOAT grammar.

    Reads the metadata that frontends write (intcc.task, intcc.max_positions), and writes the
    length at which the position tables end into intcc.max_positions.

    Raises:
        ModelError: the model does something that no canonical form can say.
        UnsupportedOperatorError: an operator has no integer rule.
    """
    for step in PREPARE:
        step(model)
    _settle(model)
    for step in TABLES:
        step(model)
    _settle(model)
    for step in IDIOMS:
        step(model)
    return model


def _settle(model: ir.Model) -> None:
    for _ in range(MAX_ROUNDS):
        modified = [bool(step(model).modified) for step in SETTLE]
        if not any(modified):
            return
