"""Runs that threads share: equal bits for every number of threads, in every order of parts."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intcc.backends.c.generator import Generation
from intcc.backends.c.target import load_target
from intcc.errors import SettingsError, ToolError
from intcc.ops import linear_dynamic
from intcc.runtime.native import NativeModel
from tests.c.bench import Bench
from tests.c.cases import full_bench
from tests.c.cases_cache import cache_bench, decoder
from tests.c.encoder import encoder
from tests.ops.harness import i32, i64

PARTS = (1, 2, 3, 5)
#: No rows to cut, fewer than parts, and counts that no number of parts divides.
TOKENS = (1, 2, 3, 5, 7, 13, 16, 17, 23)
BENCHES: dict[str, Callable[[], Bench]] = {
    "operators": full_bench,
    "caches": cache_bench,
    "encoder": encoder,
    "tokens": lambda: encoder(pooled=False),
}
Work = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)
Run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, Work, ctypes.c_void_p, ctypes.c_size_t)


@pytest.fixture(scope="module", params=BENCHES)
def emitted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, Path]:
    bench, folder = BENCHES[request.param](), tmp_path_factory.mktemp(request.param)
    bench.emit(folder, threads=True)
    return bench, folder


def wrong(bench: Bench, native: NativeModel, tokens: int) -> list[str]:
    """Return the outputs that differ from the reference."""
    feeds = bench.feeds(tokens, "random")
    if "attention_mask" in feeds:
        feeds["attention_mask"][:] = 1
    expected, got = bench.expected(feeds), native.run(feeds)
    return [name for name, array in got.items() if not np.array_equal(array, expected[name])]


@pytest.mark.parametrize("parts", PARTS)
def test_equal_for_every_number_of_threads(emitted: tuple[Bench, Path], parts: int) -> None:
    bench, folder = emitted
    native = bench.native(folder, threads=parts)
    assert {n: w for n in TOKENS if (w := wrong(bench, native, n))} == {}


class OneByOne:
    """In place of a pool: the parts of a job one after the other, in any order."""

    def __init__(self, native: NativeModel, parts: int, order: Callable[[int], Any]) -> None:
        assert native._pool is not None
        self.jobs = 0

        def run(context: Any, work: Any, argument: Any, count: int) -> None:
            assert count == parts
            self.jobs += 1
            for part in order(count):
                work(argument, int(part))

        self._run = Run(run)
        native._pool._parallel.run = ctypes.cast(self._run, ctypes.c_void_p)


@pytest.mark.parametrize("parts", PARTS[1:])
def test_equal_in_every_order_of_parts(emitted: tuple[Bench, Path], parts: int) -> None:
    """Parts that depend on each other would see old values in one order or the other."""
    bench, folder = emitted
    native, rng = bench.native(folder, threads=parts), np.random.default_rng(parts)
    for order in (range, lambda n: reversed(range(n)), rng.permutation):
        shared = OneByOne(native, parts, order)
        assert {n: w for n in TOKENS if (w := wrong(bench, native, n))} == {}
        assert shared.jobs > 0


def gated(*, quantized: bool = False) -> Bench:
    """Return gates of whole cache lines between products, whose rows are quantized if wanted."""
    bench, rng = Bench("gated", max_tokens=24), np.random.default_rng(0)
    for inner, width in ((24, 192), (40, 64)):
        bench.case(f"gated_{width}")
        x = bench.input(np.int32, ["batch", "sequence", inner], -(2**28), 2**28)
        codes = bench.op("DynamicQuantize", [x], outputs=3)
        made = []
        for _ in range(2):
            weight = rng.integers(-127, 127, (inner, width), endpoint=True).astype(np.int8)
            mul, shift = linear_dynamic.parameters(rng.uniform(1e-5, 1e-4, width), weight)
            bias = np.zeros(width, np.int32)
            made += bench.op("LinearDynamicFull", [*codes, weight, mul, shift, bias])
        gate = bench.op("Silu", [made[0], i64(1549082005), i64(39)])
        ends = [i32(-(2**29)), i32(2**29)]
        y = bench.op("Product", [gate[0], made[1], i64(20), *ends])
        if quantized:
            factor = i64(rng.integers(1, 2**15, width))
            y = bench.op("Rescale", [*y, factor, i64(14), *ends])
            y = bench.op("DynamicQuantize", y, outputs=3)
        bench.output(*y)
    bench.finish()
    return bench


@pytest.mark.parametrize(("target", "jobs"), [("generic", 4), ("x86-64-v3", 2)])
def test_gates_take_the_columns_of_their_products(target: str, jobs: int, tmp_path: Path) -> None:
    """Rows are quantized by one part; no part waits behind that where tiles are cache lines."""
    bench = gated()
    bench.emit(tmp_path, target=target, threads=True)
    for parts in PARTS[1:]:
        native = bench.native(tmp_path, threads=parts)
        for order in (range, lambda n: reversed(range(n))):
            shared = OneByOne(native, parts, order)
            assert {n: w for n in TOKENS if (w := wrong(bench, native, n))} == {}
        shared = OneByOne(native, parts, range)
        assert wrong(bench, native, 1) == []
        assert shared.jobs == jobs


@pytest.mark.parametrize("target", ["generic", "x86-64-v3"])
def test_blocks_of_rows_go_from_gates_to_codes(target: str, tmp_path: Path) -> None:
    """Parts with whole rows do both stages as one; the others wait in between."""
    bench = gated(quantized=True)
    bench.emit(tmp_path, target=target, threads=True)
    text = (tmp_path / "gated.c").read_text(encoding="utf-8")
    assert text.count("if (run->whole)") == text.count("if (!run->whole)") == 2
    first = text[text.index("if (run->whole)") :]
    order = [first.index(f"/* {kind}: ") for kind in ("Silu", "Product", "Rescale")]
    assert order == sorted(order) and order[-1] < first.index("/* DynamicQuantize: ")
    for parts in PARTS:
        native = bench.native(tmp_path, threads=parts)
        assert {n: w for n in TOKENS if (w := wrong(bench, native, n))} == {}
        for order_of in (range, lambda n: reversed(range(n))):
            if parts > 1:
                OneByOne(native, parts, order_of)
                assert {n: w for n in TOKENS if (w := wrong(bench, native, n))} == {}


def tokens_encoder(folder: Path, target: str = "generic") -> Bench:
    bench = encoder(pooled=False)
    bench.emit(folder, target=target, threads=True)
    return bench


def generator(folder: Path, target: str = "generic") -> Bench:
    bench = decoder(max_tokens=24, context=64)
    bench.model.metadata_props["intcc.task"] = "text-generation"
    settings = Generation(end_tokens=(2,))
    bench.emit(folder, target=target, threads=True, chunk=24, generation=settings)
    return bench


def test_decoder_continues_with_equal_bits(tmp_path: Path) -> None:
    bench = generator(tmp_path)
    ids = np.random.default_rng(5).integers(0, 50, (1, 64))
    texts = []
    for parts in PARTS:
        native = bench.native(tmp_path, threads=parts)
        state, at, logits = native.new_state(), 0, []
        for count in (17, 1, 1, 24, 3, 18):
            feeds = {"input_ids": ids[:, at : at + count]}
            logits.append(native.run_from(feeds, state, at)["logits"])
            at += count
        texts.append(np.concatenate(logits))
    assert all(np.array_equal(text, texts[0]) for text in texts)


#: Runs of one and of several threads, compared byte for byte; texts are continued.
DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "{name}.h"
#include "{name}_threads.h"

static struct {name}_threads pool;
static {upper}_ALIGNED uint64_t arenas[2][{upper}_ARENA_BYTES / 8 + 1];
static {upper}_ALIGNED uint64_t scratch[4][{upper}_PART_BYTES / 8 + 1];
{state}
static int32_t ids[64], results[2][{elements}];

int main(void)
{{
    static const size_t counts[] = {{ {counts} }};

    for (size_t parts = 2; parts <= 5; parts++) {{
        const struct {name}_parallel parallel = {{ {name}_threads_run, &pool, parts, scratch }};
        size_t position = 0;

        if ({name}_threads_start(&pool, parts) != 0) return 2;
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {{
            const size_t n = counts[i];

            for (size_t j = 0; j < n; j++) ids[j] = (int32_t)((j * 7 + i * 3 + 1) % 50);
            memset(results, 0, sizeof results);
            if ({name}_run({one}) != 0 || {name}_run_parallel({several}) != 0) return 3;
            if (memcmp(results[0], results[1], sizeof results[0]) != 0) return 4;
            position += n;
        }}
        if (position == 0) return 5;
        {name}_threads_stop(&pool);
    }}
    return 0;
}}
"""
CASES: dict[str, tuple[Callable[[Path, str], Bench], str, int]] = {
    "encoder": (tokens_encoder, "tiny", 480),
    "decoder": (generator, "decoder", 40),
}


