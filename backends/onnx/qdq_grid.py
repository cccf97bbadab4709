"""Grids of the QDQ flavour: how a float value meets one scale and one zero point.

    u  = x * factor + offset                   per channel, in float; mostly folded away
    q  = clip(rint(u / scale) + zero)          QuantizeLinear: one scale and one zero per tensor

A form of the integer model (`intcc.qparams`) has a scale per channel, which toolchains read on
weights alone. Here the channels are brought to one size before they are quantized, so the scale
itself is free: it is a power of two wherever a factor can take up the rest.

dyadic   zero points as the integer model has them; scales of at most SIGNIFICANT bits
pow2     int8, zero point 0, powers of two; a range to one side of 0 is moved to its middle

In int16 the zero point is 0 and nothing is moved: there are bits enough for a side without use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.qparams import QParams

__all__ = [
    "ALL", "DYADIC", "NONE", "POW2", "SIGNIFICANT", "WEIGHT_BITS", "WIDE", "Grid", "power_of_two",
    "significant",
]  # fmt: skip

Float = npt.NDArray[np.float64]
_Type = np.dtype[Any]
_INT8: _Type = np.dtype(np.int8)
_UINT8: _Type = np.dtype(np.uint8)
_INT16: _Type = np.dtype(np.int16)

#: Names of the two kinds of scales, as `--scales` has them.
DYADIC, POW2 = "dyadic", "pow2"
#: What has int16 pairs, as `--int16` has it: nothing, what the integer model keeps in more than 8
#: bits, or that and the inputs of products.
NONE, WIDE, ALL = "none", "wide", "all"
#: Bits of an activation's scale, so that its product with a weight's scale, of WEIGHT_BITS,
#: fills no more than the 24 bits of a float32.
SIGNIFICANT, WEIGHT_BITS = 8, 16
#: Largest stored number of int16; the smallest is its negative, but where a value saturates.
_LARGEST = 2**15 - 1
#: A range whose middle lies farther from 0 than this part of its width is moved (pow2).
_LOPSIDED = 0.25


def significant(x: Any, bits: int) -> Float:
    """Round to the nearest numbers of at most `bits` significant bits."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))


def power_of_two(x: float) -> float:
    """Return the power of two that is nearest to `x` in the logarithm."""
    return 2.0 ** round(math.log2(x))


@dataclass(frozen=True, eq=False)
class Grid:
    """What stands before and in one QuantizeLinear.

    Attributes:
        scale: of the tensor.
        zero: stored number that means 0.
        dtype: of the stored numbers: int8, uint8 or int16.
        factor: per channel, shape () or (channels,).
        offset: per channel, in units of u; shape () or (channels,).
    """

    scale: float
    zero: int
    dtype: _Type
    factor: Float = field(default_factory=lambda: np.ones(()))
    offset: Float = field(default_factory=lambda: np.zeros(()))

    @classmethod
    def of(cls, form: QParams, scales: str, *, movable: bool = True) -> Grid:
        """Return the grid of a form.

        Args:
            form: of the integer model.
            scales: "dyadic" or "pow2".
            movable: whether 0 may be another number in u; not where a convolution pads with it.
        """
        return _pow2(form, movable=movable) if scales == POW2 else _dyadic(form)

    @classmethod
    def direct(cls) -> Grid:
        """Return the grid that changes nothing before it rounds."""
        return cls(1.0, 0, _INT8)

    @classmethod
    def reaching(cls, reach: float, scales: str) -> Grid:
        """Return the int16 grid of the finest scale that holds [-reach, reach].

        Args:
            reach: largest magnitude.
            scales: "dyadic" or "pow2".
        """
        mantissa, exponent = math.frexp(max(reach / _LARGEST, 2.0**-60))
        bits = 1 if scales == POW2 else SIGNIFICANT
        step = math.ldexp(math.ceil(math.ldexp(mantissa, bits)), exponent - bits)
        return cls(step, 0, _INT16)

    def widened(self) -> Grid:
        """Return the int16 grid that holds what this one of 8 bits does, 256 or 128 times as fine.

        -128 * 256 and 255 * 128 are int16, wherever 0 was: nothing has to be moved.
        """
        scale = self.scale / (256 if self.dtype == _INT8 else 128)
        return Grid(scale, 0, _INT16, self.factor)

    @property
    def divisor(self) -> Float:
        """Real size of one unit of u per channel: x = (u - offset) * divisor."""
        return np.asarray(1 / self.factor)


def _scaled(step: Float, zero: int, dtype: _Type, offset: Any) -> Grid:
    """Bring steps per channel to one scale.

    Args:
        step: real size of a stored number per channel.
        zero: of the tensor.
        dtype: int8 or uint8.
        offset: in steps, per channel.
    """
    scale = power_of_two(float(step.max()))
    return Grid(scale, zero, dtype, scale / step, np.asarray(offset * scale, np.float64))


def _dyadic(form: QParams) -> Grid:
    symmetric = bool(np.all(form.lo + form.hi == 2 * form.zero))
    if symmetric:
        # All of int8, also where the integer model keeps a bit back for the kernels of x86.
        step = form.scale * (form.hi - form.zero) / 127
        zero, dtype, offset = 0, _INT8, np.zeros(())
    else:
        step, dtype, offset = form.scale, _UINT8, np.zeros(())
        zero = int(form.zero.max())
        if (form.zero != np.rint(form.zero)).any():
            zero, offset = 0, form.zero  # pixels: a mean per channel
    if step.size == 1 and not offset.any():
        scale = float(significant(step, SIGNIFICANT).reshape(()))
        return Grid(scale, zero, dtype, offset=offset)
    return _scaled(step, zero, dtype, offset)


def _pow2(form: QParams, *, movable: bool) -> Grid:
    low, high = form.real_bounds()
    middle = (low + high) / 2
    if not movable or (np.abs(middle) <= _LOPSIDED * (high - low)).all():
        middle = np.zeros(())
    step = np.maximum(high - middle, middle - low) / 127
    return _scaled(np.asarray(step), 0, _INT8, -middle / step)
