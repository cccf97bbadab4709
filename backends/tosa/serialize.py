"""A graph as a TOSA 1.0 flatbuffer, written by Arm's serializer (`tosa-tools`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intcc.backends.tosa.graph import Graph, Operation, Tensor, Type
from intcc.errors import ArtifactError, MissingToolError
from intcc.silence import silent_output

__all__ = ["VERSION", "element_types", "require_serializer", "serialize"]

#: Version of the specification that files declare.
VERSION = (1, 0, 0)

#: Attributes in the order of the serializer's arguments; those that are enumerations by name.
_ATTRIBUTES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ABS": ("Abs", ()),
    "ADD": ("Add", ()),
    "ARGMAX": ("ArgMax", ("axis", "nan_mode")),
    "ARITHMETIC_RIGHT_SHIFT": ("ArithmeticRightShift", ("round",)),
    "CAST": ("Cast", ()),
    "CLAMP": ("Clamp", ("min_val", "max_val", "nan_mode")),
    "CLZ": ("Clz", ()),
    "CONCAT": ("Concat", ("axis",)),
    "CONV2D": ("Conv2d", ("pad", "stride", "dilation", "local_bound", "acc_type")),
    "DEPTHWISE_CONV2D": (
        "DepthwiseConv2d",
        ("pad", "stride", "dilation", "local_bound", "acc_type"),
    ),
    "GATHER": ("Gather", ()),
    "IDENTITY": ("Identity", ()),
    "INTDIV": ("IntDiv", ()),
    "LOGICAL_LEFT_SHIFT": ("LogicalLeftShift", ()),
    "MATMUL": ("MatMul", ()),
    "MAXIMUM": ("Maximum", ("nan_mode",)),
    "MAX_POOL2D": ("MaxPool2d", ("kernel", "stride", "pad", "nan_mode")),
    "MINIMUM": ("Minimum", ("nan_mode",)),
    "MUL": ("Mul", ()),
    "PAD": ("Pad", ()),
    "REDUCE_MAX": ("ReduceMax", ("axis", "nan_mode")),
    "REDUCE_SUM": ("ReduceSum", ("axis",)),
    "RESCALE": (
        "Rescale",
        ("scale32", "rounding_mode", "per_channel", "input_unsigned", "output_unsigned"),
    ),
    "RESHAPE": ("Reshape", ()),
    "REVERSE": ("Reverse", ("axis",)),
    "SLICE": ("Slice", ()),
    "SUB": ("Sub", ()),
    "TABLE": ("Table", ()),
    "TILE": ("Tile", ()),
    "TRANSPOSE": ("Transpose", ("perms",)),
}


def require_serializer() -> Any:
    """Return the serializer's module.

    Raises:
        MissingToolError: it is not installed.
    """
    try:
        import tosa_serializer
    except ImportError as error:
        raise MissingToolError(
            "TOSA's serializer", "is not installed", "Install it: pip install 'intcc[npu]'"
        ) from error
    return tosa_serializer


def serialize(graph: Graph) -> bytes:
    """Return the flatbuffer; equal graphs give equal bytes.

    Raises:
        MissingToolError: the serializer is not installed.
    """
    return _Writer(require_serializer()).write(graph)


def element_types(path: Path) -> dict[str, str]:
    """Return TOSA's name of the element type of every tensor in a file, extents included.

    Raises:
        ArtifactError: the file is no TOSA flatbuffer.
        MissingToolError: the serializer is not installed.
    """
    tools = require_serializer()
    reader = tools.TosaSerializer("", tools.ConstMode.EMBED, *VERSION, False)
    with silent_output():
        if not reader.loadTosaFlatbuffer(str(path)):
            raise ArtifactError(
                f"File '{path}'", "is no TOSA flatbuffer", "Compile the model again"
            )
    blocks = [block for region in reader.regions for block in region.basicBlocks]
    return {name: block.tensors[name].dtype.name for block in blocks for name in block.tensors}


class _Writer:
    def __init__(self, tools: Any) -> None:
        self.tools = tools
        self.out = tools.TosaSerializer("", tools.ConstMode.EMBED, *VERSION, False)
        self.block = self.out.currRegion.currBasicBlock
        self.ready: set[Tensor] = set()
        self.types = {t: getattr(tools.DType, t.name) for t in Type}

    def write(self, graph: Graph) -> bytes:
        for tensor in graph.inputs:
            self.ready.add(tensor)
            extents, kind = list(tensor.shape), self.types[tensor.type]
            self.out.addInputTensor(
                self.tools.TosaSerializerTensor(tensor.name, extents, kind, None)
            )
        for operation in graph.operations:
            self._operation(operation)
        for tensor in graph.outputs:
            self.block.addOutput(tensor.name)
        return bytes(self.out.serialize())

    def _operation(self, operation: Operation) -> None:
        inputs = [self._operand(tensor) for tensor in operation.inputs]
        output = operation.output
        self.block.addTensor(output.name, list(output.shape), self.types[output.type])
        self.ready.add(output)
        attribute = self.tools.TosaSerializerAttribute()
        stem, order = _ATTRIBUTES[operation.kind]
        values = [self._value(name, operation.attributes) for name in order]
        getattr(attribute, f"{stem}Attribute")(*values)
        kind = getattr(self.tools.Op, operation.kind)
        self.out.addOperator(kind, inputs, [output.name], attribute)

    def _operand(self, tensor: Tensor) -> str:
        if tensor not in self.ready:
            assert tensor.data is not None, f"{tensor.name} is used before it is made"
            self.ready.add(tensor)
            data = tensor.data.astype(tensor.type.dtype)
            values = data.tolist() if tensor.type is Type.SHAPE else data
            kind = self.types[tensor.type]
            self.out.addConst(list(tensor.shape), kind, values, tensor.name)
        return tensor.name

    def _value(self, name: str, attributes: Any) -> Any:
        if name == "nan_mode":
            return self.tools.NanPropagationMode.PROPAGATE
        if name == "rounding_mode":
            return self.tools.RoundingMode.SINGLE_ROUND
        if name == "acc_type":
            return self.tools.DType.INT32
        if name in ("min_val", "max_val"):
            return [attributes[name] & 0xFF]
        if name == "local_bound":
            return False
        if name == "scale32":
            return True
        return attributes[name]
