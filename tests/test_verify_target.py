"""Checks of machine code: each passes on generated C and fails on C that was tampered with."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intcc
from intcc.backends.c.target import available, load_target
from intcc.budget import Budget
from intcc.cli import main
from intcc.errors import IntccError, MissingToolError
from intcc.objects import build, call_graph, measure, model_sources
from intcc.objects.callgraph import FLAGS, parse
from intcc.ops import linear_dynamic
from intcc.runtime.artifact import Artifact
from intcc.toolchain import find_program, find_tools
from intcc.verification.constant_ranges import prove
from intcc.verification.float_objects import float_instructions
from intcc.verification.report import FailedError
from intcc.verification.target import TargetChecks
from tests.c.bench import Bench
from tests.c.cases import S

NAME = "products"
TARGET = "cortex-m4"


def need(target: str) -> None:
    try:
        find_tools(load_target(target)).binutil("objdump")
    except MissingToolError as error:
        pytest.skip(str(error))


def products() -> Bench:
    """Return one product of each kind, and one with ternary weights in two chunks."""
    b, rng = Bench(NAME), np.random.default_rng(5)

    def numbers(low: int, high: int, *shape: int, dtype: type = np.int32) -> Any:
        return rng.integers(low, high, shape, endpoint=True).astype(dtype)

    b.case("plain")
    x = b.input(np.uint8, ["batch", S, 20], 0, 255)
    w = numbers(-64, 64, 20, 21, dtype=np.int8)
    ends = [np.array(end, np.int32) for end in (0, 255)]
    b.output(*b.op("Linear", [x, w, numbers(-900, 900, 21), 2 * numbers(1, 90, 21) + 1, *ends]))
    b.output(*b.op("Linear", [x, w, numbers(-900, 900, 21), np.array([64], np.int32), *ends]))
    b.case("wide")
    b.output(*b.op("LinearWide", [x, w, numbers(1, 900, 21), numbers(-900, 900, 21)]))
    for case, k, low, high in (("dynamic", 60, -64, 64), ("ternary", 300, -1, 1)):
        b.case(case)
        wide = b.input(np.int32, ["batch", S, k], -(2**28), 2**28)
        w = numbers(low, high, k, 21, dtype=np.int8)
        mul, shift = linear_dynamic.parameters(rng.uniform(1e-5, 1e-3, 21), w)
        rows = b.op("DynamicQuantize", [wide], outputs=3)
        b.output(*b.op("LinearDynamic", [*rows, w, mul, shift, numbers(-900, 900, 21)]))
    b.case("scores")
    scores = b.input(np.int32, ["batch", 2, S, S], -5000, 5000)
    b.output(*b.op("Softmax", [scores, np.array(4), np.array(2)]))
    b.finish()
    return b


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return their C."""
    folder = tmp_path_factory.mktemp("products")
    products().emit(folder / "c", target=TARGET)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