def write_driver(case: str, folder: Path, target: str) -> list[str]:
    """Write a model and the driver; return the paths of all sources."""
    write, name, elements = CASES[case]
    write(folder, target)
    cached = case == "decoder"
    arrays = [
        f"arenas[{i}], {f'caches[{i}], ' if cached else ''}ids, n, "
        f"{'position, ' if cached else ''}results[{i}]"
        for i in range(2)
    ]
    upper = name.upper()
    text = DRIVER.format(
        name=name,
        upper=upper,
        elements=elements,
        state=f"static {upper}_ALIGNED uint64_t caches[2][{upper}_CACHE_BYTES / 8];"
        if cached
        else "",
        counts="17, 1, 1, 24, 3, 18" if cached else "24, 1, 16, 2, 17, 23",
        one=arrays[0],
        several=f"&parallel, {arrays[1]}",
    )
    source = folder / "driver.c"
    source.write_text(text, encoding="utf-8")
    return [str(folder / f) for f in ("driver.c", *(f"{name}{p}.c" for p in PARTS_OF_A_MODEL))]


PARTS_OF_A_MODEL = ("", "_weights", "_threads")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


@pytest.mark.parametrize("case", CASES)
def test_no_data_race(case: str, tmp_path: Path) -> None:
    files, program = write_driver(case, tmp_path, "generic"), tmp_path / "driver"
    command = ["gcc", *STRICT, "-O1", "-g1", "-fsanitize=thread", "-pthread"]
    built = subprocess.run([*command, *files, "-o", program], capture_output=True, text=True)
    if "libtsan" in built.stderr:
        pytest.skip("gcc has no ThreadSanitizer: install libtsan")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def emulated(files: Sequence[str], program: str) -> int:
    """Build a program for an emulated AArch64; return what it exits with there."""
    target = load_target("aarch64")
    assert target.toolchain is not None and target.emulator is not None
    for tool in (target.toolchain.compiler, target.emulator.program):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}")
    flags = [*STRICT, *target.toolchain.flags, "-static", "-pthread"]
    subprocess.run([target.toolchain.compiler, *flags, *files, "-o", program], check=True)
    run = [target.emulator.program, *target.emulator.arguments, program]
    return subprocess.run(run, check=False, timeout=300).returncode


