"""What rows of limbs need: their largest element, bit lengths, powers of two that are computed."""

from __future__ import annotations

from intcc.backends.tosa import wide
from intcc.backends.tosa.arithmetic import bit_length, clip
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.wide import BITS, Wide
from intcc.interval import Interval

__all__ = ["is_negative", "length", "maximum", "power", "scaled_down", "sum_along"]


def maximum(b: Builder, x: Wide) -> Wide:
    """Largest element along the last axis: limb by limb, among those still equal to it."""
    *lower, top = wide.tensors(b, x)
    best = [b.maximum_along(top, -1)]
    behind: Tensor | None = None
    limb = top
    for following in reversed(lower):
        apart = b.minimum(b.sub(best[0], limb, Interval.of(0, limb.hi - limb.lo)), 1)
        behind = apart if behind is None else b.maximum(behind, apart)
        # Those that fell behind before are pushed below every other limb.
        limb = b.sub(following, b.shift_left(behind, BITS + 1))
        found = b.maximum_along(limb, -1)
        best.insert(0, b.bounded(found, Interval.of(0, (1 << BITS) - 1)))
    return Wide(tuple(best), x.interval)


def length(b: Builder, x: Wide) -> Tensor:
    """Bit length of x >= 0."""
    found: Tensor | None = None
    for index, limb in enumerate(wide.tensors(b, x)):
        bits = bit_length(b, limb)
        if found is None:
            found = bits
        else:
            # Where this limb is not 0, it decides.
            here = b.minimum(limb, 1)
            found = b.add(found, b.mul(here, b.sub(b.add(bits, BITS * index), found)))
    assert found is not None
    return b.bounded(found, Interval.of(x.interval.min.bit_length(), x.interval.max.bit_length()))


def power(b: Builder, exponent: Tensor) -> Wide:
    """2**exponent for exponents >= 0."""
    limbs = []
    for start in range(0, exponent.hi + 1, BITS):
        place = b.sub(exponent, start) if start else exponent
        inside = clip(b, place, 0, BITS - 1)
        # 1 where the exponent lies in this limb, else 0
        away = b.minimum(b.abs(b.sub(place, inside)), 1)
        limbs.append(b.shift_left(b.sub(1, away), inside))
    return Wide(tuple(limbs), Interval.of(1 << exponent.lo, 1 << exponent.hi))


def scaled_down(b: Builder, x: Wide, bits: int) -> Wide:
    """floor(x / 2**bits), still in limbs."""
    skip, rest = divmod(bits, BITS)
    if rest:
        x = wide.multiply(b, x, Wide((1 << (BITS - rest),), Interval.of(*(2 * [1 << BITS - rest]))))
        skip += 1
    kept = tuple(wide.tensors(b, x, skip))
    low, high = (int(end) >> BITS * skip for end in (x.interval.min, x.interval.max))
    if kept:
        return Wide(kept, Interval.of(low, high))
    sign = b.shift_right(wide.tensors(b, x, -1)[0], 31, rounded=False)
    return Wide((sign,), Interval.of(low, high))


def sum_along(b: Builder, x: Tensor) -> Wide:
    """Sum of non-negative numbers along the last axis."""
    limbs = [b.reduce_sum(limb, -1) for limb in wide.tensors(b, wide.split(b, x))]
    return wide.normalize(b, limbs, x.interval.scalar() * x.shape[-1])


def is_negative(b: Builder, x: Wide) -> Tensor:
    """-1 where x < 0, else 0."""
    return b.shift_right(wide.tensors(b, x, -1)[0], 31, rounded=False)