def append(folder: Path, text: str) -> None:
    with (folder / "c" / f"{NAME}.c").open("a", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture
def checks(folder: Path) -> Iterator[TargetChecks]:
    need(TARGET)
    with TargetChecks(opened(folder), load_target(TARGET)) as made:
        yield made


def opened(folder: Path) -> Artifact:
    return Artifact(folder, {"name": NAME, "settings": {"emit": ["c"]}})


def test_every_check_passes(checks: TargetChecks) -> None:
    assert len(checks.all()) == 8
    for title, work in checks.all():
        assert work(), title


@pytest.mark.parametrize("target", available())
def test_objects_of_every_target(original: Path, target: str) -> None:
    need(target)
    with TargetChecks(opened(original), load_target(target)) as checks:
        checks.warnings()
        checks.floats()
        checks.memory()
        checks.stack()


#: What is added to the model's source: the check that finds it, its words, and the text.
DAMAGE = {
    "arithmetic": (
        "floats",
        "__aeabi_dmul",
        """int32_t f(int32_t x);
        int32_t f(int32_t x) { return (int32_t)((double)x * 1.5); }""",
    ),
    "heap": (
        "memory",
        "calls malloc",
        """void *malloc(size_t n);
        void *f(void);
        void *f(void) { return malloc(3); }""",
    ),
    "static variable": (
        "memory",
        "can write calls",
        """int32_t f(void);
        int32_t f(void) { static int32_t calls; return ++calls; }""",
    ),
    "recursion": (
        "stack",
        "Recursion is in f -> f",
        """uint32_t f(uint32_t x, const uint32_t *y);
        uint32_t f(uint32_t x, const uint32_t *y)
        { return x < 2u ? *y : f(x / 3u, y) * f(x / 5u, y + 1); }""",
    ),
    "circle": (
        "stack",
        "Recursion is in f -> g -> f",
        """int32_t f(int32_t x);
        int32_t g(int32_t x);
        __attribute__((noinline)) int32_t f(int32_t x) { return x < 2 ? 1 : g(x - 1) * 3 + 1; }
        __attribute__((noinline)) int32_t g(int32_t x) { return x < 3 ? 2 : f(x - 2) * 5 + 1; }""",
    ),
    "pointer": (
        "stack",
        "through a pointer f",
        """int32_t f(int32_t (*g)(int32_t), int32_t x);
        int32_t f(int32_t (*g)(int32_t), int32_t x) { return g(x); }""",
    ),
    "variable array": (
        "stack",
        "variable size f",
        """int32_t f(int32_t n);
        int32_t f(int32_t n) { volatile int32_t x[n]; x[0] = n; return x[n - 1]; }""",
    ),
    "stranger": (
        "stack",
        "from elsewhere puts",
        """int32_t puts(const char *s);
        int32_t f(void);
        int32_t f(void) { return puts("x"); }""",
    ),
    "warning": (
        "warnings",
        "conversion",
        """int8_t f(int32_t x);
        int8_t f(int32_t x) { return x; }""",
    ),
    "sign": (
        "warnings",
        "sign-conversion",
        """uint32_t f(int32_t x);
        uint32_t f(int32_t x) { return x; }""",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(checks: TargetChecks, folder: Path, damage: str) -> None:
    check, words, text = DAMAGE[damage]
    append(folder, text + "\n")
    with pytest.raises((FailedError, IntccError), match=re.escape(words)):
        getattr(checks, check)()


def test_analysers_find_damage(checks: TargetChecks, folder: Path) -> None:
    find_or_skip("cppcheck")
    append(folder, "int32_t f(void);\nint32_t f(void)\n{\n    int32_t a[2] = {0};\n"
                   "    return a[2];\n}\n")  # fmt: skip
    with pytest.raises(FailedError, match="arrayIndexOutOfBounds"):
        checks.cppcheck()
    append(folder, "int32_t h(void);\nint32_t h(void)\n{\n    goto end;\nend:\n    return 0;\n}\n")
    with pytest.raises(FailedError, match=r"rule 15\.1"):
        checks.misra()


def find_or_skip(name: str) -> None:
    try:
        find_program(name, (name,))
    except MissingToolError as error:
        pytest.skip(str(error))


def test_sanitizers_find_damage(checks: TargetChecks, folder: Path) -> None:
    path = folder / "c" / f"{NAME}_kernels.h"
    text = path.read_text(encoding="utf-8")
    first = re.search(r"static void linear_\w+\([^)]*\)\n\{\n", text)
    assert first is not None
    bad = "    volatile int32_t big = 2147483647;\n\n    big = big + (int32_t)rows;\n"
    path.write_text(text[: first.end()] + bad + text[first.end() :], encoding="utf-8")
    with pytest.raises(IntccError, match="signed integer overflow"):
        checks.sanitizers()


def test_stack_is_the_sum_of_the_path(checks: TargetChecks, folder: Path) -> None:
    before = measure(folder / "c", load_target(TARGET))
    append(folder, "int32_t f(int32_t *x);\nint32_t f(int32_t *x)\n{\n"
                   "    volatile int32_t big[1000];\n\n    big[x[0]] = x[1];\n"
                   "    return big[x[2]];\n}\n")  # fmt: skip
    after = measure(folder / "c", load_target(TARGET))
    assert before.stack_bytes <= 2048
    assert after.path == ("f",)
    assert 4000 <= after.stack_bytes <= 4100
    assert after.flash_bytes > before.flash_bytes
    graph = call_graph(checks.objects)
    depth, path = graph.deepest()
    assert depth == sum(graph.frames.get(name, 128) for name in path)


#: Machine code by the function and the words that objdump prints, and whether it is float.
CODE = {
    "arm": [("vadd.f32\ts0, s0, s1", True), ("vcvt.s32.f32\ts0, s1", True),
            ("vaddv.s32\tr0, q0", False), ("vmlava.s8\tr0, q0, q1", False),
            ("vldrw.u32\tq0, [r0]", False), ("vpush\t{d8, d9}", False)],
    "aarch64": [("fadd\ts0, s0, s1", True), ("scvtf\ts0, w0", True),
                ("fmov\td0, #1.000000000000000000e+00", True), ("fmov\tw0, s0", False),
                ("sdot\tv0.4s, v1.16b, v2.16b", False), ("bfi\tw0, w1, #2, #3", False)],
    "riscv": [("fadd.s\tfa0, fa0, fa1", True), ("vfmacc.vv\tv0, v1, v2", True),
              ("vmfeq.vv\tv0, v1, v2", True), ("fence\trw, rw", False),
              ("vfirst.m\ta0, v0", False), ("vwmacc.vv\tv0, v1, v2", False)],
    "x86_64": [("addsd\t%xmm0, %xmm1", True), ("cvtsi2sd\t%eax, %xmm0", True),
               ("vfmadd231ps\t%ymm0, %ymm1, %ymm2", True), ("flds\t(%rax)", True),
               ("paddd\t%xmm0, %xmm1", False), ("movaps\t%xmm0, (%rax)", False),
               ("vpdpbusd\t%ymm0, %ymm1, %ymm2", False), ("pminsd\t%xmm0, %xmm1", False)],
}  # fmt: skip


@pytest.mark.parametrize("machine", CODE)
def test_float_instructions_are_told_from_vectors(machine: str) -> None:
    lines = ["00000000 <f>:", *(f"   {i:x}:\t{text}" for i, (text, _) in enumerate(CODE[machine]))]
    code = parse("\n".join(lines))
    assert len(code) == len(CODE[machine])
    for instruction, (text, is_float) in zip(code, CODE[machine], strict=True):
        assert bool(list(float_instructions(machine, [instruction]))) == is_float, text


@pytest.mark.parametrize("target", ["cortex-m55", "rv64gcv", "aarch64", "generic"])
def test_float_code_of_a_compiler_is_found(tmp_path: Path, target: str) -> None:
    need(target)
    (tmp_path / "c").mkdir()
    text = "double f(double x, int k);\ndouble f(double x, int k) { return x * k; }\n"
    (tmp_path / "c" / "bad.c").write_text(text, encoding="utf-8")
    with (
        TargetChecks(opened(tmp_path), load_target(target)) as checks,
        pytest.raises(FailedError, match=r"calls __aeabi_dmul|uses f: "),
    ):
        checks.floats()


def change(folder: Path, pattern: str, value: str) -> None:
    """Replace the first number of the first array whose name matches."""
    path = folder / "c" / f"{NAME}_weights.c"
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(
        rf"(const int32_t \w*{pattern}\[\d+\] = \{{\n\s*)-?\d+", rf"\g<1>{value}", text, count=1
    )
    assert count == 1
    path.write_text(changed, encoding="utf-8")


def test_ranges_follow_from_the_constants(original: Path) -> None:
    assert prove(original / "c", NAME).calls == 5


@pytest.mark.parametrize(
    ("pattern", "value", "words"),
    [
        (r"linear7_bias", "2147483647", "sum and bias"),
        (r"linearwide4_bias", "2147483647", "scaled sum and bias"),
        (r"dynamic_lineardynamic10_mul", "2147483647", "scaled sum"),
    ],
)
def test_a_constant_that_breaks_a_bound_is_found(
    folder: Path, pattern: str, value: str, words: str
) -> None:
    change(folder, pattern, value)
    with pytest.raises(FailedError, match=words):
        prove(folder / "c", NAME)


def test_a_shift_that_breaks_a_bound_is_found(folder: Path) -> None:
    path = folder / "c" / f"{NAME}.c"
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(
        r"(    linear_dynamic\w*\([^;]*?_mul\w*,\s+)\d+", r"\g<1>63", text, count=1
    )
    assert count == 1
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(FailedError, match="shift 63 is outside"):
        prove(folder / "c", NAME)


def test_an_unknown_form_is_no_proof(folder: Path) -> None:
    path = folder / "c" / f"{NAME}_kernels.h"
    text = path.read_text(encoding="utf-8").replace("(left, width, ", "(width, left, ")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FailedError, match="cannot read"):
        prove(folder / "c", NAME)


def test_missing_tools_are_named(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intcc.toolchain.shutil.which", lambda name: None)
    report = intcc.verify(artifact, inputs=1, reference=1, target="rv32imc")
    assert report.ok
    reason = report.skipped["stack for rv32imc bounded"]
    assert "riscv64-unknown-elf-gcc" in reason and "apt-get install gcc-riscv64" in reason
    assert "apt-get install cppcheck" in report.skipped["cppcheck"]


def test_command(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("cortex-m0")
    flags = ["--inputs", "1", "--reference", "1", "--target"]
    assert main(["verify", str(artifact), *flags, "cortex-m0"]) == 0
    assert "stack for cortex-m0 bounded" in capsys.readouterr().out
    assert main(["verify", str(artifact), *flags, "own"]) == 0
    assert "stack for generic bounded" in capsys.readouterr().out
    assert main(["verify", str(artifact), *flags, "z80"]) == 2
    assert "Target 'z80' does not exist" in capsys.readouterr().err


def test_budget_of_the_stack() -> None:
    budget = Budget.parse("stack=2K,flash=1M")
    budget.check({"stack": 2048, "flash": 5})
    with pytest.raises(IntccError, match=r"Stack is 2,049 bytes .* above the budget of 2,048"):
        budget.check({"stack": 2049, "flash": 5})


def test_bare_compilers_get_headers(tmp_path: Path) -> None:
    need("rv32imc")
    source = tmp_path / "a.c"
    text = "void f(int32_t *x);\nvoid f(int32_t *x) { memset(x, 0, 400); }\n"
    source.write_text("#include <stdint.h>\n#include <string.h>\n" + text, encoding="utf-8")
    made = build([source], find_tools(load_target("rv32imc")), tmp_path / "out", *FLAGS)
    assert made.needed() == ["memset"]
    assert model_sources(tmp_path) == [source]
