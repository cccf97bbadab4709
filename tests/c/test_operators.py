"""Every operator: C against the reference, bit for bit, at all optimisation levels."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from intcc.backends.c.select import OPERATORS as C_OPERATORS
from intcc.ops import OPERATORS
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench, differences
from tests.c.cases import CASES, full_bench
from tests.c.cases_cache import CACHE_CASES
from tests.c.driver import SANITIZED, run_driver

#: gcc's, and clang's where there is one.
CLANG = next(filter(shutil.which, ("clang", "clang-19")), None)
LEVELS = [
    ("gcc", "-O0"),
    ("gcc", "-O2"),
    ("gcc", "-O3", "-march=native"),
    *([(CLANG, "-O0"), (CLANG, "-O3")] if CLANG else []),
]
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def bench() -> Bench:
    return full_bench()


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench")
    bench.emit(path)
    return path


@pytest.mark.parametrize("level", LEVELS, ids=" ".join)
def test_equal_to_reference(bench: Bench, folder: Path, level: tuple[str, ...]) -> None:
    compiler, *flags = level
    native = bench.native(folder, (*flags, "-Wsign-conversion"), compiler=compiler)
    assert differences(bench, native) == []
    assert native.selftest() == 0


def test_no_undefined_behaviour(bench: Bench, folder: Path) -> None:
    assert differences(bench, bench.native(folder, UNDEFINED)) == []


@pytest.mark.parametrize("tokens", [1, 17, 41])
def test_no_access_out_of_bounds(bench: Bench, folder: Path, tmp_path: Path, tokens: int) -> None:
    feeds = bench.feeds(tokens, "random")
    expected = evaluate(bench.model, feeds)
    model = bench.prototype(folder)
    wrong = run_driver(folder, "bench", model, feeds, expected, tokens, SANITIZED, tmp_path)
    assert not wrong


#: Compilers for processors without floating point: a float would be a call or an error.
SOFT = [
    (cc, flags)
    for cc, flags in (
        ("arm-none-eabi-gcc", "-mcpu=cortex-m0 -mthumb -mfloat-abi=soft"),
        ("arm-none-eabi-gcc", "-mcpu=cortex-m3 -mthumb -mfloat-abi=soft"),
        ("riscv64-unknown-elf-gcc", "-march=rv32imc -mabi=ilp32"),
        ("aarch64-linux-gnu-gcc", "-march=armv8-a -mgeneral-regs-only"),
        ("gcc", "-mgeneral-regs-only"),
    )
    if shutil.which(cc)
]
FLOAT_CALL = re.compile(
    r"__aeabi_\w*[fd]\w*|__\w+[sdt]f\d?$|^(exp|log|pow|sqrt|tanh|floor|rint)f?$"
)


@pytest.mark.parametrize(("compiler", "flags"), SOFT)
def test_no_float_on_soft_targets(folder: Path, tmp_path: Path, compiler: str, flags: str) -> None:
    made = tmp_path / "x.o"
    command = [compiler, *flags.split(), "-std=c99", "-O2", "-ffreestanding", "-c"]
    for source in sorted(folder.glob("bench*.c")):
        subprocess.run([*command, str(source), "-o", str(made)], check=True)
        nm = compiler.removesuffix("gcc") + "nm"
        listed = subprocess.run([nm, "-u", str(made)], capture_output=True, text=True, check=True)
        calls = [line.split()[-1] for line in listed.stdout.splitlines() if line.strip()]
        assert not [c for c in calls if FLOAT_CALL.match(c) and c not in INTEGER_CALLS]


#: Library calls for 64-bit integers whose names resemble those of floats.
INTEGER_CALLS = {"__aeabi_idiv", "__aeabi_uidiv", "__aeabi_ldivmod", "__aeabi_uldivmod",
                 "__aeabi_idivmod", "__aeabi_uidivmod"}  # fmt: skip


def test_every_operator_has_a_rule_and_cases() -> None:
    assert set(C_OPERATORS) == set(OPERATORS)
    missing = {m.rpartition(".")[2] for m in map(_stem, OPERATORS)} - {"key_mask"}
    missing -= {*CASES, *CACHE_CASES}
    assert not missing


def _stem(name: str) -> str:
    return OPERATORS[name].reference.__module__


def test_every_operator_has_a_template() -> None:
    templates = Path(__file__).resolve().parents[2] / "templates" / "c" / "ops"
    stems = {p.name.removesuffix(".c.j2") for p in templates.glob("*.c.j2")}
    assert {_stem(name).rpartition(".")[2] for name in OPERATORS} <= stems
