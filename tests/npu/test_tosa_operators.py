"""Every operator of the dialect on the TOSA reference model: the bits of its numpy reference."""

from __future__ import annotations

from typing import Any

import pytest

from intcc.ops import cached_attention, cached_attention_capped
from tests.c.bench import Bench
from tests.c.cases import CASES
from tests.c.cases_cache import CACHE_CASES, FORMS, over_caches
from tests.npu.random_cases import RANDOM_CASES, random_case
from tests.npu.tosa_bench import bench_of, differences, results

pytest.importorskip("tosa_reference_model", reason="tosa-tools is not installed: make test-npu")

#: Cases of one graph each; those of attention over caches are long, and come one by one.
LISTED = {n: c for n, c in {**CASES, **CACHE_CASES}.items() if not n.startswith("cached")}
#: Random cases of each operator; `python -m tests.npu.sweep` runs more.
SEEDS = 5


@pytest.mark.parametrize("name", LISTED)
def test_listed_cases(name: str) -> None:
    assert differences(bench_of(LISTED[name])) == []


@pytest.mark.parametrize("name", ["attention", "dynamic_quantize", "mean_pool", "softmax"])
def test_without_division_and_row_maximum(name: str) -> None:
    """Ethos-U55 has neither."""
    bench = bench_of(LISTED[name])
    lacking = ("INTDIV", "REDUCE_MAX")
    assert differences(bench, [(17, 3)], lacking=lacking) == []


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-2])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_attention_over_caches(form: tuple[int, ...], scale: float) -> None:
    def constants(*shape: int) -> Any:
        return cached_attention.parameters(2.0**-12, 2.0**-12, scale, *shape)

    def build(b: Bench) -> None:
        over_caches(b, "CachedAttention", [form], constants)

    assert differences(bench_of(build), kinds=("random", "mix")) == []


@pytest.mark.parametrize(("form", "softcap"), [(FORMS[2], 30.0), (FORMS[3], 50.0)], ids=str)
def test_capped_attention_over_caches(form: tuple[int, ...], softcap: float) -> None:
    def constants(*shape: int) -> Any:
        units = (2.0**-12, 2.0**-12, 2.0**-18)
        return cached_attention_capped.parameters(*units, softcap, *shape)

    def build(b: Bench) -> None:
        over_caches(b, "CachedAttentionCapped", [form], constants)

    assert differences(bench_of(build), kinds=("random", "mix")) == []


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(("domain", "kind"), RANDOM_CASES)
def test_random_cases(domain: str, kind: str, seed: int) -> None:
    case = random_case(domain, kind, seed)
    found = results(case.bench, *case.extents, case.kinds, case.lacking)
    assert [difference for r in found if (difference := r.difference())] == []
