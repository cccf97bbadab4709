"""Every operator and every cache as C for x86 hosts: intrinsics of each level, and without any.

The targets for x86 differ in flags alone, which choose the instructions; see `VECTOR` in the C.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.kernels_gelu import steps
from intcc.backends.c.render import render_kernel
from intcc.backends.c.select import select
from intcc.backends.c.target import load_target
from intcc.ops import cached_attention, gelu, layer_norm
from intcc.runtime.reference import evaluate
from tests.c import test_cache
from tests.c.bench import Bench, differences
from tests.c.cases import CASES, full_bench
from tests.c.cases_cache import CACHE_CASES, cache_bench, cached, over_caches
from tests.c.driver import SANITIZED, run_driver
from tests.c.test_golden import check
from tests.c.test_vector_forms import attend
from tests.ops.harness import i32, i64

TARGET = "x86-64-v4"
#: What a processor must have, by target.
LEVELS = {
    "x86-64-v3": {"avx2", "bmi2", "fma"},
    "x86-64-avxvnni": {"avx2", "avx_vnni"},
    "x86-64-v4": {"avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512vbmi"},
}
#: The same code with the instructions of 256 bits that AVX-512 has, where AVX-VNNI is missing.
TWINS = {
    "x86-64-avxvnni": (
        {"avx2", "avx512_vnni", "avx512vl"},
        ("-O3", "-march=x86-64-v3", "-mavx512vnni", "-mavx512vl"),
    )
}
#: Kernels that only these targets call.
ALONE = {
    "kernels/block_words",
    "kernels/gelu_steps",
    "kernels/vector_codes",
    "kernels/vector_curve",
    "kernels/vector_powers",
    "kernels/vector_scores",
}
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")


def flags_of(target: str) -> tuple[str, ...]:
    """Return a target's compiler flags; skip where this processor lacks what they name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    has = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    if has >= LEVELS[target]:
        toolchain = load_target(target).toolchain
        assert toolchain is not None
        return toolchain.flags
    needs, flags = TWINS.get(target, (LEVELS[target], ()))
    if not has >= needs:
        pytest.skip(f"this processor is no {target}")
    return flags


EVERY = pytest.mark.parametrize(
    ("compiler", "target"),
    [("gcc", None), *(("gcc", target) for target in LEVELS), ("clang-19", TARGET)],
)


def build_flags(compiler: str, target: str | None) -> tuple[str, ...]:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    if target is None:  # there are no intrinsics
        return ("-O1", *UNDEFINED)
    # One target at its own level is enough: to compile at this one takes half the time.
    return flags_of(target) if target == TARGET else (*flags_of(target), "-O1")


