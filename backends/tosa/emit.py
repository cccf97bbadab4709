"""Emit: an integer graph with fixed extents as a TOSA graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.tosa.arithmetic import ZERO
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Graph, Tensor, Type
from intcc.backends.tosa.movement import MOVEMENT
from intcc.backends.tosa.rules import RULES
from intcc.backends.tosa.site import Known, Site, materialize, stored, unsupported
from intcc.errors import SettingsError
from intcc.interval import Interval

__all__ = ["MOST_DIMENSIONS", "tosa_graph"]

Array = npt.NDArray[Any]
DIALECT = "ai.intcc"
#: Most dimensions of a tensor in TOSA's level 8K.
MOST_DIMENSIONS = 6
#: Runs one node of the integer graph on known values.
Evaluate = Callable[[ir.Node, list[Any]], tuple[Array, ...]]


def tosa_graph(
    model: ir.Model,
    extents: Mapping[str, int],
    evaluate: Evaluate,
    lacking: Collection[str] = (),
) -> Graph:
    """Return the TOSA graph of an integer graph.

    Inputs and outputs keep their names and extents. Unsigned bytes travel as the bits that they
    are, int64 (token ids, masks) as int32.

    Args:
        model: operators of ai.intcc and data movement; inputs carry "intcc.range".
        extents: of every symbolic dimension of the inputs, by its name.
        evaluate: runs a node whose operands are all known.
        lacking: operations to express by others, of INTDIV and REDUCE_MAX.

    Raises:
        UnsupportedOperatorError: an operator without a TOSA form.
        SettingsError: an input has a dimension that `extents` leaves open.
    """
    return _Emission(model, extents, evaluate, Builder(lacking)).run()


class _Emission:
    def __init__(
        self, model: ir.Model, extents: Mapping[str, int], evaluate: Evaluate, b: Builder
    ) -> None:
        self.model, self.extents, self.evaluate, self.b = model, extents, evaluate, b
        self.known: dict[ir.Value, Known] = {}

    def run(self) -> Graph:
        for value in self.model.graph.inputs:
            self.known[value] = self._input(value)
        for value in self.model.graph.initializers.values():
            assert value.const_value is not None
            self.known[value] = np.asarray(value.const_value.numpy())
        for node in self.model.graph:
            inputs = [None if v is None else self.known[v] for v in node.inputs]
            self.known.update(zip(node.outputs, self._node(node, inputs), strict=True))
        for value in self.model.graph.outputs:
            self._output(value)
        return self.b.graph

    def _input(self, value: ir.Value) -> Tensor:
        assert value.dtype is not None and value.shape is not None
        lo, hi = (int(v) for v in value.metadata_props["intcc.range"].split())
        shape = [self._extent(value, d) for d in value.shape]
        if 0 in shape:
            raise SettingsError(
                f"Input {value.name!r}",
                f"has the extents {shape}, and TOSA knows no empty tensors",
                "Give every dimension an extent of at least 1",
            )
        dtype = value.dtype.numpy()
        if dtype == np.uint8:
            raw = self.b.input(str(value.name), shape, Type.INT8, Interval.of(-128, 127))
            inside = Interval.of(lo + ZERO, hi + ZERO)
            return self.b.rescale(raw, Type.INT8, zero_in=-ZERO, unsigned_in=True, interval=inside)
        return self.b.input(str(value.name), shape, stored(dtype), Interval.of(lo, hi))

    def _extent(self, value: ir.Value, dimension: Any) -> int:
        if isinstance(dimension, int):
            return dimension
        name = str(getattr(dimension, "value", dimension))
        if name not in self.extents:
            raise SettingsError(
                f"Input {value.name!r}",
                f"has the dimension '{name}', which TOSA needs as a number",
                "Export the model with no symbolic dimensions but the batch and the sequence",
            )
        return self.extents[name]

    def _output(self, value: ir.Value) -> None:
        known = self.known[value]
        tensor = known if isinstance(known, Tensor) else materialize(self.b, known)
        assert value.dtype is not None
        if value.dtype == ir.DataType.UINT8:
            tensor = self.b.rescale(tensor, Type.INT8, zero_out=-ZERO, unsigned_out=True)
        self.b.output(tensor, str(value.name))

    def _node(self, node: ir.Node, inputs: list[Known | None]) -> list[Known]:
        if node.op_type == "Shape" and node.domain == "":
            shape = inputs[0].shape if inputs[0] is not None else ()
            span = slice(_integer(node, "start", 0), _integer(node, "end", None))
            return [np.array(shape[span], np.int64)]
        if not any(isinstance(value, Tensor) for value in inputs):
            return list(self.evaluate(node, list(inputs)))
        rules = RULES if node.domain == DIALECT else MOVEMENT if node.domain == "" else {}
        rule = rules.get(node.op_type)
        if rule is None:
            raise unsupported(node, "is not among the operators that TOSA expresses")
        site = Site(self.b, node, inputs)
        made = list(rule(site))
        deepest = max(v.rank for v in (*inputs, *made) if isinstance(v, Tensor))
        if deepest > MOST_DIMENSIONS:
            raise unsupported(node, f"has {deepest} dimensions, and TOSA {MOST_DIMENSIONS}")
        if node.domain == DIALECT:
            for value, tensor, interval in zip(node.outputs, made, site.proved, strict=True):
                _tighten(tensor, interval + ZERO if value.dtype == ir.DataType.UINT8 else interval)
        return list(made)


def _integer(node: ir.Node, name: str, default: int | None) -> int | None:
    found = node.attributes.get(name)
    return default if found is None else int(found.value)


def _tighten(tensor: Tensor, proved: Interval) -> None:
    """Narrow a result's range, as its rule knows it, by its operator's proof."""
    known = tensor.interval
    sizes = {bound.shape for bound in (known.lo, proved.lo)}
    if not sizes <= {(), tensor.shape[-1:]}:
        known, proved = known.scalar(), proved.scalar()
    tensor.interval = Interval(np.maximum(known.lo, proved.lo), np.minimum(known.hi, proved.hi))
