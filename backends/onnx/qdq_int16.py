"""Pairs of int16 around everything that a QDQ model still computes in float32 (`--int16`).

    before   x8 -> DQ -> Gemm -> y ------------> Add -> ...
    after    x8 -> DQ -> Gemm -> y -> Q16 -> DQ16 -> Add -> Q16 -> DQ16 -> ...

Every real value that an operator makes is read by one QuantizeLinear alone, and every real value
that an operator reads comes out of a DequantizeLinear: tools that give each tensor an encoding
find it there. What only moves elements keeps the grid of what it moves. Constants are int16 too,
with one scale; what a norm adds is int32, with the product of the scales of input and gain.

Scales     powers of two, or numbers of few bits; zero points of 0
Range      MARGIN times the largest magnitude that calibration saw; exact where the graph tells
Order      last: on the flat model, whose types are known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from intcc.backends.onnx.qdq_builder import Builder
from intcc.backends.onnx.qdq_grid import POW2, Grid
from intcc.sites import MOVEMENT

__all__ = ["KEEPING", "REAL_LIMITS", "pair_everything"]

#: Operators that pick elements: their results lie on the grid of their input.
KEEPING = (MOVEMENT - {"Concat"}) | {"MaxPool"}
#: Real inputs that are no tensors to quantize, by operator: limits.
REAL_LIMITS = {"Clip": (1, 2)}
#: Operators whose results lie in [-1, 1]; toolchains want this scale of them. 1 itself saturates.
_UNIT = {"Softmax", "Sigmoid", "Tanh", "LpNormalization"}
_UNIT_GRID = Grid(2.0**-15, 0, np.dtype(np.int16))
#: Room above what calibration saw: one of 16 bits, for inputs that it did not see.
MARGIN = 2.0
#: How far below the largest score of a row a score has no weight: e^-16 is less than 2^-16.
_SOFTMAX_DEPTH = 16.0


def pair_everything(
    model: onnx.ModelProto,
    seen: Mapping[str, float],
    exact: Mapping[str, float],
    scales: str,
) -> onnx.ModelProto:
    """Return the model with a pair at every real value.

    Args:
        model: flat QDQ model with the types of its values.
        seen: largest magnitudes by name, on samples.
        exact: those that cannot be passed, which precede.
        scales: "dyadic" or "pow2".
    """
    pairs = _Pairs(model, seen, exact, scales)
    for value in model.graph.input:
        pairs.input(value)
    for node in model.graph.node:
        pairs.node(node)
    return pairs.finish()


class _Pairs:
    """The model with pairs under construction.

    Attributes:
        out: the new graph.
        names: what readers of a value read instead.
        grids: of the results of DequantizeLinear.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        seen: Mapping[str, float],
        exact: Mapping[str, float],
        scales: str,
    ) -> None:
        graph = model.graph
        self.model, self.seen, self.exact, self.scales = model, seen, exact, scales
        self.constants = {t.name: t for t in graph.initializer}
        self.types = {t.name: t.data_type for t in graph.initializer}
        for value in (*graph.input, *graph.value_info, *graph.output):
            self.types[value.name] = value.type.tensor_type.elem_type
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)
        self.results = {v.name for v in graph.output}
        self.out = Builder(self.types)
        self.names: dict[str, str] = {}
        self.grids: dict[str, Grid] = {}

    def input(self, value: onnx.ValueInfoProto) -> None:
        """Pair an input of the model."""
        if self._real(value.name):
            self._pair(value.name, value.name, self._own_grid(value.name))

    def node(self, node: onnx.NodeProto) -> None:
        """Append a node that reads pairs, and pairs of its results."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            made.input[0] = self.names.get(node.input[0], node.input[0])
            self.out.nodes.append(made)
            self.grids[node.output[0]] = self._grid_of(node)
            return
        made.ClearField("input")
        for name in node.input:
            made.input.append(self._operand(made, name))
        self.out.nodes.append(made)
        for index, name in enumerate(node.output):
            if self._real(name):
                self._result(made, index)

    def _result(self, node: onnx.NodeProto, index: int) -> None:
        """Pair what a node makes, where it does not go into a pair as it is."""
        name, keeps = node.output[index], node.op_type in KEEPING
        grid = self.grids[node.input[0]] if keeps else self._own_grid(name, node.op_type)
        readers = self.readers[name]
        if name in self.results:
            node.output[index] = self.out.fresh(f"{name}.made")
        elif [r.op_type for r in readers] == ["QuantizeLinear"]:
            quantized = self._grid_of(readers[0])
            if not keeps or _equal(grid, quantized):
                return
        self._pair(name, node.output[index], grid)

    def _pair(self, name: str, made: str, grid: Grid) -> None:
        """Append a pair of what is `made` as `name`; a result of the model keeps its name."""
        last = name if name in self.results else None
        self.names[name] = self.out.pair(made, grid, f"{name}.wide", last)
        self.grids[self.names[name]] = grid

    def _real(self, name: str) -> bool:
        return self.types.get(name) == TensorProto.FLOAT

    def _own_grid(self, name: str, kind: str = "") -> Grid:
        """Return the grid of what an operator of a kind, or no operator, makes."""
        if name in self.exact:  # 0 and 1 are numbers of the grid
            return Grid.reaching(self.exact[name], POW2)
        if kind in _UNIT:
            return _UNIT_GRID
        scored = any(r.op_type == "Softmax" for r in self.readers[name])
        reach = MARGIN * self.seen[name] + (_SOFTMAX_DEPTH if scored else 0)
        return Grid.reaching(reach, self.scales)

    def _grid_of(self, node: onnx.NodeProto) -> Grid:
        """Return the grid of a Q or DQ; of scales per channel, the first one's."""
        scale, zero = (numpy_helper.to_array(self.constants[n]) for n in node.input[1:3])
        return Grid(float(scale.flat[0]), int(zero.flat[0]), zero.dtype)

    def _operand(self, node: onnx.NodeProto, name: str) -> str:
        """Return what a node reads instead of its next input."""
        index = len(node.input)
        if not self._real(name) or index in REAL_LIMITS.get(node.op_type, ()):
            return name
        if name not in self.constants:
            return self.names.get(name, name)
        if node.op_type == "LayerNormalization" and index == 2:
            product = self.grids[node.input[0]].scale * self.grids[node.input[1]].scale
            return self._constant(name, product, np.iinfo(np.int32), f"{node.output[0]}.bias")
        if name not in self.names:
            reach = float(np.abs(numpy_helper.to_array(self.constants[name])).max(initial=0.0))
            grid = Grid.reaching(reach, self.scales)
            self.names[name] = self._constant(name, grid.scale, np.iinfo(np.int16), name)
            self.grids[self.names[name]] = grid
        return self.names[name]

    def _constant(self, name: str, scale: float, kind: np.iinfo[Any], stem: str) -> str:
        """Append the DequantizeLinear of a constant of one scale."""
        code = np.rint(numpy_helper.to_array(self.constants[name]).astype(np.float64) / scale)
        stored = np.clip(code, -kind.max, kind.max).astype(kind.dtype)
        return self.out.stored(stored, scale, f"{stem}.stored")

    def finish(self) -> onnx.ModelProto:
        """Return the model; constants that nothing reads are still in it."""
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        for field in ("node", "initializer", "value_info"):
            made.graph.ClearField(field)
        made.graph.node.extend(self.out.nodes)
        made.graph.initializer.extend((*self.constants.values(), *self.out.initializers.values()))
        return made


def _equal(a: Grid, b: Grid) -> bool:
    return (np.float32(a.scale), a.zero, a.dtype) == (np.float32(b.scale), b.zero, b.dtype)
