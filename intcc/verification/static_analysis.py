"""cppcheck and its MISRA C:2012 addon over generated C, with the deviations that are meant."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from intcc.errors import MissingToolError, ToolError
from intcc.toolchain import find_program

__all__ = ["DEVIATIONS", "SUPPRESSIONS", "analyse", "misra"]

PACKAGES = ("cppcheck",)

#: Findings of cppcheck that are meant, with the reason. docs/misra.md shows both tables.
SUPPRESSIONS: Mapping[str, str] = {
    "knownConditionTrueFalse": "Kernels are specialised on shapes: a loop's bound may be known to "
    "be one, or a remainder to be empty.",
    "variableScope": "Declarations stand at the head of a function that uses them in two blocks.",
    "shadowFunction": "Kernels and local variables are named after what they hold; a model may "
    "have both. The compiler watches for variables that hide each other.",
    "unsignedLessThanZero": "A size is compared with the room for texts, which some tokenizers do "
    "not need.",
}

#: Rules of MISRA C:2012 that generated code deviates from, with the reason.
DEVIATIONS: Mapping[str, str] = {
    "2.2": "Offsets of zero are written out, so that every call of a kind reads alike.",
    "2.4": "Enumerations without a variable of their type group named constants.",
    "2.5": "Macros of the public header are for callers.",
    "2.7": "Kernels of one family have the same parameters, whether a specialisation reads them "
    "or not.",
    "5.9": "Each source file has its own small helpers; equal names mean equal text.",
    "7.2": "Constants that fit a signed type carry no suffix.",
    "8.7": "Functions of the public interface are called from outside.",
    "8.9": "Constant data stand in one file, apart from the code.",
    "10.1": "Shifts and complements of signed numbers: a negative number is complemented first, so "
    "that only non-negative ones are shifted.",
    "10.3": "Narrowing is explicit, or proved to keep the value.",
    "10.4": "Indices are size_t and literals are int: the usual conversions keep their values.",
    "10.7": "A product of two narrow operands is proved to fit before it enters a wider sum.",
    "10.8": "The operand of a cast is proved to fit its target.",
    "11.5": "The arena is one region of memory: typed pointers into it come from void pointers.",
    "12.1": "Precedence of arithmetic and comparisons is relied on.",
    "12.2": "The shift counts are proved to lie below the width.",
    "12.3": "Sums of a block are declared together.",
    "13.3": "A pointer moves on as it is read.",
    "13.4": "An assignment's value is compared in the condition of a search.",
    "14.2": "Loops of a search move their counter in the body.",
    "14.4": "A flag of type int is tested as such: C99 without <stdbool.h>.",
    "15.5": "Functions return as soon as an argument is refused.",
    "15.7": "A chain of conditions may need no last else.",
    "17.7": "The result of memcpy and memset is the pointer that was passed.",
    "17.8": "Parameters passed by value serve as the function's own variables.",
    "18.4": "Rows of a matrix are found by adding to a pointer.",
    "20.7": "Arguments of the access macros are constants.",
}

_FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?!note|information)\w+: (.*) \[([\w.-]+)\]$")


def _run(sources: Sequence[Path], *options: str) -> list[tuple[str, str, str]]:
    """Return (place, what, id) of every finding."""
    command = [find_program("cppcheck", PACKAGES), "--std=c99", "--quiet", *options]
    done = subprocess.run(
        [*command, *map(str, sources)], capture_output=True, text=True, check=False
    )
    if "Did not find addon" in done.stdout + done.stderr:
        raise MissingToolError("MISRA addon of cppcheck", "was not found", "Install cppcheck's own")
    if done.returncode != 0:
        raise ToolError("cppcheck", f"failed ({(done.stderr or done.stdout)[:200].strip()})")
    found = []
    for line in done.stderr.splitlines():
        match = _FINDING.match(line)
        if match:
            found.append((f"{Path(match[1]).name}:{match[2]}", match[3], match[4]))
    return found


def analyse(sources: Sequence[Path]) -> list[str]:
    """Return what cppcheck finds, one line each, without SUPPRESSIONS."""
    found = _run(sources, "--enable=warning,style,performance,portability")
    return [f"{where}: {what} [{name}]" for where, what, name in found if name not in SUPPRESSIONS]


def misra(sources: Sequence[Path]) -> tuple[dict[str, int], list[str]]:
    """Return how often each rule of DEVIATIONS is deviated from, and all other violations."""
    deviations: dict[str, int] = {}
    others = []
    for where, what, name in _run(sources, "--addon=misra"):
        rule = name.removeprefix("misra-c2012-")
        if rule in DEVIATIONS:
            deviations[rule] = deviations.get(rule, 0) + 1
        else:
            others.append(f"{where}: rule {rule}" if rule != name else f"{where}: {what} [{name}]")
    return deviations, others
