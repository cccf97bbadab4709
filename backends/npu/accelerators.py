"""Accelerators: the configurations that Vela compiles for, and what each family computes.

A TOSA operation is a family's if its name is listed with the type of its operands: the type of the
first operand that is no extent. What is not listed stays with the processor. The lists say what
Vela 5.2 compiles, from single operations of every type; limits of shapes are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from intcc.errors import SettingsError

__all__ = ["ACCELERATORS", "Accelerator", "load_accelerator"]

Types = frozenset[str]

_8, _16, _32 = (frozenset({name}) for name in ("INT8", "INT16", "INT32"))
_NARROW = _8 | _16
_ALL = _NARROW | _32

#: What every Ethos-U computes.
_COMMON: Mapping[str, Types] = {
    "ABS": _32,
    "ADD": _32,
    "ARGMAX": _8,
    "ARITHMETIC_RIGHT_SHIFT": _32,
    "AVG_POOL2D": _NARROW,
    "CAST": _ALL,
    "CLAMP": _NARROW,
    "CLZ": _32,
    "CONCAT": _ALL,
    "CONV2D": _NARROW,
    "DEPTHWISE_CONV2D": _NARROW,
    "IDENTITY": _ALL,
    "LOGICAL_LEFT_SHIFT": _32,
    "MATMUL": _8,
    "MAXIMUM": _32,
    "MAX_POOL2D": _NARROW,
    "MINIMUM": _32,
    "MUL": _ALL,
    "PAD": _ALL,
    "REDUCE_MAX": _NARROW,
    "REDUCE_SUM": _32,
    "RESCALE": _ALL,
    "RESHAPE": _ALL,
    "SLICE": _ALL,
    "SUB": _32,
    "TABLE": _NARROW,
    "TILE": _ALL,
    "TRANSPOSE": _ALL,
}
#: What the U85 adds.
_U85: Mapping[str, Types] = {
    **_COMMON,
    "ARGMAX": _NARROW,
    "ARITHMETIC_RIGHT_SHIFT": _ALL,
    "GATHER": _ALL,
    "INTDIV": _32,
    "LOGICAL_LEFT_SHIFT": _ALL,
    "LOGICAL_RIGHT_SHIFT": _ALL,
    "MATMUL": _NARROW,
    "REDUCE_MAX": _ALL,
    "REVERSE": _ALL,
}


@dataclass(frozen=True)
class Accelerator:
    """One configuration.

    Attributes:
        name: as on the command line, and as Vela knows it.
        family: its name without the size.
        operations: types of operands by the TOSA operation.
        without: operations that others express: what it lacks, or has but takes long for.
    """

    name: str
    family: str
    operations: Mapping[str, Types]
    without: tuple[str, ...] = ()

    def lacks(self, operation: str, kind: str) -> str | None:
        """Return what the accelerator lacks, None where it has the operation.

        Args:
            operation: TOSA's name.
            kind: type of its operands, as INT8.
        """
        types = self.operations.get(operation, frozenset())
        if kind in types:
            return None
        return f"{self.family} has no {operation}" + (f" of {kind.lower()}" if types else "")


#: U85 has REDUCE_MAX of int32, but by Vela's estimates takes 0.91 of MiniLM's cycles without it.
_FAMILIES: Mapping[str, tuple[Mapping[str, Types], tuple[str, ...], tuple[int, ...]]] = {
    "ethos-u55": (_COMMON, ("INTDIV", "REDUCE_MAX"), (32, 64, 128, 256)),
    "ethos-u65": (_COMMON, ("INTDIV", "REDUCE_MAX"), (256, 512)),
    "ethos-u85": (_U85, ("REDUCE_MAX",), (128, 256, 512, 1024, 2048)),
}
#: By name.
ACCELERATORS: Mapping[str, Accelerator] = {
    f"{family}-{macs}": Accelerator(f"{family}-{macs}", family, operations, without)
    for family, (operations, without, sizes) in _FAMILIES.items()
    for macs in sizes
}


def load_accelerator(name: str) -> Accelerator:
    """Return an accelerator.

    Raises:
        SettingsError: there is none of this name.
    """
    if name not in ACCELERATORS:
        raise SettingsError(
            f"Accelerator '{name}'", "does not exist", f"Known: {', '.join(ACCELERATORS)}"
        )
    return ACCELERATORS[name]
