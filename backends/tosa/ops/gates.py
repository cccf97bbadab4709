"""Gates and softmax values: powers of one half and logistic curves, without a division for gates.

Every formula is that of `intcc.ops.exponential`; a rounded product of two numbers is one MUL.
"""

from __future__ import annotations

import numpy as np

from intcc.backends.tosa import wide
from intcc.backends.tosa.arithmetic import clip, remainder, scaled
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.division import divide
from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.site import Site
from intcc.interval import Interval
from intcc.ops import exponential
from intcc.ops import gelu_wide as wide_gelu
from intcc.ops import softmax as softmax_operator

__all__ = ["LOGISTIC", "RECIPROCAL", "RULES", "power_of_half", "tanh_curve"]

#: Ranges of 1 / D in Q15 and of the logistic curve in Q30, with what rounding adds.
RECIPROCAL = Interval.of(2**14 - 2**6, 2**15)
LOGISTIC = Interval.of(2**29 - 2**13, 2**30)


def power_of_half(b: Builder, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return h in Q16, at most 65535, and n with 2**-(z / 2**12) = h * 2**-n."""
    n, f = remainder(b, z, 12)
    h = b.sub(b.mul(f, 449, 12), 3489)
    for coefficient in (15692, -45420, 65536):
        h = b.add(b.mul(h, f, 12), coefficient)
    # The polynomial falls from 1 to 1/2.
    return b.bounded(b.minimum(h, 65535), Interval.of(0, 65535)), n


def exponential_of(b: Builder, d: Tensor, mul: int, shift: int) -> Tensor:
    """2**-(d * mul / 2**(shift + 12)) in Q16, d >= 0."""
    h, n = power_of_half(b, scaled(b, d, mul, shift, 0, exponential.LARGEST))
    return b.shift_right(h, n, rounded=True)


def logistic(b: Builder, x: Tensor, mul: int, shift: int) -> Tensor:
    """Logistic curve of |x| in Q30."""
    d = b.add(exponential_of(b, b.abs(x), mul, shift), 65536)
    r = b.sub(46261, b.mul(d, 30840, 17))
    r = b.mul(r, b.sub(32768, b.mul(d, r, 17)), 14, RECIPROCAL)
    rest = b.sub(65536, b.mul(d, r, 16))
    return b.mul(r, rest, 0, LOGISTIC)


def gate(b: Builder, x: Tensor, mul: int, shift: int) -> Tensor:
    """Sigmoid in Q15."""
    p = logistic(b, x, mul, shift)
    above = b.minimum(b.shift_right(p, 15, rounded=True), 2**15)
    signed = b.mul(b.sub(above, 2**14), clip(b, x, -1, 1))
    return b.bounded(b.add(signed, 2**14), Interval.of(0, 2**15))


def tanh_curve(b: Builder, x: Tensor, mul: int, shift: int) -> Tensor:
    """Hyperbolic tangent in Q15."""
    p = logistic(b, x, mul, shift)
    above = b.minimum(b.shift_right(p, 14, rounded=True), 2**16)
    t = b.mul(b.sub(above, 2**15), clip(b, x, -1, 1))
    return b.bounded(t, Interval.symmetric(2**15))


def gated(b: Builder, x: Tensor, g: Tensor) -> Tensor:
    """rsh(x * g, 15)."""
    return b.mul(x, g, 15)


def sigmoid(site: Site) -> list[Tensor]:
    """Sigmoid in Q15."""
    return [gate(site.b, site.tensor(0), site.number(1), site.number(2))]


def tanh(site: Site) -> list[Tensor]:
    """Hyperbolic tangent in Q15."""
    return [tanh_curve(site.b, site.tensor(0), site.number(1), site.number(2))]


def silu(site: Site) -> list[Tensor]:
    """Return x times its sigmoid."""
    x = site.tensor(0)
    return [gated(site.b, x, gate(site.b, x, site.number(1), site.number(2)))]


def gelu_wide(site: Site) -> list[Tensor]:
    """Return x times a sigmoid of a polynomial of x, see `intcc.ops.gelu_wide`."""
    b, x = site.b, site.tensor(0)
    mul, shift = site.number(1), site.number(2)
    linear, cubic, quintic = (site.array(i).astype(np.int64) for i in range(3, 6))
    # Every value that the polynomial takes is known, so the ranges are exact.
    steps = np.arange(wide_gelu.REACH + 1, dtype=np.int64)
    final, (_, _, _, sums, _) = wide_gelu.exponent(steps, linear, cubic, quintic)
    added = int(linear) + 2**15
    a = scaled(b, b.abs(x), mul, shift, 0, wide_gelu.REACH)
    v = b.mul(a, a, 14)
    w = b.sub(int(cubic), b.mul(v, int(quintic), 18))
    if int(sums.max()) < 2**31:
        product = b.mul(v, w, 0, Interval.of(int(sums.min()) - added, int(sums.max()) - added))
        q = b.shift_right(b.add(product, added), 16, rounded=False)
    else:
        whole = wide.add_constant(b, wide.multiply(b, wide.split(b, v), wide.split(b, w)), added)
        q = wide.shift_right(b, whole, 16, 0, 2**16)
    size = b.mul(a, q, 14, Interval.of(int(final.min()), int(final.max())))
    t = b.mul(size, clip(b, x, -1, 1))
    return [gated(b, x, gate(b, t, 2, 1))]


def softmax(site: Site) -> list[Tensor]:
    """Probabilities in Q15: one division per element, as they are values of their own."""
    b, x = site.b, site.tensor(0)
    lower = b.sub(b.maximum_along(x, -1), x)
    d = b.bounded(lower, Interval.of(0, lower.hi))
    e = exponential_of(b, d, site.number(1), site.number(2))
    # The largest element of a row has the numerator 65535.
    total = b.reduce_sum(e, -1, Interval.of(65535, 65535 * x.shape[-1]))
    bits = softmax_operator.FRACTION_BITS
    scaled_e = b.shift_left(e, bits)
    quotient = divide(b, scaled_e, total, 2**bits)
    # The half of S is added to what is left, as the sum with the dividend might pass int32.
    taken = b.mul(quotient, total, 0, Interval.of(0, scaled_e.hi))
    rest = b.sub(scaled_e, taken, Interval.of(0, total.hi - 1))
    upper = b.sub(total, b.shift_right(total, 1, rounded=False))
    below = b.shift_right(b.sub(rest, upper), 31, rounded=False)
    return [b.bounded(b.add(b.add(quotient, 1), below), Interval.of(0, 2**bits))]


RULES = {
    "GeluWide": gelu_wide,
    "Sigmoid": sigmoid,
    "Silu": silu,
    "Softmax": softmax,
    "Tanh": tanh,
}
