"""Norms, dynamic quantization and means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from intcc.ops import l2_normalize, layer_norm, rms_norm, rows
from tests.c.bench import Bench
from tests.npu.random_cases.draw import Cases, Draw, wide

__all__ = ["CASES"]


def _norm(kind: str, module: Any, reach: int) -> Callable[[Bench, Draw], None]:
    def build(b: Bench, d: Draw) -> None:
        n = d.extent(d.one_of(40, 400, 3000))
        x = wide(b, d, d.shape(n), *d.span(-reach, reach))
        epsilon = 0.0 if d.chance(0.2) else d.real(1e-12, 10)
        b.output(*b.op(kind, [x, *module.parameters(n, epsilon, d.real(2.0**-24, 1))]))

    return build


def _l2_normalize(b: Bench, d: Draw) -> None:
    n = d.extent(d.one_of(40, 400, 3000))
    x = wide(b, d, d.shape(n), *d.span(-rows.LARGEST_INPUT, rows.LARGEST_INPUT))
    b.output(*b.op("L2Normalize", [x, *l2_normalize.parameters(n)]))


def _dynamic_quantize(b: Bench, d: Draw) -> None:
    x = wide(b, d, d.shape(d.extent(90)), *d.span(-rows.LARGEST_INPUT, rows.LARGEST_INPUT))
    b.output(*b.op("DynamicQuantize", [x], outputs=3))


def _mean_pool(b: Bench, d: Draw) -> None:
    x = wide(b, d, ["batch", "sequence", d.extent(60)], *d.span(-(2**31), 2**31 - 1))
    lo, hi = d.span(*d.one_of((0, 1), (-3, 3), (-(2**31), 2**31 - 1)))
    b.output(*b.op("MeanPool", [x, b.input(np.int64, ["batch", "sequence"], lo, hi)]))


CASES: Cases = {
    "DynamicQuantize": _dynamic_quantize,
    "L2Normalize": _l2_normalize,
    "LayerNorm": _norm("LayerNorm", layer_norm, 2**29 - 2**15),
    "MeanPool": _mean_pool,
    "RMSNorm": _norm("RMSNorm", rms_norm, rows.LARGEST_INPUT),
}
