"""Every operator at random shapes, with random constants and ranges within its constraints."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.c.bench import Bench
from tests.npu.random_cases import (
    attention,
    caches,
    elementwise,
    gates,
    images,
    linear,
    movement,
    rows,
)
from tests.npu.random_cases.draw import Cases, Draw

__all__ = ["RANDOM_CASES", "RandomCase", "random_case"]

_BUILDERS: Mapping[str, Cases] = {
    "ai.intcc": {
        **attention.CASES,
        **caches.CASES,
        **elementwise.CASES,
        **gates.CASES,
        **images.CASES,
        **linear.CASES,
        **rows.CASES,
    },
    "": movement.CASES,
}
#: By domain and type of the operator.
RANDOM_CASES: Mapping[tuple[str, str], Callable[[Bench, Draw], None]] = {
    (domain, kind): build for domain, cases in _BUILDERS.items() for kind, build in cases.items()
}


@dataclass(frozen=True)
class RandomCase:
    """A graph around one operator, and how it is run.

    Attributes:
        bench: the graph.
        extents: tokens of this call, tokens of earlier ones, and the batch.
        kinds: inputs to run it on.
        lacking: TOSA operations to do without.
    """

    bench: Bench
    extents: tuple[int, int, int]
    kinds: tuple[str, ...]
    lacking: tuple[str, ...]


def random_case(domain: str, kind: str, seed: int) -> RandomCase:
    """Return a case of an operator; equal seeds give equal cases."""
    d = Draw(zlib.crc32(f"{domain} {kind}".encode()), seed)
    bench = Bench("bench")
    bench.case(f"{kind.lower()}_{seed}")
    RANDOM_CASES[domain, kind](bench, d)
    bench.finish()
    kinds = ("random", "sizes", "mix", d.one_of("low", "high", "small"))
    lacking = d.one_of((), (), ("INTDIV",), ("REDUCE_MAX",), ("INTDIV", "REDUCE_MAX"))
    return RandomCase(bench, d.extents(), kinds, lacking)
