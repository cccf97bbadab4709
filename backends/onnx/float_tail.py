"""Dequantize the outputs of a strict model: what `--float-io` adds to the very end.

    before   ... -> y                                     int, an output
    after    ... -> y_integer -> Cast -> Mul -> y         float, an output

Exactness  Cast rounds integers past 2**24; the integers stay readable as y_integer.
Order      last, on the finished ONNX model; everything before y_integer stays free of float.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from intcc.specs import INTEGER_SUFFIX, Scale

__all__ = ["TAIL_PREFIX", "add_float_tail"]

#: Names of the added nodes and constants begin with this.
TAIL_PREFIX = "intcc_dequantize_"


def add_float_tail(model: onnx.ModelProto, scales: Mapping[str, Scale | None]) -> None:
    """Give every output that has a scale a float form, in place.

    Args:
        model: strict model with functions inlined or kept.
        scales: scale of each output; outputs without one (indices) stay integers.
    """
    graph = model.graph
    for output in graph.output:
        scale = scales.get(output.name)
        if scale is None:
            continue
        name, inner = output.name, output.name + INTEGER_SUFFIX
        for node in graph.node:
            for field in (node.input, node.output):
                for index, value in enumerate(field):
                    if value == name:
                        field[index] = inner
        info = onnx.ValueInfoProto()
        info.CopyFrom(output)
        info.name = inner
        graph.value_info.append(info)
        prefix = TAIL_PREFIX + name
        unit = np.ldexp(np.asarray(scale.mul, dtype=np.float64), -scale.shift).astype(np.float32)
        constants = {prefix + "_unit": unit}
        last = prefix + "_real"
        graph.node.append(
            helper.make_node("Cast", [inner], [last], prefix + "_cast", to=TensorProto.FLOAT)
        )
        if np.any(np.asarray(scale.zero)):
            constants[prefix + "_zero"] = np.asarray(scale.zero, dtype=np.float32)
            shifted = prefix + "_shifted"
            graph.node.append(
                helper.make_node("Sub", [last, prefix + "_zero"], [shifted], prefix + "_sub")
            )
            last = shifted
        graph.node.append(
            helper.make_node("Mul", [last, prefix + "_unit"], [name], prefix + "_mul")
        )
        for key, array in constants.items():
            assert math.isfinite(float(np.sum(array)))
            graph.initializer.append(numpy_helper.from_array(array, key))
        output.type.tensor_type.elem_type = TensorProto.FLOAT
