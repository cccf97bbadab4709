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

    def const(self, array: Any, stem: str) -> str:
        """Return the name of an initializer; equal ones are shared."""
        array = np.asarray(array, order="C")  # keeps rank 0, which ascontiguousarray does not
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._shared:
            name = self._shared[key] = self.fresh(stem)
            self.initializers[name] = numpy_helper.from_array(array, name)
        return self._shared[key]

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

    def pair(self, x: str, grid: Grid, stem: str) -> str:
        """Append QuantizeLinear and DequantizeLinear of one scale."""
        scale = self.real(grid.scale, f"{stem}.scale")
        zero = self.const(np.asarray(grid.zero, grid.dtype), f"{stem}.zero")
        stored = self.node("QuantizeLinear", [x, scale, zero], f"{stem}.quantized")
        return self.node("DequantizeLinear", [stored, scale, zero], f"{stem}.dequantized")

    def stored(self, array: Array, scale: Any, stem: str, axis: int | None = None) -> str:
        """Append the DequantizeLinear of a constant, with zero point 0; per channel with `axis`."""
        inputs = [
            self.const(array, stem),
            self.real(scale, f"{stem}.scale"),
            self.const(np.zeros(np.shape(scale), array.dtype), f"{stem}.zero"),
        ]
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", inputs, f"{stem}.real", **attributes)
