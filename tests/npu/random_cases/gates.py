"""Gates, softmax and GELU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intcc.ops import gelu, gelu_wide
from tests.c.bench import Bench
from tests.c.cases import gelu_constants
from tests.npu.random_cases.draw import Cases, Draw, codes, wide
from tests.ops.harness import Array, i32

__all__ = ["CASES"]

_REACH = 2**31 - 1


#: From little of a gate's curve to more than all of it: exponents to the base 2 in Q12.
_EXPONENTS = (2.0**6, 2.0**19)


def _gate(kind: str) -> Callable[[Bench, Draw], None]:
    def build(b: Bench, d: Draw) -> None:
        lo, hi = d.span(-_REACH, _REACH)
        x = wide(b, d, d.shape(d.extent(40)), lo, hi)
        b.output(*b.op(kind, [x, *d.dyadic(max(-lo, hi), *_EXPONENTS)]))

    return build


def _softmax(b: Bench, d: Draw) -> None:
    shape = d.shape(d.extent(60))
    if d.chance():
        shape = ["batch", d.extent(4), "sequence", d.one_of("sequence", "past")]
    lo, hi = d.span(1 - 2**30, 2**30 - 1)
    b.output(*b.op("Softmax", [wide(b, d, shape, lo, hi), *d.dyadic(hi - lo, *_EXPONENTS)]))


def _gelu(b: Bench, d: Draw) -> None:
    """One step for all channels (a table), or one for each (the formula)."""
    n, lowest = d.extent(60), 0.0255
    step = np.full(n, d.real(lowest, 0.3)) if d.chance(0.3) else d.real(lowest, 0.3, n)
    constants = gelu_constants(step, d.one_of("none", "tanh"), twice=d.chance(0.8))
    x = codes(b, d, d.shape(n), *d.span(0, gelu.HIGHEST))
    b.output(*b.op("Gelu", [x, *constants]))


def _gelu_wide(b: Bench, d: Draw) -> None:
    """Both forms, and other polynomials whose values stay in uint32."""
    lo, hi = d.span(-_REACH, _REACH)
    x = wide(b, d, d.shape(d.extent(40)), lo, hi)
    mul, shift = d.dyadic(max(-lo, hi), 2.0**8, 2.0**18)
    polynomial: tuple[Array, ...] = gelu_wide.parameters(1.0, d.one_of("none", "tanh"))[2:]
    while d.chance(0.7):
        other = tuple(i32(c * d.rng.uniform(0.2, 1.3)) for c in polynomial)
        values = gelu_wide.exponent(np.arange(gelu_wide.REACH + 1, dtype=np.int64), *other)[1]
        if all(int(v.min()) >= 0 and int(v.max()) < 2**32 for v in values):
            polynomial = other
            break
    b.output(*b.op("GeluWide", [x, mul, shift, *polynomial]))


CASES: Cases = {
    "Gelu": _gelu,
    "GeluWide": _gelu_wide,
    "Sigmoid": _gate("Sigmoid"),
    "Silu": _gate("Silu"),
    "Softmax": _softmax,
    "Tanh": _gate("Tanh"),
}
