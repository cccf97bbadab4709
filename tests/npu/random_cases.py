"""Operators at random shapes, and attention over caches one form at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from intcc.ops import (
    attention,
    cached_attention,
    cached_attention_capped,
    gelu,
    layer_norm,
    linear_dynamic,
    rms_norm,
)
from tests.c.bench import Bench
from tests.c.cases import weight
from tests.c.cases_cache import FORMS, _attention
from tests.ops.harness import i32, i64

__all__ = ["MORE_CASES", "RANDOM_CASES", "cached_cases"]

S = "sequence"
Random = np.random.Generator


def _linear(b: Bench, r: Random) -> None:
    k, n = r.integers(1, 90, 2)
    x = b.input(np.uint8, ["batch", S, int(k)], 0, int(r.integers(1, 256)))
    divisor = 2 * r.integers(0, 2 ** r.integers(1, 20), n) + 1
    lo = int(r.integers(0, 100))
    ends = [i32(lo), i32(int(r.integers(lo, 256)))]
    bias = r.integers(-(2**20), 2**20, n)
    b.output(*b.op("Linear", [x, weight(r, k, n), i32(bias), i32(divisor), *ends]))


def _linear_wide(b: Bench, r: Random) -> None:
    k, n = r.integers(1, 60, 2)
    x = b.input(np.uint8, ["batch", S, int(k)], 0, 255)
    mul, bias = r.integers(1, 1000, n), r.integers(-(2**20), 2**20, n)
    b.output(*b.op("LinearWide", [x, weight(r, k, n), i32(mul), i32(bias)]))


def _linear_dynamic(b: Bench, r: Random) -> None:
    k, n = r.integers(1, 60, 2)
    x = b.input(np.int32, ["batch", S, int(k)], -(2**28), int(r.integers(0, 2**28)))
    codes = b.op("DynamicQuantize", [x], outputs=3)
    w = weight(r, k, n)
    mul, shift = linear_dynamic.parameters(10.0 ** r.uniform(-6, -2, n), w)
    bias = i32(r.integers(-(2**26), 2**26, n))
    b.output(*b.op("LinearDynamic", [*codes, w, mul, shift, bias]))


def _norm(kind: str, module: Any) -> Callable[[Bench, Random], None]:
    def build(b: Bench, r: Random) -> None:
        n, reach = int(r.integers(1, 200)), int(2 ** r.uniform(1, 28))
        x = b.input(np.int32, ["batch", S, n], -reach, reach)
        epsilon = 10.0 ** r.uniform(-12, 1)
        b.output(*b.op(kind, [x, *module.parameters(n, epsilon, 2.0 ** -r.integers(0, 20))]))

    return build


def _attend(b: Bench, r: Random) -> None:
    heads, dim = (int(v) for v in r.integers(1, (6, 40)))
    shape: list[int | str] = ["batch", S, heads * dim]
    q, k, v = (b.input(np.uint8, shape, lo, hi) for lo, hi in ((0, 127), (1, 255), (1, 255)))
    constants = attention.parameters(10.0 ** r.uniform(-5, 1), 41, heads, dim, heads)
    b.output(*b.op("Attention", [q, k, v, i32(np.zeros((1, 1, 1, 1))), *constants]))


def _convolution(b: Bench, r: Random) -> None:
    """One group, one per channel, or two; the wide form of the same windows, and pooling."""
    group = int(r.choice([1, 2, 4]))
    channels = 4 if group > 1 else int(r.integers(1, 9))
    filters = group * int(r.integers(1, 4))
    kernel, strides, dilations = (tuple(map(int, r.integers(1, 4, 2))) for _ in range(3))
    reach = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    pads = tuple(int(r.integers(0, reach[i % 2] + 1)) for i in range(4))
    height, width = (int(n) + m for n, m in zip(r.integers(1, 9, 2), reach, strict=True))
    x = b.input(np.uint8, ["batch", height, width, channels], 0, 255)
    zero = np.asarray(r.integers(0, 256), np.uint8)
    weight = r.integers(-127, 128, (filters, *kernel, channels // group)).astype(np.int8)
    windows: dict[str, Any] = {"strides": strides, "dilations": dilations}
    attributes = {**windows, "pads": pads, "group": group}
    divisor, bias = 2 * r.integers(0, 900, filters) + 1, i32(r.integers(-9999, 9999, filters))
    narrow: list[Any] = [x, zero, weight, bias, i32(divisor), i32(3), i32(251)]
    b.output(*b.op("Conv", narrow, **attributes))
    b.output(*b.op("ConvWide", [x, zero, weight, i32(divisor), bias], **attributes))
    inner = tuple(min(p, kernel[i % 2] - 1) for i, p in enumerate(pads))
    b.output(*b.op("MaxPool", [x], kernel_shape=kernel, pads=inner, **windows))


def _gates(b: Bench, r: Random) -> None:
    reach = int(2 ** r.uniform(2, 31)) - 1
    x = b.input(np.int32, ["batch", S, int(r.integers(1, 40))], -reach, reach)
    constants = i64(int(r.integers(0, 2**31))), i64(int(r.integers(20, 60)))
    for kind in ("Sigmoid", "Silu", "Tanh"):
        b.output(*b.op(kind, [x, *constants]))


def _rescale(b: Bench, r: Random) -> None:
    n = int(r.integers(1, 9))
    x = b.input(np.int32, ["batch", S, n], -(2**31), 2**31 - 1)
    lo, hi = sorted(int(v) for v in r.integers(-(2**31), 2**31, 2))
    for mul in (r.integers(-(2**31), 2**31, n), r.integers(-(2**31), 2**31)):
        b.output(*b.op("Rescale", [x, i64(mul), i64(int(r.integers(1, 63))), i32(lo), i32(hi)]))


def _quantize(b: Bench, r: Random) -> None:
    """Even divisors too, up to 30 bits, and sums up to the ends of int32."""
    n = int(r.integers(1, 9))
    x = b.input(np.int32, ["batch", S, n], -(2**30), 2**30)
    lo = int(r.integers(0, 9))
    bias = r.integers(-(2**29), 2**29, n)
    for divisor in (2 ** r.uniform(0, 31, n) - 1, 2 * np.exp2(r.uniform(20, 29, n)) // 2 * 2):
        d = i32(np.maximum(divisor, 1).astype(np.int64))
        b.output(*b.op("Quantize", [x, i32([1]), i32(bias), d, i32(lo), i32(255)]))


def _gelu(b: Bench, r: Random) -> None:
    n = int(r.integers(2, 60))
    step = r.uniform(0.0255, 0.3, n)
    x = b.input(np.uint8, ["batch", S, n], 0, gelu.HIGHEST)
    knee = np.rint(gelu.fit("none")[0] / step)
    factor = 1 + (2 * (gelu.HIGHEST - knee) + gelu.output_zero(step / 2) <= 255)
    constants = [knee, *gelu.parameters(step, factor, "none"), factor]
    constants.append(gelu.output_zero(step / factor))
    b.output(*b.op("Gelu", [x, *map(i32, constants)]))


_BUILDERS: Mapping[str, Callable[[Bench, Random], None]] = {
    "attention": _attend,
    "convolution": _convolution,
    "gates": _gates,
    "gelu": _gelu,
    "layer_norm": _norm("LayerNorm", layer_norm),
    "linear": _linear,
    "linear_dynamic": _linear_dynamic,
    "linear_wide": _linear_wide,
    "quantize": _quantize,
    "rescale": _rescale,
    "rms_norm": _norm("RMSNorm", rms_norm),
}


def _key_mask(b: Bench) -> None:
    b.case("key_mask")
    b.output(*b.op("KeyMask", [b.input(np.int64, ["batch", S], -3, 3)]))


#: Cases that C has no form of.
MORE_CASES: Mapping[str, Callable[[Bench], None]] = {"key_mask": _key_mask}


def _seeded(build: Callable[[Bench, Random], None]) -> Callable[[Bench, int], None]:
    def case(b: Bench, seed: int) -> None:
        b.case(f"seed_{seed}")
        build(b, np.random.default_rng(seed))

    return case


#: Cases by name; each takes the bench and a seed.
RANDOM_CASES = {name: _seeded(build) for name, build in _BUILDERS.items()}


def cached_cases() -> list[Any]:
    """Return attention over caches, plain and capped, for every form."""
    made = []
    for form in FORMS:
        for scale in (2.0**-20, 2.0**-2):

            def plain(b: Bench, form: Any = form, scale: float = scale) -> None:
                def constants(*shape: int) -> Any:
                    return cached_attention.parameters(2.0**-12, 2.0**-12, scale, *shape)

                _attention(b, "CachedAttention", [form], constants)

            made.append(pytest.param(plain, id=f"plain-{form}-{scale}"))
    for form, softcap in ((FORMS[2], 30.0), (FORMS[3], 50.0)):

        def capped(b: Bench, form: Any = form, softcap: float = softcap) -> None:
            def constants(*shape: int) -> Any:
                return cached_attention_capped.parameters(
                    2.0**-12, 2.0**-12, 2.0**-18, softcap, *shape
                )

            _attention(b, "CachedAttentionCapped", [form], constants)

        made.append(pytest.param(capped, id=f"capped-{form}"))
    return made
