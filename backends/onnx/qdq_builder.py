"""A graph of the QDQ flavour under construction: nodes, constants, pairs of Q and DQ."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from intcc.backends.onnx.qdq_grid import Grid

__all__ = ["Builder"]

Array = npt.NDArray[Any]


class Builder:
    """Collects nodes and initializers under names that are used once."""

    def __init__(self) -> None:
        """Start empty."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count: dict[str, int] = {}

    def fresh(self, stem: str) -> str:
        """Return a name not used before."""
        count = self._count.get(stem, 0)
        self._count[stem] = count + 1
        return stem if count == 0 else f"{stem}.{count}"

    def const(self, array: Any, stem: str, *, share: bool = True) -> str:
        """Return the name of an initializer; equal ones are shared, where they may be."""
        array = np.asarray(array, order="C")  # keeps rank 0, which ascontiguousarray does not
        key = (array.dtype.str, array.shape, array.tobytes())
        if share and key in self._shared:
            return self._shared[key]
        name = self.fresh(stem)
        self.initializers[name] = numpy_helper.from_array(array, name)
        if share:
            self._shared[key] = name
        return name

    def real(self, array: Any, stem: str) -> str:
        """Return the name of a float32 initializer."""
        return self.const(np.asarray(array, np.float32), stem)

    def node(self, kind: str, inputs: list[str], stem: str, **attributes: Any) -> str:
        """Append a node with one output and return its name."""
        name = self.fresh(stem)
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{kind}_{name}", **attributes))
        return name

    def affine(self, x: str, factor: Array, offset: Array, stem: str) -> str:
        """Multiply by a factor and add an offset, where they do anything."""
        if (factor != 1).any():
            x = self.node("Mul", [x, self.real(factor, f"{stem}.factor")], f"{stem}.scaled")
        if offset.any():
            x = self.node("Add", [x, self.real(offset, f"{stem}.offset")], f"{stem}.shifted")
        return x

    def _parameters(self, scale: Any, zero: Any, stem: str) -> list[str]:
        """Return initializers of a scale and a zero point, which belong to one tensor alone."""
        return [
            self.const(np.asarray(scale, np.float32), f"{stem}.scale", share=False),
            self.const(zero, f"{stem}.zero", share=False),
        ]

    def pair(self, x: str, grid: Grid, stem: str) -> str:
        """Append QuantizeLinear and DequantizeLinear of one scale."""
        parameters = self._parameters(grid.scale, np.asarray(grid.zero, grid.dtype), stem)
        stored = self.node("QuantizeLinear", [x, *parameters], f"{stem}.quantized")
        return self.node("DequantizeLinear", [stored, *parameters], f"{stem}.dequantized")

    def stored(self, array: Array, scale: Array, stem: str, axis: int) -> str:
        """Append the DequantizeLinear of a constant: scales along an axis, zero points of 0."""
        zero = np.zeros(np.shape(scale), array.dtype)
        inputs = [self.const(array, stem), *self._parameters(scale, zero, stem)]
        return self.node("DequantizeLinear", inputs, f"{stem}.real", axis=axis)
