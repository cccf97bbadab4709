"""Divisors: the integers by which the sums of a layer come down to bytes.

    odd      y = (acc + bias) / d, no ties: the truncated quotient is the nearest integer
    powers   y = (acc + bias) >> n, ties go up: a shift of what is not negative

A layer's weight step follows its divisor, step = scale_y / d, so that both are exact. Odd divisors
lie as near to any ratio as 1/d; powers of two up to a factor of 2**0.5 away, which makes weights
coarser or clips the largest ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.requantization import LARGEST_DIVISOR

__all__ = ["SMALLEST_DIVISOR", "Divisors", "odd_divisor"]

Ints = npt.NDArray[np.int64]
#: A smaller divisor would let the odd-integer rule bend the step by more than 1/15.
SMALLEST_DIVISOR = 15
#: 255 divisors are well within int32 then, as ends of saturation and zero points are. Only weights
#: next to nothing, as those of a pruned channel are, would have a larger one.
MOST = 2**21 - 1


def odd_divisor(ratio: npt.NDArray[np.float64]) -> Ints:
    """Return the odd integers nearest to `ratio`, at least one."""
    return np.maximum(2 * np.floor(np.asarray(ratio) / 2).astype(np.int64) + 1, 1)


@dataclass(frozen=True)
class Divisors:
    """Which divisors the layers of a model may have.

    Attributes:
        powers: powers of two, else odd ones.
        half_even: only those by which float32 arithmetic divides exactly, too.
    """

    powers: bool = False
    half_even: bool = False

    def near(self, ratio: npt.NDArray[Any]) -> list[Ints]:
        """Return divisors next to ratios of at least one: the nearest, or those on both sides."""
        if self.powers:
            below = np.int64(1) << np.floor(np.log2(np.minimum(ratio, MOST / 2))).astype(np.int64)
            return [below, 2 * below]
        most = LARGEST_DIVISOR if self.half_even else MOST
        return [odd_divisor(np.minimum(ratio, most))]

    def above(self, ratio: float) -> int:
        """Return the smallest divisor that is not below a ratio, which is some hundreds at most."""
        least = max(math.ceil(ratio), 1)
        return 1 << (least - 1).bit_length() if self.powers else least | 1