@pytest.mark.parametrize("case", CASES)
def test_equal_on_another_machine(case: str, tmp_path: Path) -> None:
    """The machine forms of AArch64 take ranges too."""
    files = write_driver(case, tmp_path, "aarch64")
    assert emulated(files, str(tmp_path / "driver")) == 0


#: Texts of one and of several threads: a prompt longer than a call, then tokens.
TEXTS = """
#include <string.h>
#include "decoder.h"
#include "decoder_threads.h"

static struct decoder_threads pool;
static decoder_state states[2];
static uint64_t scratch[2][DECODER_PART_BYTES / 8 + 1];
static int32_t ids[40], logits[2][DECODER_VOCABULARY];

int main(void)
{
    const struct decoder_parallel parallel = { decoder_threads_run, &pool, 3, scratch };

    if (decoder_threads_start(&pool, 3) != 0) return 2;
    for (size_t j = 0; j < 40; j++) ids[j] = (int32_t)(j * 7 % 50);
    if (decoder_prefill(&states[0], ids, 40, logits[0]) != 0) return 3;
    if (decoder_prefill_parallel(&parallel, &states[1], ids, 40, logits[1]) != 0) return 4;
    for (int32_t token = 0; token < 9; token++) {
        if (memcmp(logits[0], logits[1], sizeof logits[0]) != 0) return 5;
        if (decoder_step(&states[0], token, logits[0]) != 0) return 6;
        if (decoder_step_parallel(&parallel, &states[1], token, logits[1]) != 0) return 7;
    }
    if (decoder_step_parallel(&parallel, &states[1], 0, NULL) != DECODER_NULL_POINTER) return 8;
    decoder_threads_stop(&pool);
    return states[0].position == states[1].position ? 0 : 9;
}
"""


