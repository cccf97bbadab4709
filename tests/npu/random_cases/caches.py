"""Caches of keys and values, and attention over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from intcc.ops import cached, cached_attention, cached_attention_capped
from intcc.ops.cached_attention import LARGEST_SHIFT
from intcc.ops.dynamic_quantize import LARGEST_MANTISSA, STEPS
from intcc.ops.rows import LARGEST_INPUT
from tests.c import cases_cache
from tests.c.bench import Bench
from tests.c.cases_cache import Ranges
from tests.npu.random_cases.draw import Cases, Draw
from tests.ops.harness import i64

__all__ = ["CASES"]


def _ranges(d: Draw) -> Ranges:
    query, new = (d.number(0, most) for most in (cached.LARGEST_QUERY, LARGEST_INPUT))
    exponent = d.span(0, cached.EXPONENT)
    return Ranges(query, new, d.span(0, LARGEST_MANTISSA), exponent)


def _append(b: Bench, d: Draw) -> None:
    cases_cache.cached(b, 0, d.extent(5), d.extent(70), d.extent(70), ranges=_ranges(d))


def _over_caches(kind: str, parameters: Callable[..., Any], own: int) -> Callable[..., None]:
    """Return a case: constants of real units, or any that the constraints allow.

    Args:
        kind: the operator.
        parameters: makes its constants of a draw and of the heads.
        own: constants after the window, in pairs of a factor and a shift.
    """

    def build(b: Bench, d: Draw) -> None:
        kv_heads, groups = d.extent(3), d.extent(4)
        window = d.one_of(0, 0, d.extent(60))
        form = (groups * kv_heads, kv_heads, d.extent(70), d.extent(70), window)
        ranges = _ranges(d)

        def constants(*shape: int) -> list[Any]:
            made = list(parameters(d, *shape))
            if d.chance():
                made[3:6] = _products(d, ranges.query, shape[2])
                made[7:] = [v for _ in range(own // 2) for v in _dyadic(d)]
            return made

        cases_cache.over_caches(b, kind, [form], constants, ranges)

    return build


def _dyadic(d: Draw) -> list[Any]:
    return [i64(d.number(0, 2**31 - 1)), i64(d.number(1, LARGEST_SHIFT))]


def _products(d: Draw, query: int, dim: int) -> list[Any]:
    """Return mul, pre and shift: scores stay within their bound."""
    acc = max(1, min(query, 2**cached.QUERY_BITS)) * STEPS * dim
    pre = d.number(1, 62)
    most = ((cached.LARGEST_SCALED // acc << pre) - (1 << pre >> 1)) // (LARGEST_MANTISSA << 15)
    least_shift = cached.QUERY_EXPONENT + 1
    mul, shift = d.number(0, min(most, 2**31 - 1)), d.number(least_shift, LARGEST_SHIFT)
    return [i64(mul), i64(pre), i64(shift)]


def _plain(d: Draw, *shape: int) -> Any:
    return cached_attention.parameters(2.0**-12, 2.0**-12, d.real(2.0**-26, 2.0**-2), *shape)


def _capped(d: Draw, *shape: int) -> Any:
    scale, softcap = d.real(2.0**-26, 2.0**-2), d.real(1, 200)
    return cached_attention_capped.parameters(2.0**-12, 2.0**-12, scale, softcap, *shape)


CASES: Cases = {
    "CacheKeys": _append,
    "CacheValues": _append,
    "CachedAttention": _over_caches("CachedAttention", _plain, 0),
    "CachedAttentionCapped": _over_caches("CachedAttentionCapped", _capped, 4),
}
