"""Find floating point in machine code: routines that stand in for it, and its instructions.

Integer vectors share registers, moves and parts of their names with floats. What counts is
arithmetic: an instruction that reads or makes a floating-point number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from intcc.objects.callgraph import Instruction

__all__ = ["ROUTINES", "float_instructions", "float_routines"]

#: Soft-float routines of the Arm run-time library and of libgcc, and mathematical functions.
ROUTINES = re.compile(
    r"__aeabi_(?:f|d|h|cf|cd|i2f|i2d|ui2f|ui2d|l2f|l2d|ul2f|ul2d)[a-z0-9]*"
    r"|__[a-z]*(?:sf|df|tf|hf|xf|sc|dc)[0-9]?|__(?:fix|float|extend|trunc)[a-z]*"
    r"|(?:exp|log|pow|sqrt|tanh|erf|floor|ceil|round|rint|lrint)f?"
)
_X86_KINDS = "(?:add|sub|mul|div|sqrt|min|max|round|rcp|rsqrt|dp|hadd|hsub|addsub|u?comi|cmp[a-z]*)"
#: By the machine that `-dumpmachine` begins with.
_INSTRUCTIONS: Mapping[str, re.Pattern[str]] = {
    # The type is part of the name: vadd.f32, vcvt.s32.f32; vaddv.s32 and vldrw.u32 are integers.
    "arm": re.compile(r"\w+(?:\.\w+)*\.b?f(?:16|32|64)(?:\.\w+)*"),
    # Reduced vectors of integers reach general registers by fmov.
    "aarch64": re.compile(r"f(?!mov$)\w+|[su]cvtf|bf(?:dot|mmla|cvt\w*|mlal\w)"),
    # fence orders memory; vfirst looks for a set bit.
    "riscv": re.compile(r"f(?!ence)\w[\w.]*|vm?f(?!irst)\w[\w.]*"),
    # Packed integers begin with p; vectors of any type move by movaps and the like.
    "x86_64": re.compile(
        rf"v?{_X86_KINDS}(?:ss|sd|ps|pd)|v?fn?m(?:add|sub)\w+|v?cvt\w+|f(?!xsave|xrstor|wait)\w+"
    ),
}
_FLOAT_CONSTANT = re.compile(r"#-?\d+\.\d+")


def float_routines(names: Iterable[str]) -> list[str]:
    """Return the names that compute with floats."""
    return [name for name in names if ROUTINES.fullmatch(name)]


def float_instructions(machine: str, code: Iterable[Instruction]) -> Iterator[str]:
    """Yield one line for each floating-point instruction.

    Args:
        machine: what the compiler prints for -dumpmachine.
        code: the instructions.
    """
    family = next((f for f in _INSTRUCTIONS if machine.startswith(f)), None)
    assert family is not None, f"no list of float instructions for {machine}"
    pattern = _INSTRUCTIONS[family]
    for i in code:
        loads_constant = i.mnemonic == "fmov" and _FLOAT_CONSTANT.search(i.operands)
        if pattern.fullmatch(i.mnemonic) or loads_constant:
            yield f"{i.function}: {i.mnemonic} {i.operands}".replace("\t", " ")
