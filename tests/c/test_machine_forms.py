"""Machine forms of products: portable bodies on the host against the reference, every shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intcc.backends.c.kernels_gate import _upper_word
from intcc.backends.c.matmul import FORMS
from intcc.backends.c.render import render_kernel
from intcc.backends.c.select import select
from intcc.backends.c.target import load_target
from intcc.runtime.reference import evaluate
from tests.c import test_cache
from tests.c.bench import Bench, differences
from tests.c.cases import CASES
from tests.c.cases_cache import cache_bench
from tests.c.driver import SANITIZED, run_driver
from tests.c.test_golden import check

#: One target for each form.
TARGETS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55")
EVERY = pytest.mark.parametrize("target", TARGETS)
UNDEFINED = ("-O1", "-g1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
MAX_TOKENS = 70

Array = npt.NDArray[Any]


def _weight(rng: np.random.Generator, k: int, n: int, kind: str) -> Array:
    if kind == "random":
        return rng.integers(-128, 127, (k, n), endpoint=True).astype(np.int8)
    ends = rng.choice(np.array([-128, 127]), (k, n))
    return (ends if kind == "ends" else np.full((k, n), int(kind))).astype(np.int8)


def layers(seed: int) -> Bench:
    """Return Linear and LinearWide layers of random shapes and of awkward ones."""
    rng = np.random.default_rng(seed)
    bench = Bench("bench", max_tokens=MAX_TOKENS)
    shapes = [(1, 1), (1, 5), (3, 1), (7, 33), (8, 4), (64, 64), (65, 31), (129, 3), (300, 2)]
    shapes += [tuple(pair) for pair in rng.integers(1, 70, (5, 2), endpoint=True).tolist()]
    kinds = ("random", "ends", "-128", "127")
    for at, (k, n) in enumerate(shapes):
        kind = kinds[at % len(kinds)]
        bench.case(f"layer{at}_{k}x{n}")
        x = bench.input(np.uint8, ["batch", "sequence", k], 0, 255)
        w = _weight(rng, k, n, kind)
        # Half of the sums' range is spread over the bytes, so that both ends saturate.
        divisor = 2 * rng.integers(k * 40, k * 50, n, endpoint=True) + 1
        bias = 128 * divisor - 128 * w.astype(np.int64).sum(0)
        constants = [np.asarray(a, np.int32) for a in (bias, divisor, at % 3, 255 - at % 5)]
        bench.output(*bench.op("Linear", [x, w, *constants]))
        mul = rng.integers(1, 2**31 // (256 * 128 * k * 4), n, endpoint=True)
        wide = [np.asarray(a, np.int32) for a in (mul, rng.integers(-(2**20), 2**20, n))]
        bench.output(*bench.op("LinearWide", [x, w, *wide]))
    bench.finish()
    return bench


@EVERY
def test_equal_to_reference(target: str, tmp_path: Path) -> None:
    bench = layers(0)
    bench.emit(tmp_path, target=target)
    native = bench.native(tmp_path, (*UNDEFINED, "-Wsign-conversion"))
    rows = (1, 2, 3, 4, 5, 6, 7, 8, 9, 33, 64, 65, 70)
    sets = [(f"{n} rows", bench.feeds(n, "random")) for n in rows]
    sets += [(kind, bench.feeds(n, kind)) for kind in ("low", "high", "mix") for n in (1, 5)]
    for label, feeds in sets:
        got = native.run(feeds)
        for name, expected in evaluate(bench.model, feeds).items():
            assert (got[name] == expected).all(), f"{label}: {name}"
    assert native.selftest() == 0


@EVERY
def test_no_access_out_of_bounds(target: str, tmp_path: Path) -> None:
    bench = layers(1)
    bench.emit(tmp_path, target=target)
    model = bench.prototype(tmp_path)
    for rows in (1, 7):
        feeds = bench.feeds(rows, "random")
        expected = evaluate(bench.model, feeds)
        wrong = run_driver(tmp_path, "bench", model, feeds, expected, rows, SANITIZED, tmp_path)
        assert wrong == "", f"{rows} rows"


def _golden(target: str) -> str:
    bench = Bench("golden")
    bench.case("linear")
    x = bench.input(np.uint8, ["batch", "sequence", 65], 0, 255)
    w = _weight(np.random.default_rng(0), 65, 12, "random")
    numbers = [np.arange(12) * 999, 2 * np.arange(12) + 2001, 0, 255]
    bench.output(*bench.op("Linear", [x, w, *(np.asarray(a, np.int32) for a in numbers)]))
    program = select(bench.finish(), load_target(target))
    return "\n\n".join(render_kernel(k, program.machine) for k in program.kernels()) + "\n"


@EVERY
def test_golden(target: str, request: pytest.FixtureRequest) -> None:
    check(f"form_{load_target(target).matmul.kernel}.c", _golden(target), request)


def _operators() -> Bench:
    bench = Bench("bench")
    CASES["attention"](bench)
    CASES["softmax"](bench)
    bench.finish()
    return bench


def test_golden_operators(request: pytest.FixtureRequest) -> None:
    program = select(_operators().model, load_target("cortex-m4"))
    shown = {
        program.machine[k.template]: render_kernel(k, program.machine)
        for k in program.kernels()
        if k.template in program.machine
    }
    for template, text in shown.items():
        check(f"form_{Path(template).name}.c", text + "\n", request)


def test_operators_on_the_host(tmp_path: Path) -> None:
    bench = _operators()
    bench.emit(tmp_path, target="cortex-m4")
    assert differences(bench, bench.native(tmp_path, UNDEFINED)) == []


def test_caches_on_the_host(tmp_path: Path) -> None:
    bench = cache_bench(test_cache.CONTEXT)
    bench.emit(tmp_path, target="cortex-m4")
    native = bench.native(tmp_path, UNDEFINED)
    assert test_cache.differences(bench, native, "random") == []


@pytest.mark.parametrize("shift", [1, 2, 3, 20, 29, 30, 31, 32, 33, 45, 50, 51, 62])
@pytest.mark.parametrize("mul", [0, 1, 4, 12345, 2**30, 2**31 - 1])
def test_exponent_as_an_upper_word(mul: int, shift: int) -> None:
    """As softmax computes it on Cortex-M, where 17 and all beyond stand for the same."""
    made = _upper_word(mul, shift)
    lift, left, right = made["lift"], made["left"], made["right"]
    if left is None:
        assert shift == 1
        return
    assert lift is not None and right is not None and mul << lift < 2**31
    for d in (0, 1, 2, 3, 100, 65537, 2**24 + 1, 2**30, 2**31 - 2):
        kept = d << left if left < 3 else min(d, 2 ** (31 - left) - 1) << left
        word = min(kept, 2**31 - 1) * (mul << lift) + 2 ** (31 + right)
        exponent = word >> 32 + right
        expected = d * mul + (1 << shift >> 1) >> shift
        assert exponent == expected or min(exponent, expected) >= 17 << 12
    # What is shifted out of the result in two pieces: the fraction, and the rest below 32.
    assert word >> 32 < 2**31 and right <= 30


@EVERY
def test_arrays_of_a_kernel_are_small(target: str) -> None:
    bench = layers(0)
    program = select(bench.model, load_target(target))
    assert max(call.kernel.stack for call in program.calls) <= 1024


@pytest.mark.parametrize("name", sorted(FORMS))
def test_padding_holds_no_weights(name: str) -> None:
    form = FORMS[name]
    block = form.step // form.digits
    assert form.stride(1) == block
    assert form.stride(form.step) == block
    assert form.stride(form.step + 1) == 2 * block
    assert form.chunk % form.step == 0
