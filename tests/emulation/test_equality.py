"""Every machine computes the same integers as the reference: operators, shapes, whole models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intcc.errors import DataError
from intcc.generation import CachedSession, StateSession
from intcc.runtime.reference import evaluate
from tests.c import test_cache
from tests.c.bench import Bench
from tests.c.cases import CASES
from tests.c.cases_cache import capped, decoder, plain
from tests.c.encoder import encoder
from tests.emulation.machines import MACHINES, emulate
from tests.emulation.shapes import SIZES, shapes_bench

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
#: What has kernels of a machine, or loops that compilers turn into its vectors.
KERNELS = (
    "attention", "batch_matmul", "dynamic_quantize", "gelu", "l2_normalize", "layer_norm",
    "linear", "linear_gelu", "linear_wide", "linear_dynamic", "mean_pool", "quantize", "rms_norm",
    "rotary", "silu", "softmax", "ternary",
)  # fmt: skip


class Expected:
    """A bench with inputs and the reference's outputs, computed once for all machines."""

    def __init__(self, bench: Bench, feeds: Mapping[str, Feeds]) -> None:
        self.bench = bench
        self.pairs = {k: (f, evaluate(bench.model, dict(f))) for k, f in feeds.items()}

    def differences(self, name: str, folder: Path, **options: Any) -> list[str]:
        machine, found = emulate(self.bench, name, folder, **options), []
        for label, (feeds, expected) in self.pairs.items():
            made = machine.run(feeds)
            assert made.keys() == expected.keys()
            found += [f"{label}: {k}" for k in made if not np.array_equal(made[k], expected[k])]
        return found


@pytest.fixture(scope="module")
def operators() -> Expected:
    bench = Bench("operators")
    for name in KERNELS:
        CASES[name](bench)
    bench.finish()
    feeds = {kind: bench.feeds(17, kind) for kind in ("low", "high", "mix")}
    return Expected(bench, {**feeds, **{f"{n}": bench.feeds(n, "random") for n in (1, 41)}})


@pytest.fixture(scope="module")
def shapes() -> Expected:
    bench = shapes_bench()
    return Expected(bench, {f"{n} rows": bench.feeds(n, "random") for n in SIZES})


@pytest.fixture(scope="module")
def sentences() -> Expected:
    bench = encoder()
    bench.limits["attention_mask"] = (1, 1)
    return Expected(bench, {f"{n} tokens": bench.feeds(n, "random") for n in (1, 24)})


@pytest.mark.parametrize("name", MACHINES)
def test_operators(operators: Expected, name: str, tmp_path: Path) -> None:
    assert operators.differences(name, tmp_path) == []


@pytest.mark.parametrize("name", MACHINES)
def test_shapes_that_are_no_multiple_of_a_block(
    shapes: Expected, name: str, tmp_path: Path
) -> None:
    assert shapes.differences(name, tmp_path) == []


@pytest.mark.parametrize("name", MACHINES)
def test_cached_attention(name: str, tmp_path: Path) -> None:
    bench = Bench("caches")
    bench.model.metadata_props["intcc.max_positions"] = str(test_cache.CONTEXT)
    for build in (plain, capped):
        build(bench)
    bench.finish()
    assert test_cache.differences(bench, emulate(bench, name, tmp_path), "random") == []


@pytest.mark.parametrize("name", MACHINES)
def test_encoder(sentences: Expected, name: str, tmp_path: Path) -> None:
    assert sentences.differences(name, tmp_path) == []


@pytest.mark.parametrize("name", MACHINES)
def test_generic_decoder(name: str, tmp_path: Path) -> None:
    """C without a machine in mind runs on each: chunks of a prompt, then tokens."""
    bench = decoder(max_tokens=8, context=30)
    machine = emulate(bench, name, tmp_path, target="generic")

    class Reference:
        def run(self, feeds: Feeds) -> dict[str, Array]:
            return evaluate(bench.model, dict(feeds))

    text = StateSession(machine)
    expected = CachedSession(Reference(), machine.inputs, 30)
    rng = np.random.default_rng(4)
    for n in (13, 1, 1):
        tokens = rng.integers(0, 50, n).tolist()
        np.testing.assert_array_equal(text.feed(tokens), expected.feed(tokens))
    assert [(c.tokens, c.position) for c in machine.calls] == [(8, 0), (5, 8), (1, 13), (1, 14)]


@pytest.mark.parametrize("name", MACHINES)
def test_no_tokens_are_refused(name: str, tmp_path: Path) -> None:
    bench = encoder()
    machine = emulate(bench, name, tmp_path)
    none = np.zeros((1, 0), np.int64)
    with pytest.raises(DataError, match="got a sequence of a length it does not take"):
        machine.run({"input_ids": none, "attention_mask": none})
    assert machine.calls == []
