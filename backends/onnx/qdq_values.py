"""Values of the QDQ graph: their names, their grids, and what is folded into their producers.

A value that nothing but products reads, in one form, is made as u (see `qdq_grid`) at once: its
factor and offset go into the weights, the bias or the gain of its producer.

    before   x -> Mul factor -> Add offset -> Q -> DQ        factor, offset per channel
    after    u -> Q -> DQ

Softmax's rows sum to one, so attention hands the factor and offset of its result to its values.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import TensorProto

from intcc.backends.onnx.qdq_builder import Builder
from intcc.backends.onnx.qdq_grid import ALL, NONE, Grid
from intcc.errors import UnsupportedOperatorError
from intcc.qparams import QParams, Role
from intcc.sites import (
    ConvSite,
    Demand,
    LinearSite,
    activation_of,
    constant,
    demands,
    linear_sites,
)

__all__ = ["DIRECT", "Values"]

#: The grid of a value that is made as it is in the float graph.
DIRECT = Grid.direct()


def _layers(integer: ir.Model) -> dict[str, ir.Node]:
    """Return the integer linear nodes by the name of the float value that they make.

    A value that is needed in several forms has several nodes; the wide one is the finest.
    """
    found: dict[str, ir.Node] = {}
    for node in integer.graph:
        if node.op_type in ("Linear", "LinearWide", "Conv", "ConvWide"):
            name = node.outputs[0].metadata_props["intcc.float"]
            if name not in found or node.op_type.endswith("Wide"):
                found[name] = node
    return found


def _multiplies(use: tuple[ir.Node, int]) -> bool:
    """Tell whether a value is read by a product, that is by way of its pair."""
    return use[0].op_type in ("MatMul", "Attention", "Conv")


class Values:
    """What is known of the values of one model while its QDQ graph is made.

    Attributes:
        out: the new graph.
        scales: "dyadic" or "pow2".
        int16: "none", "wide" or "all".
        sites: linear layers by the name of their result.
        positions: most tokens or pixels in a row.
        names: names in the new graph by those in the float graph.
    """

    def __init__(self, graph: ir.Graph, integer: ir.Model, scales: str, int16: str) -> None:
        """Begin with the inputs.

        Args:
            graph: float graph with forms.
            integer: what it was lowered to.
            scales: "dyadic" or "pow2".
            int16: "none", "wide" or "all".
        """
        self.out, self.scales, self.int16 = Builder(), scales, int16
        self.sites: dict[str, LinearSite] = linear_sites(graph)
        self.positions = float(integer.metadata_props["intcc.max_positions"])
        self.names = {str(v.name): self.out.fresh(str(v.name)) for v in graph.inputs}
        for value in graph.inputs:  # whose range is declared, or else what calibration made of it
            form = value.meta.get("forms", {}).get(Role.LINEAR)
            if form is not None:
                self.out.bound(str(value.name), float(np.abs(form.real_bounds()).max()))
        self._demands = demands(graph)
        self._layers = _layers(integer)
        self._grids: dict[tuple[str, Role], Grid] = {}
        self._pairs: dict[tuple[str, Role], str] = {}
        self._matrices: dict[str, tuple[str, str]] = {}
        self._folded: set[str] = set()

    @property
    def paired(self) -> bool:
        """Whether every value will pass a pair, and so every operator has to be one that can."""
        return self.int16 != NONE

    def value(self, value: ir.Value | None) -> str:
        """Return the name of a value that was made, or of a constant."""
        assert value is not None
        name = str(value.name)
        if name not in self.names:
            array = constant(value)
            assert array is not None, f"{name} is used before it is made"
            self.names[name] = self.out.const(array, name)
        return self.names[name]

    def real_mask(self, mask: str) -> str:
        """Return the name of a mask as real numbers: 1 where something is, else 0."""
        name = f"{mask}.real"
        if name not in self.names:
            made = self.out.node("Cast", [mask], name, to=TensorProto.FLOAT)
            self.names[name] = self.out.bound(made, 1.0)
        return self.names[name]

    def grid(self, value: ir.Value, role: Role) -> Grid:
        """Return the grid of a form."""
        key = (str(value.name), role)
        if key not in self._grids:
            form: QParams = value.meta["forms"][role]
            padded = [s for s in self._convolutions(value) if s.padded]
            if padded:  # where the integer model may have given the image another form
                form = self.input_form(padded[0])
            whole = self.int16 == ALL
            grid = Grid.of(form, self.scales, movable=not (padded or whole))
            self._grids[key] = grid.widened() if whole else grid
        return self._grids[key]

    def quantized(self, value: ir.Value, role: Role) -> str:
        """Return the name of u, quantized and back."""
        key = (str(value.name), role)
        if key not in self._pairs:
            grid, x, stem = self.grid(value, role), self.value(value), f"{value.name}.{role}"
            if str(value.name) not in self._folded:
                x = self.out.affine(x, grid.factor, grid.offset, stem)
            self._pairs[key] = self.out.pair(x, grid, stem)
        return self._pairs[key]

    def matrix(self, x: str, rank: int) -> tuple[str, str]:
        """Return the names of rows that lie in a matrix, and of their outer extents."""
        if x not in self._matrices:
            rows = self.out.node("Flatten", [x], f"{x}.rows", axis=rank - 1)
            outer = self.out.node("Shape", [x], f"{x}.outer", start=0, end=-1)
            self._matrices[x] = rows, outer
        return self._matrices[x]

    def _convolutions(self, value: ir.Value) -> list[ConvSite]:
        return [s for s in self.sites.values() if s.x is value and isinstance(s, ConvSite)]

    def layer(self, site: LinearSite) -> ir.Node:
        """Return the integer node of a layer, which may hold the activation behind it as limits.

        Raises:
            UnsupportedOperatorError: the integer model has this layer in another form.
        """
        activation = activation_of(site)
        made = [site.output, *([] if activation is None else activation.outputs)]
        for value in made:
            if str(value.name) in self._layers:
                return self._layers[str(value.name)]
        raise UnsupportedOperatorError(
            f"Layer {site.output.name!r}",
            "is no product of 8-bit inputs of fixed scale, which QDQ could say",
            "Use --emit onnx or c for this model",
        )

    def input_form(self, site: LinearSite) -> QParams:
        """Return the form of the input that the integer model's layer reads."""
        form: QParams = site.x.meta["forms"][Role.LINEAR]
        read = self.layer(site).inputs[0]
        assert read is not None
        own: QParams = read.meta.get("scale", form)
        return own

    def fold(self, value: ir.Value) -> Grid:
        """Return the grid whose factor and offset the producer of `value` has to apply."""
        demand = self._demand(value)
        if demand.wide or len(demand.roles) != 1 or not all(map(_multiplies, value.uses())):
            return DIRECT
        role = next(iter(demand.roles))
        if role is Role.VALUE:
            return self._of_attention(value)
        if role is Role.GELU:  # which stays float
            return DIRECT
        self._folded.add(str(value.name))
        return self.grid(value, role)

    def _of_attention(self, value: ir.Value) -> Grid:
        users = {user for user, _ in value.uses()}
        result = users.pop().outputs[0]
        demand = self._demand(result)
        readers = all(map(_multiplies, result.uses()))
        if users or demand.wide or demand.roles != {Role.LINEAR} or not readers:
            return DIRECT
        self._folded.add(str(result.name))
        return self.grid(result, Role.LINEAR)

    def _demand(self, value: ir.Value) -> Demand:
        return self._demands.get(str(value.name), Demand(set(), wide=True))
