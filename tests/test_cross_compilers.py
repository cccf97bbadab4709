"""Independent witnesses that the generated C holds no float: other compilers, other processors.

clang      the syntax tree has no float literal and no float type (sees folded constants)
clang      the unoptimised intermediate code has no float type
Cortex-M0, Cortex-M3    objects need no soft-float routine
AArch64    compiles with general registers only
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: Soft-float routines of the Arm run-time library and of libgcc, and mathematical functions.
ROUTINES = re.compile(
    r"__aeabi_(?:f|d|h|cf|cd|i2f|i2d|ui2f|ui2d|l2f|l2d|ul2f|ul2d)[a-z0-9]*"
    r"|__[a-z]*(?:sf|df|tf|hf|xf|sc|dc)[0-9]?|__(?:fix|float|extend|trunc)[a-z]*"
    r"|(?:exp|log|pow|sqrt|tanh|erf|floor|ceil|round|rint|lrint)f?"
)
TREE = re.compile(
    r"FloatingLiteral|'(?:const )?(?:float|double|long double|_Float16|__fp16|__bf16)(?: |')"
)
CODE = re.compile(r"\b(?:float|double|half|bfloat|fp128|x86_fp80)\b")


def tool(*names: str) -> str:
    found = next(filter(shutil.which, names), None)
    if found is None:
        pytest.skip(f"{' or '.join(names)} is not installed")
    return found


def output(*command: str | Path) -> str:
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture(scope="module")
def sources(artifact: Path) -> list[Path]:
    """Return the model's own C."""
    found = sorted((artifact / "c").glob("*.c"))
    assert len(found) >= 2
    return found


def test_clang_sees_no_float(sources: list[Path]) -> None:
    clang = tool("clang-19", "clang")
    for source in sources:
        tree = output(clang, "-std=c99", "-Xclang", "-ast-dump", "-fsyntax-only", source)
        assert not TREE.search(tree), source.name
        code = output(clang, "-std=c99", "-O0", "-S", "-emit-llvm", "-o", "-", source)
        body = re.sub(r'^(?:source_filename|attributes|!).*$|"[^"]*"', "", code, flags=re.M)
        assert not CODE.search(body), source.name


@pytest.mark.parametrize("processor", ["cortex-m0", "cortex-m3"])
def test_microcontrollers_need_no_soft_float(
    sources: list[Path], tmp_path: Path, processor: str
) -> None:
    compiler, names = tool("arm-none-eabi-gcc"), tool("arm-none-eabi-nm")
    # A bare compiler has no C library; these two declarations are all that is used of one.
    (tmp_path / "string.h").write_text(
        "#include <stddef.h>\nvoid *memcpy(void *, const void *, size_t);\n"
        "void *memset(void *, int, size_t);\n",
        encoding="utf-8",
    )
    for source in sources:
        made = tmp_path / f"{source.stem}.o"
        output(compiler, f"-mcpu={processor}", "-mthumb", "-mfloat-abi=soft", "-O2", "-std=c99",
               "-ffreestanding", "-I", tmp_path, "-c", source, "-o", made)  # fmt: skip
        needed = [line.split()[-1] for line in output(names, "-u", made).splitlines()]
        assert not [name for name in needed if ROUTINES.fullmatch(name)]


def test_aarch64_uses_general_registers_only(sources: list[Path], tmp_path: Path) -> None:
    compiler = tool("aarch64-linux-gnu-gcc")
    for source in sources:
        output(compiler, "-march=armv8-a", "-mgeneral-regs-only", "-O2", "-std=c99",
               "-ffreestanding", "-c", source, "-o", tmp_path / "out.o")  # fmt: skip


def test_the_witnesses_see_floats(tmp_path: Path) -> None:
    """Each of them must object to a file that computes with floats."""
    bad = tmp_path / "bad.c"
    bad.write_text("int f(int x) { return (int)(x * 1.5f); }\n", encoding="utf-8")
    clang = tool("clang-19", "clang")
    assert TREE.search(output(clang, "-Xclang", "-ast-dump", "-fsyntax-only", bad))
    assert CODE.search(output(clang, "-O0", "-S", "-emit-llvm", "-o", "-", bad))
    made = tmp_path / "bad.o"
    output(tool("arm-none-eabi-gcc"), "-mcpu=cortex-m0", "-mthumb", "-c", bad, "-o", made)
    needed = [line.split()[-1] for line in output("arm-none-eabi-nm", "-u", made).splitlines()]
    assert [name for name in needed if ROUTINES.fullmatch(name)]
    with pytest.raises(AssertionError, match="general-regs-only"):
        output(tool("aarch64-linux-gnu-gcc"), "-mgeneral-regs-only", "-c", bad, "-o", made)
