"""Element by element: sums, gains, quantization and rescaling."""

from __future__ import annotations

from intcc.backends.tosa import wide
from intcc.backends.tosa.arithmetic import clip, codes, each, not_zero, scaled
from intcc.backends.tosa.graph import Tensor
from intcc.backends.tosa.quotients import Quotients
from intcc.backends.tosa.site import Site
from intcc.interval import INT32, Interval
from intcc.ops.key_mask import MASKED
from intcc.ops.operator import WIDE

__all__ = ["RULES"]


def add(site: Site) -> list[Tensor]:
    """Return a + b."""
    return [site.b.add(site.tensor(0), site.tensor(1))]


def saturating_add(site: Site) -> list[Tensor]:
    """clip(a + b, -WIDE, WIDE)."""
    return [clip(site.b, site.b.add(site.tensor(0), site.tensor(1)), -WIDE, WIDE)]


def affine(site: Site) -> list[Tensor]:
    """Return x * mul + bias."""
    b, (mul, bias) = site.b, (each(site.array(i)) for i in (1, 2))
    return [b.add(b.mul(site.tensor(0), mul), bias)]


def widen(site: Site) -> list[Tensor]:
    """(x - zero) * mul."""
    b, (zero, mul) = site.b, (each(site.array(i)) for i in (1, 2))
    return [b.mul(b.sub(codes(b, site.tensor(0)), zero), mul)]


def quantize(site: Site) -> list[Tensor]:
    """clip((x * mul + bias) / divisor, lo, hi)."""
    b, (mul, bias) = site.b, (each(site.array(i)) for i in (1, 2))
    t = b.add(b.mul(site.tensor(0), mul), bias)
    how = Quotients.of(t.interval, site.array(3), site.number(4), site.number(5))
    return [how.divide(b, t)]


def rescale(site: Site) -> list[Tensor]:
    """clip(rsh(x * mul, shift), lo, hi)."""
    shift, lo, hi = (site.number(i) for i in (2, 3, 4))
    return [scaled(site.b, site.tensor(0), site.array(1), shift, lo, hi)]


def product(site: Site) -> list[Tensor]:
    """clip(rsh(a * b, shift), lo, hi) of two computed values."""
    b, x, y = site.b, site.tensor(0), site.tensor(1)
    shift, lo, hi = (site.number(i) for i in (2, 3, 4))
    half = 1 << shift >> 1
    whole = x.interval.scalar() * y.interval.scalar()
    if Interval((whole.lo + half) >> shift, (whole.hi + half) >> shift).fits(INT32):
        return [clip(b, b.mul(x, y, shift), lo, hi)]
    limbs = wide.multiply(b, wide.split(b, x), wide.split(b, y))
    return [wide.shift_right(b, wide.add_constant(b, limbs, half), shift, lo, hi)]


def relu(site: Site) -> list[Tensor]:
    """max(x, 0)."""
    return [site.b.maximum(site.tensor(0), 0)]


def key_mask(site: Site) -> list[Tensor]:
    """0 where the mask is not 0, else MASKED."""
    b, mask = site.b, site.tensor(0)
    addend = b.sub(b.mul(not_zero(b, mask), -MASKED), -MASKED)
    batch, length = mask.shape
    return [b.reshape(addend, (batch, 1, 1, length))]


RULES = {
    "Add": add,
    "Affine": affine,
    "KeyMask": key_mask,
    "Product": product,
    "Quantize": quantize,
    "Relu": relu,
    "Rescale": rescale,
    "SaturatingAdd": saturating_add,
    "Widen": widen,
}
