"""What an operator of the integer dialect `ai.intcc` is made of.

One file per operator defines the ONNX function (meaning and execution in one text), a numpy
`reference` (the judge of all backends), `bounds` (the range proof) and literal `vectors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxscript

from intcc.interval import Interval, Operand

__all__ = ["DOMAIN", "OPSET_VERSION", "WIDE", "Array", "Attribute", "Operator", "Vector"]

#: Domain and version of the dialect.
DOMAIN = onnxscript.values.Opset("ai.intcc", 1)
#: Bound of wide values that saturate: two of them add up without care for overflow, and the
#: distance of one from a mean of others stays below 2**30.
WIDE = 2**29 - 2**16
#: Standard opset that the bodies are written in.
OPSET_VERSION = 20

Array = npt.NDArray[Any]
#: What an operator is told beside its inputs, by name; mostly numbers of a geometry.
Attribute = int | Sequence[int]


@dataclass(frozen=True)
class Vector:
    """A literal example: documentation, test and C self-test in one."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Operator:
    """One operator of the dialect.

    Attributes:
        function: the ONNX function whose body is standard integer ONNX.
        reference: numpy integers in, numpy integers out (a tuple where there are several).
        bounds: operands in, interval(s) out; raises RangeProofError when a constraint cannot
            be proved. Attributes are passed to both by name.
        vectors: examples, edge values first.
        nested: functions of the dialect that the body calls.
    """

    function: onnxscript.OnnxFunction
    reference: Callable[..., Array | tuple[Array, ...]]
    bounds: Callable[..., Interval | tuple[Interval, ...]]
    vectors: tuple[Vector, ...]
    nested: tuple[onnxscript.OnnxFunction, ...] = ()

    @property
    def name(self) -> str:
        """Operator type in the graph."""
        return str(self.function.name)

    def evaluate(self, *inputs: Array, **attributes: Attribute) -> tuple[Array, ...]:
        """Run the reference; always a tuple."""
        out = self.reference(*inputs, **attributes)
        return out if isinstance(out, tuple) else (out,)

    def prove(self, *inputs: Operand, **attributes: Attribute) -> tuple[Interval, ...]:
        """Run the range proof; always a tuple."""
        out = self.bounds(*inputs, **attributes)
        return out if isinstance(out, tuple) else (out,)


def as_array(x: Any, dtype: type[np.generic]) -> Array:
    """Shorthand for literal vectors."""
    return np.asarray(x, dtype=dtype)