def test_texts_in_c(tmp_path: Path) -> None:
    files, program = write_driver("decoder", tmp_path, "generic"), tmp_path / "driver"
    (tmp_path / "driver.c").write_text(TEXTS, encoding="utf-8")
    command = ["gcc", *STRICT, "-O1", "-pthread", *files, "-o", str(program)]
    subprocess.run(command, check=True)
    assert subprocess.run([program], check=False, timeout=300).returncode == 0


#: Pools that live for one job: a thread that is late for it must not do it again.
SHORT_LIVES = """
#include "tiny_threads.h"

static struct tiny_threads pool;

static void add(void *argument, size_t part)
{
    (void)__atomic_fetch_add((size_t *)argument, part + 1, __ATOMIC_SEQ_CST);
}

int main(void)
{
    for (int round = 0; round < 1000; round++) {
        size_t sum = 0;

        if (tiny_threads_start(&pool, 4) != 0) return 2;
        tiny_threads_run(&pool, add, &sum, 4);
        if (__atomic_load_n(&sum, __ATOMIC_SEQ_CST) != 10) return 3;
        tiny_threads_stop(&pool);
        if (__atomic_load_n(&sum, __ATOMIC_SEQ_CST) != 10) return 4;
    }
    return 0;
}
"""


def test_pools_that_stop_at_once(tmp_path: Path) -> None:
    """An emulated processor, whose threads are slow to start, showed this."""
    write_driver("encoder", tmp_path, "generic")
    (tmp_path / "driver.c").write_text(SHORT_LIVES, encoding="utf-8")
    files = [str(tmp_path / "driver.c"), str(tmp_path / "tiny_threads.c")]
    assert emulated(files, str(tmp_path / "driver")) == 0


def test_c_for_one_thread_is_refused(tmp_path: Path) -> None:
    bench = encoder()
    bench.emit(tmp_path)
    expected = r"2 threads cannot share this model's C\. Compile it with --threads"
    with pytest.raises(SettingsError, match=expected):
        bench.native(tmp_path, threads=2)


def test_too_many_threads_are_refused(tmp_path: Path) -> None:
    bench = encoder()
    bench.emit(tmp_path, threads=True)
    expected = r"65 threads cannot be started \(Invalid argument\)\. Ask for fewer"
    with pytest.raises(ToolError, match=expected):
        bench.native(tmp_path, threads=65)


def test_machine_with_one_core_has_no_threads(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'cortex-m4' has one core and no threads"):
        encoder().emit(tmp_path, target="cortex-m4", threads=True)
