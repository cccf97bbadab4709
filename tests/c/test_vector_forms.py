"""Machine forms of products: all shapes, extreme values, through portable bodies and intrinsics.

On the host a form's portable body runs over the same packed weights as its intrinsics.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from intcc.backends.c.matmul import FORMS
from intcc.backends.c.packing import octets, panels, quad_tiles, quads, ternary_tiles, tiles
from intcc.backends.c.render import render_kernel
from intcc.backends.c.select import select
from intcc.backends.c.target import Matmul, load_target
from intcc.emulation.model import EmulatedModel
from intcc.ops import attention
from intcc.ops import linear_dynamic as dynamic
from intcc.runtime.reference import evaluate
from tests.c.bench import MAX_TOKENS, Bench, differences
from tests.c.driver import SANITIZED, run_driver
from tests.c.test_golden import check
from tests.ops.harness import i32

Int8 = npt.NDArray[np.int8]
Array = npt.NDArray[np.int64]
#: These emit the same C; the flags choose the instructions.
X86 = ("x86-64-v3", "x86-64-avxvnni", "x86-64-v4")
TARGETS = ("aarch64", "aarch64-i8mm", "rv32imc", "rv64gcv", X86[-1])
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-Wsign-conversion")


def weights(rng: np.random.Generator, k: int, n: int, reach: tuple[int, int] = (-128, 127)) -> Int8:
    """Return [K][N] with whole columns at each end of the range among random ones."""
    w = rng.integers(*reach, (k, n), endpoint=True).astype(np.int8)
    for column, value in zip(rng.permutation(n), (*reach, *reach), strict=False):
        w[:, column] = value
    return w


def divisors(rng: np.random.Generator, n: int, kind: int) -> Array:
    """Return divisors that need each form of division, see `intcc.backends.c.divide`."""
    if kind == 0:
        return np.array([64])
    if kind == 1:
        return 2 * rng.integers(1500, 4000, n) + 1
    if kind == 2:
        return np.array([2 * int(rng.integers(20, 400)) + 1])
    choice = [1, 3, 2**30 + 1, 2**12 + 1, 2**31 - 1]
    return np.asarray(rng.choice(choice, n))


def add_linear(
    b: Bench, rng: np.random.Generator, k: int, n: int, rows: int | str, kind: int | None = None
) -> None:
    x = b.input(np.uint8, ["batch", rows, k], 0, 255)
    w = weights(rng, k, n)
    kind = int(rng.integers(4)) if kind is None else kind
    bias = rng.integers(-20000, 600000, n)
    clip = [(0, 255), (3, 200)][int(rng.integers(2))]
    limits = [i32(c) for c in clip]
    b.output(*b.op("Linear", [x, w, i32(bias), i32(divisors(rng, n, kind)), *limits]))


def add_wide(
    b: Bench, rng: np.random.Generator, k: int, n: int, rows: int | str,
    reach: tuple[int, int] = (-128, 127),
) -> None:  # fmt: skip
    x = b.input(np.uint8, ["batch", rows, k], 0, 255)
    mul, bias = rng.integers(1, 200, n), rng.integers(-(2**20), 2**20, n)
    b.output(*b.op("LinearWide", [x, weights(rng, k, n, reach), i32(mul), i32(bias)]))


def add_dynamic(
    b: Bench, rng: np.random.Generator, k: int, n: int, rows: int | str, *, ternary: bool = False
) -> None:
    """Add a layer with scales per row; every other one has short factors, a bias or a residual."""
    x = b.input(np.int32, ["batch", rows, k], -(2**28), 2**28)
    q, m, e = b.op("DynamicQuantize", [x], outputs=3)
    w = weights(rng, k, n, (-1, 1) if ternary else (-128, 127))
    scale = rng.uniform(1e-5, 1e-3, n)
    short = dynamic.short_parameters(scale, k) if rng.integers(2) else None
    mul, shift = short or dynamic.parameters(scale, w)
    bias = rng.integers(2) * rng.integers(-(2**20), 2**20, n)
    y = b.op("LinearDynamic", [q, m, e, w, mul, shift, i32(bias)])
    if rng.integers(2):
        residual = b.input(np.int32, ["batch", rows, n], -(2**28), 2**28)
        y = b.op("SaturatingAdd", [*y, residual])
    b.output(*y)


def attend(b: Bench) -> None:
    """Add attention with each division of its scores, wide and narrow heads."""
    zero = i32(np.zeros((1, 1, 1, 1)))
    for heads, dim, unit in ((1, 5, 1e-3), (2, 7, 0.5), (1, 32, 3e-4), (1, 70, 20.0)):
        b.case(f"attention_{heads}x{dim}")
        shape: list[int | str] = ["batch", "sequence", heads * dim]
        ranges = ((0, 127), (1, 255), (1, 255))
        q, k, v = (b.input(np.uint8, shape, lo, hi) for lo, hi in ranges)
        constants = attention.parameters(unit, MAX_TOKENS, heads, dim, heads)
        b.output(*b.op("Attention", [q, k, v, zero, *constants]))


def shapes(
    seed: int, cases: int = 10, *, dynamic_rows: bool = True, attention_too: bool = False
) -> Bench:
    """Return layers of random shapes, the smallest and whole blocks among them."""
    rng = np.random.default_rng(seed)
    b = Bench(f"forms{seed}")
    fixed = [(1, 1), (64, 64), (70, 1), (1, 70), (15, 17)]
    for i in range(cases):
        k, n = fixed[i] if i < len(fixed) else (int(v) for v in rng.integers(1, 71, 2))
        rows: int | str = "sequence" if dynamic_rows else int(rng.integers(1, 71))
        b.case(f"linear_{i}_{k}x{n}")
        add_linear(b, rng, k, n, rows)
        b.case(f"wide_{i}_{k}x{n}")
        add_wide(b, rng, k, n, rows)
        b.case(f"dynamic_{i}_{k}x{n}")
        add_dynamic(b, rng, k, n, rows, ternary=i % 2 == 1)
    if attention_too:
        attend(b)
    b.finish()
    return b


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", [1, 2])
def test_portable_bodies(target: str, seed: int, tmp_path: Path) -> None:
    bench = shapes(seed, dynamic_rows=seed % 2 == 1, attention_too=True)
    bench.emit(tmp_path, target=target)
    native = bench.native(tmp_path, UNDEFINED)
    assert differences(bench, native) == []
    assert native.selftest() == 0


@pytest.mark.parametrize("target", TARGETS)
def test_no_access_out_of_bounds(target: str, tmp_path: Path) -> None:
    bench = shapes(3, 6)
    bench.emit(tmp_path, target=target)
    model = bench.prototype(tmp_path)
    for tokens in (1, 7):
        feeds = bench.feeds(tokens, "random")
        expected = evaluate(bench.model, feeds)
        wrong = run_driver(tmp_path, "forms3", model, feeds, expected, tokens, SANITIZED, tmp_path)
        assert wrong == ""


@pytest.mark.parametrize(
    ("target", "flags"),
    [("aarch64", "-march=armv8.2-a+dotprod"), ("aarch64-i8mm", "-march=armv8.2-a+dotprod+i8mm")],
)
def test_intrinsics_stay_in_bounds(target: str, flags: str, tmp_path: Path) -> None:
    """Sanitized programs for 64-bit Arm run under user emulation."""
    for command in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    bench = shapes(3, 6)
    bench.emit(tmp_path, target=target)
    model = bench.prototype(tmp_path)
    feeds = bench.feeds(7, "random")
    wrong = run_driver(
        tmp_path, "forms3", model, feeds, evaluate(bench.model, feeds), 7, SANITIZED, tmp_path,
        compiler=("aarch64-linux-gnu-gcc", flags),
        runner=("env", "ASAN_OPTIONS=detect_leaks=0",
                "qemu-aarch64", "-cpu", "max", "-L", "/usr/aarch64-linux-gnu"),
    )  # fmt: skip
    assert wrong == ""


@pytest.fixture(scope="module")
def layers() -> Bench:
    return shapes(4, 8, attention_too=True)


#: The length of RISC-V vectors is the machine's choice and must change no bit.
MACHINES = [
    ("aarch64", 0), ("aarch64-i8mm", 0), ("rv32imc", 0),
    ("rv64gcv", 128), ("rv64gcv", 256), ("rv64gcv", 1024),
]  # fmt: skip


@pytest.mark.parametrize(("target", "bits"), MACHINES)
def test_machine(layers: Bench, target: str, bits: int, tmp_path: Path) -> None:
    machine = load_target(target)
    assert machine.toolchain is not None and machine.emulator is not None
    for command in (machine.toolchain.compiler, machine.emulator.program):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    layers.emit(tmp_path, target=target)
    model = EmulatedModel(tmp_path, layers.manifest(), on=f"qemu:{target}")
    arguments = tuple(re.sub("vlen=[0-9]+", f"vlen={bits}", a) for a in machine.emulator.arguments)
    assert bits in (0, 128) or arguments != machine.emulator.arguments
    model.target = replace(machine, emulator=replace(machine.emulator, arguments=arguments))
    for tokens, kind in ((1, "random"), (7, "random"), (17, "low"), (17, "high"), (41, "mix")):
        feeds = layers.feeds(tokens, kind)
        expected, got = layers.expected(feeds), model.run(feeds)
        wrong = [name for name, array in expected.items() if not np.array_equal(array, got[name])]
        assert wrong == [], f"{tokens} tokens, {kind}"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("packing", ["2bit", "trits"])
def test_ternary_chunks(target: str, packing: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    bench = Bench("ternary")
    for k, rows in ((300, "sequence"), (300, 1), (128, 1), (257, 3), (257, 1), (129, 5)):
        bench.case(f"ternary_{k}_{rows}")
        add_dynamic(bench, rng, k, 7, rows, ternary=True)
    bench.finish()
    bench.emit(tmp_path, target=target, ternary=packing)
    assert differences(bench, bench.native(tmp_path, UNDEFINED)) == []


#: Machines of the same family that lack an extension, and the other compiler.
RELATIVES = [
    ("aarch64", "aarch64-linux-gnu-gcc", "-march=armv8-a"),
    ("aarch64", "aarch64-linux-gnu-gcc", "-march=armv8-a -mgeneral-regs-only"),
    ("aarch64", "clang-19", "--target=aarch64-linux-gnu -march=armv8.2-a+dotprod"),
    ("aarch64-i8mm", "aarch64-linux-gnu-gcc", "-march=armv8.2-a"),
    ("aarch64-i8mm", "aarch64-linux-gnu-gcc", "-march=armv8.2-a+i8mm -mgeneral-regs-only"),
    ("aarch64-i8mm", "clang-19", "--target=aarch64-linux-gnu -march=armv8.2-a+i8mm"),
    ("rv32imc", "clang-19", "--target=riscv32-none-elf -march=rv32imc -mabi=ilp32"),
    ("rv64gcv", "clang-19", "--target=riscv64-none-elf -march=rv64gc_zve32x -mabi=lp64d"),
    ("rv64gcv", "riscv64-unknown-elf-gcc", "-march=rv64gc -mabi=lp64d"),
]
STRICT = "-std=c99 -O2 -ffreestanding -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"


@pytest.mark.parametrize(("target", "compiler", "flags"), RELATIVES)
def test_compiles_for_relatives(
    layers: Bench, target: str, compiler: str, flags: str, tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    layers.emit(tmp_path, target=target)
    command = [
        compiler,
        *flags.split(),
        *STRICT.split(),
        "-Wsign-conversion",
        "-S",
        "-o",
        "model.s",
    ]
    done = subprocess.run(
        [*command, "forms4.c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # What the machine lacks must not be in the code, what it has must be.
    text = (tmp_path / "model.s").read_text(encoding="utf-8")
    assert ("sdot" in text) == ("dotprod" in flags)
    assert ("usmmla" in text) == ("i8mm" in flags and "general" not in flags)
    assert ("vwmacc" in text) == ("zve" in flags)


def test_orders_of_weights() -> None:
    matmul = Matmul("", 4, 4, 8)
    w = np.arange(8 * 12, dtype=np.int8).reshape(12, 8)
    by_panel, by_tile = panels(w, matmul), tiles(w, matmul)
    by_quad, by_octet = quads(w, matmul), octets(w, matmul)
    for n in range(12):
        for k in range(8):
            assert by_panel[n // 4 * 32 + k * 4 + n % 4] == w[n, k]
            width = 8 if n < 8 else 4
            assert by_tile[n // 8 * 64 + k * width + n % 8] == w[n, k]
            assert by_octet[n // 2 * 16 + n % 2 * 8 + k] == w[n, k]
            assert by_quad[n // 4 * 32 + k // 4 * 16 + n % 4 * 4 + k % 4] == w[n, k]


def test_order_of_ternary_weights() -> None:
    matmul, rng = Matmul("", 6, 16, 64), np.random.default_rng(0)
    w = rng.integers(-1, 1, (80, 48), endpoint=True).astype(np.int8)
    packed, whole = ternary_tiles(w, matmul).view(np.uint8), quad_tiles(w, matmul)
    assert packed.size * 4 == whole.size == w.size
    for n in range(80):
        first, width = n // 64 * 64, 64 if n < 64 else 16
        for k in range(48):
            byte = packed[first * 12 + k // 16 * 4 * width + (n - first) * 4 + k % 4]
            assert byte >> k % 16 // 4 * 2 & 3 == w[n, k] + 1
            assert whole[first * 48 + k // 4 * 4 * width + (n - first) * 4 + k % 4] == w[n, k]


GOLDEN = [("linear", target) for target in TARGETS]
#: Both targets for 64-bit Arm take the same form of ternary weights.
GOLDEN += [("ternary", target) for target in TARGETS if target != "aarch64-i8mm"]


@pytest.mark.parametrize(("layer", "target"), [*GOLDEN, ("attention", "rv64gcv")])
def test_golden(layer: str, target: str, request: pytest.FixtureRequest) -> None:
    b, rng = Bench("golden"), np.random.default_rng(5)
    if layer == "attention":
        attend(b)
    elif layer == "linear":
        add_linear(b, rng, 37, 21, "sequence", 1)
    else:
        add_dynamic(b, rng, 37, 21, "sequence", ternary=True)
    machine = load_target(target)
    assert machine.matmul.kernel in FORMS
    program = select(b.finish(), machine)
    # The widest instance of each template shows it best.
    shown = {
        (k.template, k.parameters.get("rows")): render_kernel(k, program.machine)
        for k in program.kernels()
    }
    check(f"{layer}_{target}.c", "\n\n".join(shown.values()) + "\n", request)
