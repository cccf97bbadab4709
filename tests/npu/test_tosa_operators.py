"""Every operator of the dialect on the TOSA reference model: the bits of its numpy reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.c.bench import Bench
from tests.c.cases import CASES
from tests.c.cases_cache import CACHE_CASES
from tests.npu.random_cases import MORE_CASES, RANDOM_CASES, cached_cases
from tests.npu.tosa_bench import bench_of, differences

pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed: make test-npu")

#: Cases of one graph each; those of attention over caches are long, and come one by one.
LISTED = {**CASES, **CACHE_CASES, **MORE_CASES}
LISTED = {n: c for n, c in LISTED.items() if not n.startswith("cached")}


@pytest.mark.parametrize("name", LISTED)
def test_listed_cases(name: str) -> None:
    assert differences(bench_of(LISTED[name])) == []


@pytest.mark.parametrize("name", ["attention", "dynamic_quantize", "mean_pool", "softmax"])
def test_without_division_and_row_maximum(name: str) -> None:
    """Ethos-U55 has neither."""
    bench = bench_of(LISTED[name])
    lacking = ("INTDIV", "REDUCE_MAX")
    assert differences(bench, [(17, 3)], lacking=lacking) == []


@pytest.mark.parametrize("build", cached_cases())
def test_attention_over_caches(build: Callable[[Bench], None]) -> None:
    assert differences(bench_of(build), kinds=("random", "mix")) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RANDOM_CASES)
def test_random_shapes(name: str, seed: int) -> None:
    bench = bench_of(lambda b: RANDOM_CASES[name](b, seed))
    assert differences(bench, [(1 + 7 * seed, 2 + seed)], ("random", "mix")) == []
