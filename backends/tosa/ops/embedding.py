"""Embedding: rows of a constant table, each with its multiplier."""

from __future__ import annotations

import numpy as np

from intcc.backends.tosa.graph import Tensor, Type
from intcc.backends.tosa.site import Site, stored

__all__ = ["RULES"]


def embedding(site: Site) -> list[Tensor]:
    """table[ids] * mul[ids]."""
    b, ids, table, mul = site.b, site.tensor(0), site.array(1), site.array(2)
    count = int(np.prod(ids.shape, dtype=np.int64))
    flat = b.reshape(ids, (1, count))
    rows = b.gather(b.constant(table[None], stored(table.dtype)), flat)
    factor = b.gather(b.constant(mul.reshape(1, -1, 1), Type.INT32), flat)
    (interval,) = site.proved
    y = b.mul(b.cast(rows, Type.INT32), factor, 0, interval)
    return [b.reshape(y, (*ids.shape, table.shape[1]))]


RULES = {"Embedding": embedding}
