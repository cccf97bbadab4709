"""Products of all shapes that are and are not multiples of a block."""

from __future__ import annotations

import itertools

import numpy as np

from intcc.ops import linear_dynamic
from tests.c.bench import Bench
from tests.c.cases import i32, weight

#: Terms of a sum, columns, rows.
SIZES = (1, 3, 61, 64, 65)
S = "sequence"


def shapes_bench() -> Bench:
    """Return products of every terms and columns; tokens are rows."""
    rng = np.random.default_rng(5)
    b = Bench("shapes", max_tokens=max(SIZES))
    for k in SIZES:
        b.case(f"k{k}")
        narrow = b.input(np.uint8, ["batch", S, k], 0, 255)
        wide = b.input(np.int32, ["batch", S, k], -(2**28), 2**28)
        dynamic = b.op("DynamicQuantize", [wide], outputs=3)
        for n in SIZES:
            b.case(f"product_{k}x{n}")
            w, bias = weight(rng, k, n), i32(rng.integers(-9999, 9999, n))
            divisor = i32(2 * rng.integers(1, 300, n) + 1)
            b.output(*b.op("Linear", [narrow, w, bias, divisor, i32(0), i32(255)]))
            # All pairs of a size with itself and with the next: each size is on either side.
            if (k, n) not in PAIRS:
                continue
            b.output(*b.op("LinearWide", [narrow, w, i32(rng.integers(1, 1000, n)), bias]))
            for chosen, kind in ((w, "LinearDynamic"), (np.sign(w), "LinearDynamic"),
                                 (weight(rng, k, n, 127), "LinearDynamicFull")):  # fmt: skip
                mul, shift = linear_dynamic.parameters(rng.uniform(1e-5, 1e-4, n), chosen)
                b.output(*b.op(kind, [*dynamic, chosen, mul, shift, bias]))
    b.finish()
    return b


PAIRS = {(n, n) for n in SIZES} | set(itertools.pairwise((*SIZES, SIZES[0])))
