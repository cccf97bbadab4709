"""Rotary position embedding: sums of two products of 47 bits, rounded once."""

from __future__ import annotations

from intcc.backends.tosa import wide
from intcc.backends.tosa.arithmetic import clip, remainder
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.site import Site
from intcc.ops.rotary import FRACTION_BITS, LARGEST

__all__ = ["RULES"]

#: Inputs below this bound leave both parts of a sum of two products within int32.
_NARROW = 2**29


def rotary(site: Site) -> list[Tensor]:
    """Turn pairs of elements by the angle of their position; the rest of a head stays."""
    b, x, cos, sin = site.b, site.tensor(0), site.tensor(1), site.tensor(2)
    half, width = cos.shape[-1], x.shape[-1]
    ends = ((0, half), (half, half), (2 * half, width - 2 * half))
    x1, x2, x3 = (b.slice(x, (0, 0, 0, at), (*x.shape[:3], n)) if n else x for at, n in ends)
    turned = _turned if x.magnitude < _NARROW else _turned_wide
    y1 = turned(b, (x1, cos), (x2, sin), negative=True)
    y2 = turned(b, (x2, cos), (x1, sin), negative=False)
    return [b.concat([y1, y2] if width == 2 * half else [y1, y2, x3], 3)]


Pair = tuple[Tensor, Tensor]


def _turned(b: Builder, first: Pair, second: Pair, *, negative: bool) -> Tensor:
    """Upper and lower bits of x apart: what is above the rounded ones is exact."""
    join = b.sub if negative else b.add
    left, right = (remainder(b, x, FRACTION_BITS) for x, _ in (first, second))
    high, low = (
        join(b.mul(p, first[1]), b.mul(q, second[1])) for p, q in zip(left, right, strict=True)
    )
    y = b.add(high, b.shift_right(low, FRACTION_BITS, rounded=True))
    return clip(b, y, -LARGEST, LARGEST)


def _turned_wide(b: Builder, first: Pair, second: Pair, *, negative: bool) -> Tensor:
    p, q = (wide.multiply(b, wide.split(b, x), wide.split(b, c)) for x, c in (first, second))
    total = wide.combine(b, p, q, negative=negative)
    lifted = wide.add_constant(b, total, 1 << (FRACTION_BITS - 1))
    return wide.shift_right(b, lifted, FRACTION_BITS, -LARGEST, LARGEST)


RULES = {"Rotary": rotary}
