"""The checks of pairs in model.qdq.onnx: both halves agree, and with int16 none is missing.

Halves    what a QuantizeLinear makes is read by DequantizeLinear of the same scale and zero point.
Coverage  (`--int16`) a real value that an operator makes is read by one QuantizeLinear alone; one
          that it reads comes out of a DequantizeLinear, but for the limits of Clip. What moves
          elements keeps their scale and type.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from intcc.backends.onnx.qdq_int16 import KEEPING, REAL_LIMITS

__all__ = ["Constants", "coverage_findings", "halves_findings"]

Array = npt.NDArray[Any]
_PAIR = ("QuantizeLinear", "DequantizeLinear")


class Constants:
    """Initializers by name, read when asked for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Take those of the graph."""
        self._tensors = {t.name: t for t in model.graph.initializer}

    def get(self, name: str) -> Array | None:
        """Return an initializer, None where there is none of that name."""
        tensor = self._tensors.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def grid(self, node: onnx.NodeProto) -> tuple[bytes, bytes, str]:
        """Return what decides the grid of a Q or DQ, to be compared."""
        arrays = [self.get(name) for name in node.input[1:3]]
        scale, zero = (np.zeros(0) if a is None else a for a in arrays)
        return scale.tobytes(), zero.tobytes(), zero.dtype.name


def halves_findings(model: onnx.ModelProto) -> Iterator[str]:
    """Yield what is quantized and not dequantized by the same scale and zero point."""
    constants, readers = Constants(model), _readers(model)
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        found = readers[node.output[0]]
        if any(r.op_type != "DequantizeLinear" for r in found) or not found:
            yield f"{node.name}: not read by DequantizeLinear"
        elif any(constants.grid(r) != constants.grid(node) for r in found):
            yield f"{node.name}: dequantized by another scale or zero point"


def coverage_findings(model: onnx.ModelProto) -> Iterator[str]:
    """Yield every real value between operators that does not pass a pair."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    bare.graph.ClearField("value_info")  # what the file says of types is not taken on trust
    try:
        typed = onnx.shape_inference.infer_shapes(bare)
    except onnx.shape_inference.InferenceError as error:
        yield f"types that do not agree: {str(error).splitlines()[0]}"
        return
    graph = typed.graph
    real = {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            real.add(value.name)
    readers = _readers(typed)
    produced = {name: node for node in graph.node for name in node.output}
    for value in graph.input:
        if value.name in real and _kinds(readers[value.name]) != ["QuantizeLinear"]:
            yield f"input {value.name}: not quantized at once"
    for value in graph.output:
        if value.name in real and _kinds([produced[value.name]]) != ["DequantizeLinear"]:
            yield f"output {value.name}: not quantized"
    for node in graph.node:
        if node.op_type not in _PAIR:
            yield from _operands(node, real, produced)
            yield from _results(node, real, readers)
    yield from _moved(graph.node, real, readers, produced, Constants(typed))


def _operands(
    node: onnx.NodeProto, real: set[str], produced: dict[str, onnx.NodeProto]
) -> Iterator[str]:
    for index, name in enumerate(node.input):
        if name not in real or index in REAL_LIMITS.get(node.op_type, ()):
            continue
        source = produced.get(name)
        if source is None or source.op_type != "DequantizeLinear":
            yield f"{node.name}: reads {name}, which is not quantized"


def _results(
    node: onnx.NodeProto, real: set[str], readers: dict[str, list[onnx.NodeProto]]
) -> Iterator[str]:
    for name in node.output:
        if name in real and _kinds(readers[name]) != ["QuantizeLinear"]:
            yield f"{node.name}: makes {name}, which is not quantized at once"


def _moved(
    nodes: Sequence[onnx.NodeProto],
    real: set[str],
    readers: dict[str, list[onnx.NodeProto]],
    produced: dict[str, onnx.NodeProto],
    constants: Constants,
) -> Iterator[str]:
    for node in nodes:
        if node.op_type not in KEEPING or node.input[0] not in real:
            continue
        source, found = produced.get(node.input[0]), readers[node.output[0]]
        if source is None or _kinds(found) != ["QuantizeLinear"]:
            continue  # found before
        if constants.grid(source) != constants.grid(found[0]):
            yield f"{node.name}: moves elements to another scale"


def _kinds(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    return [node.op_type for node in nodes]


def _readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            found[name].append(node)
    return found
