"""Prove from the emitted C alone that no product with constant weights leaves its type.

Weights, biases, multipliers and shifts are those that the compiler reads; inputs are any bytes.

    acc     |sum of every part of x . w| < 2**31, in whatever order a machine adds
    Linear              t = acc + bias in int32;  max(t, 0) * mul below its width; quotient in int32
    LinearWide          acc * mul and acc * mul + bias in int32
    Conv, ConvWide      the same, for x - zero in place of x where the image is read as it lies
    LinearDynamic       acc - center in int32;  |sum| * m * |mul| + half below 2**63, for every
                        m up to 2**15 and every exponent k up to 16 that a row may have;
                        m * |mul| in int32 where C multiplies so
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.ops.rows import ROW_BITS
from intcc.verification.accelerated import prove_accelerated
from intcc.verification.emitted import Emitted, ProductCall
from intcc.verification.report import FailedError

__all__ = ["Proved", "prove"]

Array = npt.NDArray[Any]

#: The largest input: a byte.
BYTE = 255
#: Bits of a magnitude of int32; a row's exponent is what lies above ROW_BITS of them.
WIDE_BITS = 31
#: What undoes the center of bytes, as a factor and a parameter.
_CENTER = re.compile(r"sum = acc\[[^]]*\] - (?:(\d+) \* )?(\w+)")


@dataclass(frozen=True)
class Proved:
    """How much was proved: calls, and columns of their weights in all."""

    calls: int
    columns: int


class _Product:
    """The sums of one call."""

    def __init__(self, emitted: Emitted, call: ProductCall) -> None:
        self.emitted, self.call = emitted, call
        self.ones = np.ones(call.columns, object)
        parts, zeros = emitted.sums(call)
        self.positive = np.maximum(parts, 0).sum(0)
        self.negative = np.minimum(parts, 0).sum(0)
        self.low = zeros + BYTE * self.negative
        self.high = zeros + BYTE * self.positive
        # Partial sums, in any order, and what a machine adds to center its bytes.
        self.require(BYTE * (self.positive - self.negative) + np.abs(zeros), 2**31, "a sum")

    def vector(self, name: str) -> Array:
        """Return a parameter's constants as Python integers, one a column."""
        data = self.emitted.constant(self.call.arguments[name]).astype(object)
        if len(data) == 1:
            return np.full(self.call.columns, data[0], object)
        return np.asarray(data[: self.call.columns])

    def require(self, magnitude: Array, limit: int, what: str) -> None:
        """Fail unless every magnitude is below a limit."""
        worst = int(max(magnitude, default=0))
        if worst >= limit:
            column = [int(v) for v in magnitude].index(worst)
            raise FailedError(
                f"{self.call.kernel.name}({self.call.arguments['w']}): {what} of column {column} "
                f"reaches {worst:,}, beyond {limit - 1:,}"
            )

    def require_int32(self, low: Array, high: Array, what: str) -> None:
        """Fail unless every value of the intervals fits int32; -2**31 is not used."""
        self.require(np.maximum(np.abs(low), np.abs(high)), 2**31, what)


def _linear(p: _Product) -> None:
    bias, names = p.vector("bias"), p.call.arguments
    p.require_int32(p.low + bias, p.high + bias, "sum and bias")
    top = np.maximum(p.high + bias, 0).astype(object)
    high = "high_word((uint32_t)t" in p.call.kernel.body  # the upper 32 bits of 64
    shift = (p.vector("shift") if "shift" in names else 0) + (32 if high else 0) * p.ones
    if "mul" in names:
        wide = high or "(uint64_t)(uint32_t)t" in p.call.kernel.body
        top = top * p.vector("mul")
        p.require(top, 2**64 if wide else 2**32, "the product of the quotient")
        p.require(shift, 64 if wide else 32, "the shift")
    else:
        p.require(shift, 31, "the shift")
    p.require(np.array([int(t) >> int(s) for t, s in zip(top, shift, strict=True)]), 2**31,
              "the quotient")  # fmt: skip


def _linear_wide(p: _Product) -> None:
    mul, bias = p.vector("mul"), p.vector("bias")
    ends = np.stack([p.low * mul, p.high * mul])
    low, high = ends.min(0), ends.max(0)
    p.require_int32(low, high, "the scaled sum")
    p.require_int32(low + bias, high + bias, "the scaled sum and bias")


def _linear_dynamic(p: _Product) -> None:
    center: Array = np.zeros(p.call.columns, object)
    subtracted = _CENTER.search(p.call.kernel.body)
    if subtracted:
        center = p.vector(subtracted[2]) * int(subtracted[1] or 1)
    p.require(np.abs(center), 2**31, "the center")
    low, high = p.low - center, p.high - center
    p.require_int32(low, high, "the centered sum")
    shift = int(p.vector("shift")[0])
    most_down = WIDE_BITS - ROW_BITS
    if not most_down < shift <= 62:
        raise FailedError(f"{p.call.kernel.name}: shift {shift} is outside {most_down + 1} to 62")
    if "(scale * " in p.call.kernel.body:
        p.require(2**ROW_BITS * np.abs(p.vector("mul")), 2**31, "the scale of a row")
    largest = np.maximum(np.abs(low), np.abs(high)).astype(object)
    product = largest * 2**ROW_BITS * np.abs(p.vector("mul")) + 2 ** (shift - 1)
    p.require(product, 2**63, "the scaled sum")


#: By how a kernel's name begins, longest first.
_PROOFS = (
    ("linear_dynamic", _linear_dynamic),
    ("linear_wide", _linear_wide),
    ("linear", _linear),
    ("conv_depthwise_wide", _linear_wide),
    ("conv_groups_wide", _linear_wide),
    ("conv_", _linear),
)


def prove(folder: Path, name: str) -> Proved:
    """Prove the ranges of every product with constant weights.

    Args:
        folder: the generated C.
        name: prefix of its files.

    Raises:
        FailedError: a value can leave its type, or the C has a form that is not known here.
        MissingToolError: there is no C compiler.
    """
    emitted, columns = Emitted(folder, name), 0
    for call in emitted.calls:
        proof = next(p for start, p in _PROOFS if call.kernel.name.startswith(start))
        proof(_Product(emitted, call))
        columns += call.columns
    accelerated, more = prove_accelerated(emitted)
    return Proved(len(emitted.calls) + accelerated, columns + more)
