"""Products on x86: every set of instructions that this processor has gives the reference's bits.

The three targets emit the same C but for their names: the compiler's flags choose the set. So a
processor with AVX-512 runs all of them but AVX-VNNI, whose instruction its 256-bit twin stands for.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.select import select
from intcc.backends.c.target import load_target
from intcc.ops import gelu
from intcc.runtime.native import NativeModel
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench
from tests.c.driver import SANITIZED, run_driver
from tests.c.test_vector_forms import (
    STRICT,
    X86,
    add_dynamic,
    add_linear,
    add_wide,
    divisors,
    weights,
)  # fmt: skip
from tests.ops.harness import i32

V4 = "-march=x86-64-v4 -mavx512vnni"
VNNI = {"avx512bw", "avx512dq", "avx512_vnni", "avx512vl"}
#: What runs: a name, flags of the compiler, and what the processor must have.
SETS = {
    "avx2": ("-O2 -march=x86-64-v3", {"avx2"}),
    "vnni of 256 bits": ("-O2 -march=x86-64-v3 -mavx512vnni -mavx512vl", VNNI),
    "avx512": (f"-O3 {V4} -mavx512vbmi", {*VNNI, "avx512vbmi"}),
    "avx512 without vbmi": (f"-O2 {V4}", VNNI),
    "avx512, nothing inlined": (f"-O0 {V4} -mavx512vbmi", {*VNNI, "avx512vbmi"}),
}
LONGEST = 300


def missing(needs: set[str]) -> str:
    """Return what this processor lacks, empty where it lacks nothing."""
    try:
        has = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        has = set()
    return " ".join(sorted(needs - has))


def add_gelu(b: Bench, rng: np.random.Generator, k: int, n: int) -> None:
    """A product of k x n with a GELU behind it that differs by channel."""
    knee = rng.integers(60, 112, n)
    step = gelu.fit("none")[0] / knee
    x = b.input(np.uint8, ["batch", "sequence", k], 0, 255)
    bias, divisor = rng.integers(-20000, 600000, n), divisors(rng, n, 2)
    limits = [i32(0), i32(170)]
    y = b.op("Linear", [x, weights(rng, k, n), i32(bias), i32(divisor), *limits])
    factor = rng.integers(1, 3, n)
    constants = [knee, *gelu.parameters(step, factor, "none"), factor, np.full(n, 20)]
    b.output(*b.op("Gelu", [*y, *(i32(v) for v in constants)]))


@pytest.fixture(scope="module", params=[1, 2])
def layers(request: pytest.FixtureRequest) -> Bench:
    """Layers of random widths up to 300, by both ways to multiply, any number of rows."""
    rng = np.random.default_rng(request.param)
    b = Bench("sets", max_tokens=LONGEST)
    fixed = [(LONGEST, 257), (4, 64), (1, 1)]
    for i in range(10):
        k, n = fixed[i] if i < 3 else (int(v) for v in rng.integers(1, LONGEST + 1, 2))
        b.case(f"linear_{i}_{k}x{n}")
        add_linear(b, rng, k, n, "sequence", i % 4)
        b.case(f"wide_{i}_{k}x{n}")
        add_wide(b, rng, k, n, "sequence", reach=(-64, 63) if i % 2 else (-128, 127))
        b.case(f"dynamic_{i}_{k}x{n}")
        add_dynamic(b, rng, k, n, "sequence")
        b.case(f"ternary_{i}_{k}x{n}")
        add_dynamic(b, rng, k, n, "sequence", ternary=True)
    for n in (5, 48, 64, 32 + 64 * request.param, 190):
        b.case(f"gelu_{n}")
        add_gelu(b, rng, 70, n)
    b.finish()
    return b


def built_set(layers: Bench, name: str, folder: Path) -> NativeModel:
    """Return the C with a set's instructions; skip where this processor lacks them."""
    flags, needs = SETS[name]
    if lacks := missing(needs):
        pytest.skip(f"this processor lacks {lacks}")
    layers.emit(folder, target=X86[0])
    return layers.native(folder, flags.split())


def check_set(layers: Bench, name: str, folder: Path, inputs: Iterable[tuple[int, str]]) -> None:
    """Compare a set's results to the reference, for numbers of rows and kinds of inputs."""
    model = built_set(layers, name, folder)
    for tokens, kind in inputs:
        feeds = layers.feeds(tokens, kind)
        got = model.run(feeds)
        for output, expected in layers.expected(feeds).items():
            assert np.array_equal(got[output], expected), f"{tokens} rows, {kind}: {output}"


