"""Site: what the rule of an operator sees of one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.tosa.arithmetic import ZERO
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor, Type
from intcc.errors import UnsupportedOperatorError
from intcc.interval import Interval, Operand
from intcc.ops import OPERATORS

__all__ = ["Known", "Site", "materialize", "stored", "unsupported"]

Array = npt.NDArray[Any]
#: A value of the integer graph: computed by TOSA, or known already.
Known = Tensor | Array


def unsupported(node: ir.Node, fact: str) -> UnsupportedOperatorError:
    """Return the error for a node that has no TOSA form."""
    return UnsupportedOperatorError(
        f"{node.op_type} {node.name!r}",
        f"has no TOSA form: it {fact}",
        "Leave it to the C (--emit vela places such parts on the CPU), or report the model to us",
    )


def stored(dtype: np.dtype[Any]) -> Type:
    """Return the element type that holds a type of the integer graph.

    Unsigned codes are held less 128, indices and masks in 32 bits.
    """
    if dtype in (np.uint8, np.int8):
        return Type.INT8
    return Type.INT16 if dtype == np.int16 else Type.INT32


def materialize(b: Builder, array: Array) -> Tensor:
    """Return a known value as a constant of the graph."""
    kind = stored(array.dtype)
    numbers = array.astype(np.int64)
    if array.dtype == np.uint8:
        numbers = numbers + ZERO
    info = np.iinfo(kind.dtype)
    assert info.min <= numbers.min(initial=0) and numbers.max(initial=0) <= info.max
    return b.constant(numbers, kind)


@dataclass
class Site:
    """A node with its operands.

    Attributes:
        b: the graph under construction.
        node: the node of the integer graph.
        inputs: operands in order; None where an optional one is absent.
    """

    b: Builder
    node: ir.Node
    inputs: Sequence[Known | None]

    @cached_property
    def proved(self) -> tuple[Interval, ...]:
        """Ranges of the results, in numbers of the integer graph.

        Raises:
            RangeProofError: a constraint of the operator cannot be proved.
        """
        pairs = zip(self.node.inputs, self.inputs, strict=True)
        operands = [_operand(v, known) for v, known in pairs if v is not None and known is not None]
        attributes = {a.name: a.value for a in self.node.attributes.values()}
        return OPERATORS[self.node.op_type].prove(*operands, **attributes)

    def tensor(self, index: int) -> Tensor:
        """Return an operand as a tensor."""
        value = self.inputs[index]
        assert value is not None, f"operand {index} of {self.node.name} is absent"
        return value if isinstance(value, Tensor) else materialize(self.b, value)

    def array(self, index: int) -> Array:
        """Return a constant operand.

        Raises:
            UnsupportedOperatorError: it is computed.
        """
        value = self.inputs[index]
        if isinstance(value, Tensor) or value is None:
            raise unsupported(self.node, f"computes operand {index}, which must be constant")
        return value

    def number(self, index: int) -> int:
        """Return a constant operand that is one number."""
        return int(self.array(index).reshape(()))

    def numbers(self, index: int) -> list[int]:
        """Return a constant operand of one dimension."""
        return [int(v) for v in self.array(index).reshape(-1)]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the node."""
        found = self.node.attributes.get(name)
        return default if found is None else found.value


def _operand(value: ir.Value, known: Known) -> Operand:
    if not isinstance(known, Tensor):
        return Operand.of_constant(np.asarray(known))
    codes = value.dtype == ir.DataType.UINT8
    return Operand(known.interval - ZERO if codes else known.interval, known.shape)
