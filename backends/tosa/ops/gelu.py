"""GELU on unsigned 8 bits: a table where all channels agree, else its formula."""

from __future__ import annotations

import numpy as np

from intcc.backends.tosa.arithmetic import ZERO, codes, each, narrow
from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.quotients import Quotients
from intcc.backends.tosa.site import Site
from intcc.interval import Interval
from intcc.ops import gelu as operator

__all__ = ["RULES"]


def gelu(site: Site) -> list[Tensor]:
    """Return factor * relu + (zero - delta), see `intcc.ops.gelu`."""
    constants = [each(site.array(i)) for i in range(1, 6)]
    if all(isinstance(c, int) for c in constants):
        q = np.arange(256, dtype=np.uint8)
        found = operator.reference(q, *(np.array([c], np.int32) for c in constants))
        return [site.b.table8(site.tensor(0), found.astype(np.int64) + ZERO)]
    return [_formula(site)]


def _formula(site: Site) -> Tensor:
    b, x = site.b, codes(site.b, site.tensor(0))
    knee, lift, _, factor, zero = (each(site.array(i)) for i in range(1, 6))
    relu = b.sub(b.maximum(x, knee), knee)
    side = b.minimum(x, b.sub(knee, b.minimum(relu, knee)))
    top = int(np.max(knee))
    side = b.bounded(side, Interval.of(0, top))
    far = b.bounded(b.sub(knee, side), Interval.of(0, top))
    bend = b.mul(b.mul(side, far), b.add(b.mul(side, side), lift))
    divisor = site.array(3).astype(np.int64).reshape(-1)
    half = divisor // 2
    how = Quotients.of(bend.interval + Interval.of(half, half), divisor, 0, 255)
    delta = how.divide(b, b.add(bend, each(half)))
    (interval,) = site.proved
    y = b.add(b.mul(relu, factor), b.sub(zero, codes(b, delta)))
    return narrow(b, b.bounded(y, interval))


RULES = {"Gelu": gelu}
