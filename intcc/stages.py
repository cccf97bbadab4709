"""What a graph may contain at each stage, as data.

FLOAT     canonical float operators, float and integer tensors
SCALED    FLOAT plus value.meta["forms"] and value.meta["unit"]
INTEGER   ai.intcc operators and data movement over integers; no float anywhere
STRICT    standard integer operators; no float anywhere
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

import onnx_ir as ir

from intcc.sites import FLOAT_DOMAIN, MOVEMENT

__all__ = ["FLOAT", "INTEGER", "STRICT", "Stage", "supported_ones", "violations"]

_FLOAT_TYPES = frozenset(t for t in ir.DataType if t.is_floating_point())
_FLOAT_ATTRIBUTES = frozenset({ir.AttributeType.FLOAT, ir.AttributeType.FLOATS})


@dataclass(frozen=True)
class Stage:
    """A grammar.

    Attributes:
        name: for messages.
        operators: allowed operator types by domain; None allows all of a domain.
        floats: whether float tensors and attributes may occur.
    """

    name: str
    operators: dict[str, frozenset[str] | None]
    floats: bool


_SHAPE_ARITHMETIC = frozenset({"Shape", "Cast", "ArgMax", "Range"})

FLOAT = Stage(
    "FLOAT",
    {
        "": MOVEMENT
        | _SHAPE_ARITHMETIC
        | frozenset(
            "Add Sub Mul Div MatMul Attention LayerNormalization RMSNormalization Gelu Relu "
            "Sigmoid Tanh Softmax Clip Where Not Equal".split()
        ),
        FLOAT_DOMAIN: frozenset(
            "MeanPool L2Normalize RotaryEmbedding CausalAttention Conv MaxPool".split()
        ),
    },
    floats=True,
)
#: Add of the INTEGER stage adds lengths: the first position and the number of tokens.
INTEGER = Stage(
    "INTEGER", {"": MOVEMENT | _SHAPE_ARITHMETIC | {"Add"}, "ai.intcc": None}, floats=False
)
STRICT = Stage(
    "STRICT",
    {
        "": MOVEMENT
        | _SHAPE_ARITHMETIC
        | frozenset(
            "Add Sub Mul Div Neg Abs Min Max Clip BitShift BitwiseAnd BitwiseOr BitwiseXor "
            "MatMul MatMulInteger ConvInteger MaxPool ReduceSum ReduceMax ReduceMin Equal Greater "
            "GreaterOrEqual Less LessOrEqual Not And Or Where Constant ConstantOfShape Sign".split()
        )
    },
    floats=False,
)


def violations(graph: ir.Graph | ir.Function, stage: Stage) -> list[str]:
    """Return what in `graph` breaks the grammar of `stage`; empty when nothing does."""
    found = []
    for node in graph:
        allowed = stage.operators.get(node.domain, frozenset())
        if allowed is not None and node.op_type not in allowed:
            found.append(f"operator {node.domain or 'ai.onnx'}::{node.op_type} ({node.name})")
        if stage.floats:
            continue
        for attribute in node.attributes.values():
            if attribute.type in _FLOAT_ATTRIBUTES:
                found.append(f"float attribute {attribute.name} of {node.name}")
            elif attribute.type == ir.AttributeType.TENSOR:
                if not attribute.is_ref() and attribute.as_tensor().dtype in _FLOAT_TYPES:
                    found.append(f"float tensor in attribute {attribute.name} of {node.name}")
            elif attribute.type == ir.AttributeType.GRAPH:
                found.extend(violations(attribute.as_graph(), stage))
        found.extend(
            f"float value {value.name}" for value in node.outputs if value.dtype in _FLOAT_TYPES
        )
    if isinstance(graph, ir.Graph) and not stage.floats:
        for value in [*graph.inputs, *graph.outputs, *graph.initializers.values()]:
            if value.dtype in _FLOAT_TYPES:
                found.append(f"float value {value.name}")
    return found


def supported_ones(kind: str, supported: Collection[str]) -> str:
    """Return the remedy where an operator has no rule: those of a like name, if there are any."""
    nearest = ", ".join(get_close_matches(kind, sorted(supported), n=3, cutoff=0.6))
    return (
        f"{f'Nearest supported: {nearest}; ' * bool(nearest)}`intcc ops` lists the supported ones"
    )
