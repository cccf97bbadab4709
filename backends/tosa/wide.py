"""Integers of more than 32 bits as limbs: TOSA without extensions has no 64-bit values.

    value = sum over i of limbs[i] * 2**(14 i)

All limbs but the last lie in [0, 2**14); the last one has the sign. Products of two limbs have 28
bits, so that eight of them and a carry fit int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor
from intcc.interval import Interval

__all__ = [
    "BITS",
    "Wide",
    "add_constant",
    "combine",
    "constant",
    "multiply",
    "normalize",
    "shift_right",
    "split",
    "tensors",
]

Array = npt.NDArray[Any]
#: Bits of a limb.
BITS = 14
_BASE = 1 << BITS
_LIMB = Interval.of(0, _BASE - 1)
#: A limb: computed, or numbers known at compile time.
Limb = Tensor | Array | int


@dataclass(frozen=True)
class Wide:
    """A value in limbs, least significant first, and the range of the whole."""

    limbs: tuple[Limb, ...]
    interval: Interval


def _shifted(interval: Interval, bits: int) -> Interval:
    return Interval(interval.lo >> bits, interval.hi >> bits)


def constant(values: Array) -> Wide:
    """Constants, one or per channel, up to 64 bits."""
    flat = [int(v) for v in values.reshape(-1)]
    interval = Interval.of(min(flat), max(flat))
    limbs: list[Limb] = []
    while True:
        if all(-_BASE <= v <= _BASE for v in flat):
            parts, rest = flat, None
        else:
            parts, rest = [v & (_BASE - 1) for v in flat], [v >> BITS for v in flat]
        limbs.append(parts[0] if len(parts) == 1 else np.array(parts, np.int32))
        if rest is None:
            return Wide(tuple(limbs), interval)
        flat = rest


def split(b: Builder, x: Tensor) -> Wide:
    """Return an int32 value in limbs, as few as its range needs."""
    limbs: list[Limb] = []
    interval = x.interval.scalar()
    rest = x
    while rest.magnitude > _BASE:
        high = b.shift_right(rest, BITS, rounded=False)
        limbs.append(b.sub(rest, b.shift_left(high, BITS), _LIMB))
        rest = high
    return Wide((*limbs, rest), interval)


def normalize(b: Builder, columns: Sequence[Limb], interval: Interval) -> Wide:
    """Carry, so that all limbs but the last are in range and the last is not much longer.

    Limbs that are always zero are left out.
    """
    limbs: list[Limb] = []
    carry: Limb = 0
    index = 0
    while True:
        total = _sum(b, columns[index] if index < len(columns) else 0, carry)
        here = _shifted(interval, BITS * index)
        if here.magnitude <= _BASE and index + 1 >= len(columns):
            limbs.append(_known(b, total, here))
            return Wide(tuple(limbs), interval)
        low, carry = _carried(b, total)
        limbs.append(low)
        index += 1
        above = _shifted(interval, BITS * index)
        if above.min == above.max == 0:
            return Wide(tuple(limbs), interval)


def _carried(b: Builder, total: Limb) -> tuple[Limb, Limb]:
    """Return a limb in range and what goes to the next."""
    if not isinstance(total, Tensor):
        values = np.asarray(total, np.int64)
        return (values & (_BASE - 1)).astype(np.int32), (values >> BITS).astype(np.int32)
    if total.lo >= 0 and total.hi < _BASE:
        return total, 0
    high = b.shift_right(total, BITS, rounded=False)
    return b.sub(total, b.shift_left(high, BITS), _LIMB), high


def _known(b: Builder, limb: Limb, interval: Interval) -> Limb:
    return b.bounded(limb, interval) if isinstance(limb, Tensor) else limb


def _sum(b: Builder, x: Limb, y: Limb) -> Limb:
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        return np.asarray(np.asarray(x, np.int64) + y)
    if _adds_nothing(x, y):
        return y
    if _adds_nothing(y, x):
        return x
    return b.add(x, y)


def _adds_nothing(x: Limb, y: Limb) -> bool:
    """Tell whether x is zero, and none of its extents makes y larger."""
    if isinstance(x, Tensor) or not isinstance(y, Tensor):
        return False
    return not np.any(x) and np.size(x) in {1, *y.shape[-1:]}


def multiply(b: Builder, x: Wide, y: Wide, bound: Interval | None = None) -> Wide:
    """Product of two values; bound is known where they are not independent."""
    columns: list[Limb] = [0] * (len(x.limbs) + len(y.limbs) - 1)
    for i, p in enumerate(x.limbs):
        for j, q in enumerate(y.limbs):
            if not _is_zero(p) and not _is_zero(q):
                columns[i + j] = _sum(b, columns[i + j], _times(b, p, q))
    if not any(isinstance(column, Tensor) for column in columns):
        # A computed value times zero: its extents are those of both.
        columns[0] = _times(b, _any_limb(x), _any_limb(y))
    return normalize(b, columns, x.interval * y.interval if bound is None else bound)


def combine(b: Builder, x: Wide, y: Wide, *, negative: bool) -> Wide:
    """Return x - y where `negative`, else x + y."""
    size = max(len(x.limbs), len(y.limbs))
    columns: list[Limb] = []
    for i in range(size):
        p = x.limbs[i] if i < len(x.limbs) else 0
        q = y.limbs[i] if i < len(y.limbs) else 0
        columns.append(_difference(b, p, q) if negative else _sum(b, p, q))
    return normalize(b, columns, x.interval - y.interval if negative else x.interval + y.interval)


def _difference(b: Builder, p: Limb, q: Limb) -> Limb:
    if _is_zero(q):
        return p
    if isinstance(p, Tensor) or isinstance(q, Tensor):
        return b.sub(p, q)
    return np.asarray(np.asarray(p, np.int64) - q)


def _is_zero(limb: Limb) -> bool:
    return not isinstance(limb, Tensor) and not np.any(limb)


def _times(b: Builder, p: Limb, q: Limb) -> Limb:
    if isinstance(p, Tensor) or isinstance(q, Tensor):
        return b.mul(p, q)
    return np.asarray(np.asarray(p, np.int64) * q)


def add_constant(b: Builder, x: Wide, value: int) -> Wide:
    """Return x + value."""
    if value == 0:
        return x
    limbs, rest, index = list(x.limbs), value, 0
    while rest:
        last = index + 1 >= len(limbs)
        part = rest if last and abs(rest) < 2**30 else rest & (_BASE - 1)
        if index == len(limbs):
            limbs.append(0)
        limbs[index] = _sum(b, limbs[index], part)
        rest, index = (rest - part) >> BITS, index + 1
    return normalize(b, limbs, x.interval + value)


def shift_right(b: Builder, x: Wide, bits: int, lo: int, hi: int) -> Tensor:
    """clip(floor(x / 2**bits), lo, hi) as int32; lo and hi within int32.

    The limbs are joined from the top. What is joined is held where the result saturates, before it
    grows past int32.
    """
    skip, rest = divmod(bits, BITS)
    if skip >= len(x.limbs):  # only the sign is left
        skip, rest = len(x.limbs) - 1, min(31, bits - BITS * (len(x.limbs) - 1))
    *lower, top = tensors(b, x, skip)
    if not lower:
        return clip(b, b.shift_right(top, rest, rounded=False), lo, hi)
    whole, below = top, BITS * len(lower) - rest
    for index in range(len(lower) - 1, -1, -1):
        step = BITS if index else BITS - rest
        part = lower[index]
        if not index:
            part = b.shift_right(part, rest, rounded=False)
        whole = _joined(b, whole, part, step, lo >> (below - step), hi >> (below - step))
        below -= step
    exact = _shifted(x.interval, bits)
    if exact.min >= lo and exact.max <= hi:
        return b.bounded(whole, exact)
    return clip(b, whole, lo, hi)


def tensors(b: Builder, x: Wide, first: int = 0) -> list[Tensor]:
    """Return the limbs of a computed value from the first on, none known at compile time."""
    some = _any_limb(x)
    assert isinstance(some, Tensor)
    return [
        limb if isinstance(limb, Tensor) else b.add(b.mul(some, 0), limb)
        for limb in x.limbs[first:]
    ]


def _any_limb(x: Wide) -> Limb:
    """Return a limb, a computed one if there is one."""
    return next((limb for limb in x.limbs if isinstance(limb, Tensor)), x.limbs[0])


def _joined(b: Builder, high: Tensor, low: Tensor, step: int, lo: int, hi: int) -> Tensor:
    """Return high * 2**step + low, held where it stays outside [lo, hi]; low has `step` bits."""
    least, most = lo >> step, hi >> step
    if ((most + 2) << step) < 2**31 and ((least - 1) << step) >= -(2**31):
        held = clip(b, high, least - 1, most + 1)
        return b.add(b.shift_left(held, step), low)
    largest = (1 << step) - 1
    held = clip(b, high, least - 1, most + 1)
    if high.hi > most:
        low = b.maximum(low, b.mul(b.sub(b.maximum(held, most), most), largest))
    if high.lo < least:
        low = b.minimum(low, b.mul(b.sub(b.minimum(held, least), least - 1), largest))
    return b.add(b.shift_left(clip(b, held, least, most), step), low)


def clip(b: Builder, x: Tensor, lo: int, hi: int) -> Tensor:
    """Saturate; without an operation where the range shows that nothing would."""
    if x.lo < lo:
        x = b.maximum(x, lo)
    return b.minimum(x, hi) if x.hi > hi else x
