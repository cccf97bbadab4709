"""Find every float in a QLinear model that is not a constant scale of an operator.

Operators of quantized numbers take their scales in float32 by definition. Nothing else may be
float: no input, output or computed value, no attribute, no constant that anything else reads.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from intcc.backends.onnx.qlinear import SCALE_INPUTS
from intcc.verification.float_onnx import float_findings

__all__ = ["scale_constants", "unscaled_floats"]


def scale_constants(model: onnx.ModelProto) -> frozenset[str]:
    """Return the names of the float32 initialisers that are read as scales, and as nothing else."""
    floats = {i.name for i in model.graph.initializer if i.data_type == TensorProto.FLOAT}
    scales, others = set[str](), {o.name for o in model.graph.output}
    for node in model.graph.node:
        positions = SCALE_INPUTS.get(node.op_type, ()) if node.domain in ("", "ai.onnx") else ()
        for index, name in enumerate(node.input):
            (scales if index in positions else others).add(name)
    return frozenset(floats & (scales - others))


def unscaled_floats(model: onnx.ModelProto) -> list[str]:
    """Return one line for each float that is no scale, or that no scale may be.

    Args:
        model: a QLinear model, without functions or subgraphs.
    """
    scales = scale_constants(model)
    found = float_findings(model, scales=scales)
    for tensor in model.graph.initializer:
        if tensor.name in scales:
            array = numpy_helper.to_array(tensor)
            if not (np.isfinite(array) & (array > 0)).all():
                found.append(f"graph: scale '{tensor.name}' is not positive and finite")
    return found
