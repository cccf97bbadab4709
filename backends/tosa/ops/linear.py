"""Linear layers: a 1x1 convolution, the form in which NPUs run dense layers best."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa import wide
from intcc.backends.tosa.arithmetic import ZERO, each
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.quotients import Quotients
from intcc.backends.tosa.site import Site
from intcc.interval import Interval
from intcc.ops.linear import product_interval
from intcc.ops.operator import WIDE

__all__ = ["RULES", "dense"]

Array = npt.NDArray[Any]


def dense(b: Builder, x: Tensor, weight: Array, bias: Array, zero: int) -> Tensor:
    """Return (x - zero) @ weight + bias, int32 [..., N], for int8 x [..., K]."""
    k, n = weight.shape
    rows = int(np.prod(x.shape[:-1], dtype=np.int64))
    kernel = b.constant(np.ascontiguousarray(weight.T).reshape(n, 1, 1, k), Type.INT8)
    added = np.broadcast_to(bias.reshape(-1), (n,)).astype(np.int64)
    interval = product_interval(x.interval.scalar() - zero, weight) + Interval.of(added, added)
    flat = b.reshape(x, (1, 1, rows, k))
    y = b.convolve(
        "CONV2D", flat, kernel, b.constant(added, Type.INT32), (1, 1, rows, n), interval, zero
    )
    return b.reshape(y, (*x.shape[:-1], n))


def linear(site: Site) -> list[Tensor]:
    """clip((x @ weight + bias) / divisor, lo, hi): the convolution's bias takes the offset in."""
    b, x, weight = site.b, site.tensor(0), site.array(1)
    bias, divisor = (site.array(i).astype(np.int64).reshape(-1) for i in (2, 3))
    product = product_interval(x.interval.scalar() - ZERO, weight)
    how = Quotients.of(product + Interval.of(bias, bias), divisor, site.number(4), site.number(5))
    moved = how.moved(bias)
    if moved is None:
        return [how.divide(b, dense(b, x, weight, bias, ZERO))]
    return [how.finish(b, dense(b, x, weight, moved, ZERO))]


def linear_wide(site: Site) -> list[Tensor]:
    """(x @ weight) * mul + bias."""
    b, weight = site.b, site.array(1)
    mul, bias = (site.array(i).astype(np.int64).reshape(-1) for i in (2, 3))
    acc = dense(b, site.tensor(0), weight, np.zeros(1, np.int64), ZERO)
    return [b.add(b.mul(acc, each(mul)), each(bias))]


def linear_dynamic(site: Site) -> list[Tensor]:
    """clip(rsh(acc * m * mul, shift - k) + bias, -WIDE, WIDE) for rows of scale m * 2**k.

    A shift by less is a factor of 2**k: rsh(acc * (m << k) * mul, shift), whose shift is constant.
    """
    b, weight = site.b, site.array(3)
    m, k = site.tensor(1), site.tensor(2)
    mul, bias = (site.array(i).astype(np.int64).reshape(-1) for i in (4, 6))
    shift = site.number(5)
    acc = dense(b, site.tensor(0), weight, np.zeros(1, np.int64), 0)
    scale = b.shift_left(m, k, Interval.of(0, min(m.hi << k.hi, 2**30)))
    by_row = wide.multiply(b, wide.split(b, acc), wide.split(b, scale))
    product = wide.multiply(b, by_row, wide.constant(mul))
    # A bias may take back what passes int32, so it is added before the shift.
    added = wide.constant((bias.astype(object) << shift) + (1 << (shift - 1)))
    total = wide.combine(b, product, added, negative=False)
    return [wide.shift_right(b, total, shift, -WIDE, WIDE)]


RULES = {
    "Linear": linear,
    "LinearDynamic": linear_dynamic,
    "LinearDynamicFull": linear_dynamic,
    "LinearWide": linear_wide,
}
