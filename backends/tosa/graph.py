"""A TOSA graph before it is a flatbuffer: tensors, operations, and what is known of each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.interval import Interval

__all__ = ["Graph", "Operation", "Tensor", "Type"]

Array = npt.NDArray[Any]


class Type(Enum):
    """Element types that the graphs use: integers alone, and extents."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    SHAPE = "int64"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the elements."""
        return np.dtype(self.value)

    @property
    def limits(self) -> Interval:
        """All values that an element can have."""
        info = np.iinfo(self.dtype)
        return Interval.of(int(info.min), int(info.max))


@dataclass(eq=False)
class Tensor:
    """A value.

    Attributes:
        name: unique in its graph.
        shape: extents; all are known.
        type: element type.
        interval: every element lies in it; per channel of the last axis where its bounds are.
        data: the elements of a constant.
    """

    name: str
    shape: tuple[int, ...]
    type: Type
    interval: Interval
    data: Array | None = None

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def lo(self) -> int:
        """Smallest element that can occur."""
        return int(self.interval.min)

    @property
    def hi(self) -> int:
        """Largest element that can occur."""
        return int(self.interval.max)

    @property
    def magnitude(self) -> int:
        """Largest absolute value that can occur."""
        return max(abs(self.lo), abs(self.hi))


@dataclass
class Operation:
    """One operation.

    Attributes:
        kind: TOSA's name of it.
        inputs: operands in TOSA's order, constants included.
        output: the result.
        attributes: by TOSA's names.
    """

    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """A whole graph; operations stand in execution order."""

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