@pytest.fixture(scope="module")
def operators(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    bench, path = full_bench(), tmp_path_factory.mktemp("operators")
    bench.emit(path, target=TARGET)
    return bench, path


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    bench, path = cache_bench(test_cache.CONTEXT), tmp_path_factory.mktemp("caches")
    bench.emit(path, target=TARGET)
    return bench, path


@EVERY
def test_operators(operators: tuple[Bench, Path], compiler: str, target: str | None) -> None:
    bench, folder = operators
    flags = (*build_flags(compiler, target), "-Wsign-conversion")
    native = bench.native(folder, flags, compiler=compiler)
    assert differences(bench, native) == []
    assert native.selftest() == 0


@EVERY
def test_rescaled_rows(compiler: str, target: str | None, tmp_path: Path) -> None:
    """Whole vectors and what is left of them; results of all sizes, and those that saturate."""
    bench = Bench("rescaled")
    rng = np.random.default_rng(8)
    least, most = -(2**31), 2**31 - 1
    for columns in (16, 37):
        bench.case(f"rescaled{columns}")
        x = bench.input(np.int32, ["batch", "sequence", columns], least + 1, most)
        each = i64(rng.integers(-(2**30), 2**30, columns))
        for mul, shift, lo, hi in (
            (i64(2**31 - 1), 32, least, most),
            (i64(12345), 1, least, most),
            (i64(2**30), 61, -1, 1),
            (each, 31, least, most),
            (each, 24, -1000, 2**30),
        ):
            bench.output(*bench.op("Rescale", [x, mul, i64(shift), i32(lo), i32(hi)]))
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    flags = (*build_flags(compiler, target), "-Wsign-conversion")
    assert differences(bench, bench.native(tmp_path, flags, compiler=compiler)) == []


@EVERY
def test_caches(caches: tuple[Bench, Path], compiler: str, target: str | None) -> None:
    bench, folder = caches
    flags = (*build_flags(compiler, target), "-Wsign-conversion")
    native = bench.native(folder, flags, compiler=compiler)
    for kind in ("random", "small", "low", "high", "mix"):
        assert test_cache.differences(bench, native, kind) == []


def test_caches_of_several_sets(tmp_path: Path) -> None:
    """The set that is chosen here, over caches in the order that all sets of x86 share."""
    bench = cache_bench(test_cache.CONTEXT)
    bench.emit(tmp_path, target="x86-64")
    native = bench.native(tmp_path, ("-O1",))
    for kind in ("random", "mix"):
        assert test_cache.differences(bench, native, kind) == []


@pytest.mark.parametrize("target", [None, "x86-64-v3", "x86-64-v4"])
def test_widths_and_lengths_of_caches(target: str | None, tmp_path: Path) -> None:
    """Widths that words do not divide, and caches so long that they are asked for ahead."""
    bench = Bench("caches")
    bench.model.metadata_props["intcc.max_positions"] = "2050"
    for index, form in enumerate(((2, 1, 7, 5, 2050), (1, 1, 3, 33, 20), (2, 2, 64, 64, 50))):
        bench.case(f"cache{index}")
        heads, kv_heads, dim, value_dim, _ = form
        q = bench.input(np.int32, ["batch", "sequence", heads, dim], -(2**24), 2**24)
        all_six = cached(bench, index, kv_heads, dim, value_dim)
        constants = cached_attention.parameters(2.0**-12, 2.0**-12, 2.0**-20, *form)
        bench.output(*bench.op("CachedAttention", [q, *all_six, *constants]))
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    native = bench.native(tmp_path, build_flags("gcc", target))
    for kind in ("random", "mix"):
        assert test_cache.differences(bench, native, kind) == []


@pytest.mark.parametrize("target", [None, "x86-64-v3", "x86-64-v4"])
def test_lengths_of_prompts_and_sizes_of_rows(target: str | None, tmp_path: Path) -> None:
    """Blocks of all numbers of queries, more keys than sums of 32 bits hold, scales of all sizes.

    Rows of unlike size have weights far below the largest that their scales allow.
    """
    bench = Bench("prompts", max_tokens=1060)
    bench.model.metadata_props["intcc.max_positions"] = "1200"
    forms = ((2, 1, 16, 16, 0), (3, 3, 32, 48, 300), (2, 2, 9, 16, 70), (4, 1, 24, 5, 33))
    over_caches(
        bench,
        "CachedAttention",
        forms,
        lambda *shape: cached_attention.parameters(2.0**-12, 2.0**-12, 2.0**-9, *shape),
    )
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    native = bench.native(tmp_path, build_flags("gcc", target))
    for kind, calls in (("sizes", (1060, 1, 90, 7)), ("random", (300, 2, 130)), ("sizes", (9, 31))):
        assert test_cache.differences(bench, native, kind, calls) == []


@pytest.mark.parametrize(("target", "tokens"), [("x86-64-v3", 17), ("x86-64-v4", 41)])
def test_no_access_out_of_bounds(
    operators: tuple[Bench, Path], target: str, tokens: int, tmp_path: Path
) -> None:
    bench, folder = operators
    feeds = bench.feeds(tokens, "random")
    flags = (*flags_of(target), *SANITIZED)
    model = bench.prototype(folder)
    expected = evaluate(bench.model, feeds)
    assert not run_driver(folder, "bench", model, feeds, expected, tokens, flags, tmp_path)


@pytest.mark.parametrize("heads", [0, 1])
@pytest.mark.parametrize("target", [None, "x86-64-v3", "x86-64-v4"])
def test_attention(target: str | None, heads: int, tmp_path: Path) -> None:
    """All numbers of keys around the blocks, each division of scores."""
    bench = Bench("heads", max_tokens=70)
    attend(bench)
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    native = bench.native(tmp_path, build_flags("gcc", target))
    for tokens in range(1 + heads * 35, 36 + heads * 35):
        feeds = bench.feeds(tokens, "random")
        got = native.run(feeds)
        for name, expected in evaluate(bench.model, feeds).items():
            assert (got[name] == expected).all(), f"{tokens} tokens: {name}"


@EVERY
def test_silu(compiler: str, target: str | None, tmp_path: Path) -> None:
    """Numbers of every size; what is left beside whole vectors, and shifts without vectors."""
    bench, reach = Bench("silu", max_tokens=9), 2**31 - 1
    for mul, shift in ((reach, 50), (1549082005, 39), (2**30 + 1, 32), (2**30 + 1, 31), (3, 62)):
        bench.case(f"silu_{shift}")
        x = bench.input(np.int32, ["batch", "sequence", 331], -reach, reach)
        bench.output(*bench.op("Silu", [x, i64(mul), i64(shift)]))
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    native = bench.native(tmp_path, build_flags(compiler, target), compiler=compiler)
    rng = np.random.default_rng(0)
    feeds = bench.feeds(9, "random")
    for array in feeds.values():
        size = np.exp2(rng.uniform(0, 31, array.shape)).astype(np.int64)
        array[...] = np.minimum(size, reach) * rng.choice([-1, 1], array.shape)
        array[0, 0, :3] = 0, reach, -reach
    got = native.run(feeds)
    for name, expected in evaluate(bench.model, feeds).items():
        assert (got[name] == expected).all(), name


@EVERY
def test_every_power_of_silu(compiler: str, target: str | None, tmp_path: Path) -> None:
    """Each z = |x| * mul / 2**shift up to 17 * 4096 and past it, lower and upper ends of x.

    Beside the form that overwrites x, and with counts that blocks of vectors do not divide.
    """
    bench, reach, columns = Bench("silu", max_tokens=1900), 2**31 - 1, 331
    for mul, shift in ((2**30, 32), (reach, 32), (2**30 + 1, 46), (0, 40), (1, 32), (reach, 62)):
        bench.case(f"silu_{mul}_{shift}")
        x = bench.input(np.int32, ["batch", "sequence", columns], -reach, reach)
        constants = [i64(mul), i64(shift)]
        bench.output(*bench.op("Silu", [x, *constants]))
        onto = bench.op("Silu", [*bench.op("Relu", [x]), *constants])
        bench.output(*bench.op("Relu", onto))
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    assert "silu_values_inplace(" in (tmp_path / "silu.c").read_text(encoding="utf-8")
    native = bench.native(tmp_path, build_flags(compiler, target), compiler=compiler)
    rng = np.random.default_rng(0)
    # (2**30, 32): z = (|x| + 2) >> 2.
    size = np.concatenate(
        [
            np.arange(4 * (17 * 4096 + 500)),
            reach - np.arange(2**15 + 500),
            np.minimum(np.exp2(rng.uniform(0, 31, 1900 * columns)), reach).astype(np.int64),
        ]
    )[: 1900 * columns]
    sign = rng.choice([-1, 1], size.shape)
    for tokens, x in ((1900, size * sign), (1900, -size * sign), (1, size * sign)):
        array = x[: tokens * columns].reshape(1, tokens, columns).astype(np.int32)
        feeds = {str(value.name): array for value in bench.graph.inputs}
        got = native.run(feeds)
        for name, expected in evaluate(bench.model, feeds).items():
            assert (got[name] == expected).all(), f"{tokens} tokens: {name}"


@pytest.mark.parametrize("target", [None, "x86-64-v3", "x86-64-v4"])
def test_layer_norm(target: str | None, tmp_path: Path) -> None:
    """Rows of whole vectors, in their place and beside it, any number of them around a group."""
    bench = Bench("norms", max_tokens=9)
    for columns in (64, 192):
        for reach in (2**29 - 2**16, 300):
            bench.case(f"c{columns}_{reach.bit_length()}")
            x = bench.input(np.int32, ["batch", "sequence", columns], -reach, reach)
            constants = layer_norm.parameters(columns, 1e-12, 2.0**-12)
            bench.output(*bench.op("LayerNorm", [x, *constants]))
            inner = bench.op("Relu", [x])
            bench.output(*bench.op("LayerNorm", [*inner, *constants]))
    bench.finish()
    bench.emit(tmp_path, target=TARGET)
    native = bench.native(tmp_path, build_flags("gcc", target))
    for tokens in range(1, 10):
        for kind in ("random", "low", "high", "mix"):
            feeds = bench.feeds(tokens, kind)
            got = native.run(feeds)
            for name, expected in evaluate(bench.model, feeds).items():
                assert (got[name] == expected).all(), f"{tokens} tokens, {kind}: {name}"


@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_steps_of_gelu(variant: str) -> None:
    """Bytes compared with steps are the polynomial, for each zero point and every byte."""
    knee = np.arange(1, 176)
    size = gelu.fit(variant)[0] / knee
    for factor in (1, 2):
        lift, divisor = gelu.parameters(size, factor, variant)
        made = steps(knee, lift, divisor)
        if factor == 2:
            assert made is None, "too many levels where the output is finer than any grid makes it"
            made = steps(knee[:113], lift[:113], divisor[:113])
        assert made is not None
        shown = made.shape[1]
        b = np.arange(176, dtype=np.uint8)[:, None]
        parts = made.reshape(-1, 2, shown)
        found = sum(((b - first <= more).astype(int) for first, more in parts), 0)
        expected = gelu.delta(b.astype(np.int64), knee, lift, divisor)[:, :shown]
        assert (found == expected)[b <= knee[:shown]].all()


def test_golden(request: pytest.FixtureRequest) -> None:
    machine = load_target(TARGET)
    shown = {}
    for build in {**CASES, **CACHE_CASES}.values():
        bench = Bench("golden")
        build(bench)
        program = select(bench.finish(), machine)
        for k in program.kernels():
            if (
                k.template in machine.kernels or k.template in ALONE
            ) and "linear" not in k.template:
                template = machine.kernels.get(k.template, k.template)
                shown[template] = render_kernel(k, program.machine)
    for template, text in shown.items():
        check(f"form_{Path(template).name}.c", text + "\n", request)