@pytest.mark.parametrize("name", SETS)
def test_set(layers: Bench, name: str, tmp_path: Path) -> None:
    rows = [(n, "random") for n in (*range(1, 17), 64, 101, LONGEST)]
    check_set(layers, name, tmp_path, (*rows, (13, "low"), (13, "high"), (29, "mix")))


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("beyond", [0, 1])
def test_pairs_behind_a_gelu(beyond: int, channels: int, tmp_path: Path) -> None:
    """A GELU's largest byte, not 255, decides whether two products fit 16 bits."""
    flags, needs = SETS["avx2"]
    if lacks := missing(needs):
        pytest.skip(f"this processor lacks {lacks}")
    step = np.linspace(0.04, 0.1, channels)
    knee = np.ceil(gelu.fit("none")[0] / step).astype(np.int64)
    zero = gelu.output_zero(step)
    constants = [i32(v) for v in (knee, *gelu.parameters(step, 1, "none"), [1], zero)]
    top = np.broadcast_to(255 - knee + zero, 6)
    # Weights of two that are as large as they may be, of either sign, and then one more.
    weight = np.zeros((6, 70), np.int8)
    weight[0::2] = ((2**15 - 1) // top[0::2] // 2)[:, None]
    weight[1::2] = ((2**15 - 1 - top[0::2] * weight[0::2, 0]) // top[1::2])[:, None]
    assert 255 * (int(weight[0, 0]) + int(weight[1, 0])) >= 2**15
    weight[1, 69] += beyond
    weight[:, ::2] *= -1
    b = Bench("pairs")
    b.case("gelu")
    x = b.input(np.uint8, ["batch", "sequence", 6], 0, 255)
    y = b.op("Gelu", [x, *constants])
    b.output(*b.op("LinearWide", [y[0], weight, i32(np.ones(70)), i32(np.zeros(70))]))
    b.finish()
    blocks = {k.template: k.parameters for k in select(b.model, load_target(X86[0])).kernels()}
    dot = blocks["kernels/block_x86"]["dot"]
    assert dot == ("vector_dot" if beyond else "vector_dot_pairs")
    b.emit(tmp_path, target=X86[0])
    model = b.native(tmp_path, flags.split())
    for kind in ("low", "high", "mix", "random"):
        feeds = b.feeds(13, kind)
        for output, expected in evaluate(b.model, feeds).items():
            assert np.array_equal(model.run(feeds)[output], expected), kind


#: An instruction that the code of each target must have; each compiler spells AVX-VNNI's its way.
SHOWN = {"x86-64-v3": "vpmaddubsw", "x86-64-v4": "zmm", "x86-64-avxvnni": "vpdpbusd"}


@pytest.mark.parametrize("compiler", ["gcc", "clang-19"])
@pytest.mark.parametrize("target", X86)
def test_compiles(layers: Bench, target: str, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    toolchain = load_target(target).toolchain
    assert toolchain is not None
    layers.emit(tmp_path, target=target)
    command = [compiler, *toolchain.flags, *STRICT.split(), "-Wsign-conversion"]
    done = subprocess.run(
        [*command, "-S", "-o", "model.s", "sets.c"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "model.s").read_text(encoding="utf-8")
    assert SHOWN[target] in text
    assert ("zmm" in text) == (target == "x86-64-v4")


@pytest.mark.parametrize("name", ["avx2", "avx512"])
def test_no_access_out_of_bounds(name: str, tmp_path: Path) -> None:
    flags, needs = SETS[name]
    if lacks := missing(needs):
        pytest.skip(f"this processor lacks {lacks}")
    bench, rng = Bench("bounds"), np.random.default_rng(3)
    for i, (k, n) in enumerate([(37, 81), (64, 64)]):
        bench.case(f"linear_{i}")
        add_linear(bench, rng, k, n, "sequence")
        bench.case(f"wide_{i}")
        add_wide(bench, rng, k, n, "sequence", (-64, 63))
        bench.case(f"ternary_{i}")
        add_dynamic(bench, rng, k, n, "sequence", ternary=True)
    bench.finish()
    bench.emit(tmp_path, target=X86[0])
    model = bench.prototype(tmp_path)
    # Seven rows are a block and a row.
    feeds = bench.feeds(7, "random")
    expected, every = evaluate(bench.model, feeds), (*flags.split(), *SANITIZED)
    assert not run_driver(tmp_path, "bounds", model, feeds, expected, 7, every, tmp_path)
