"""A program around generated C for a machine: start-up code, run-time, what the program does."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intcc.backends.c.render import render
from intcc.backends.c.target import Target
from intcc.emulation.counter import BEGIN, END, SECTION
from intcc.emulation.machine import FAULT, GIVEN, MADE, SHORT, tools
from intcc.errors import IntccError, SettingsError
from intcc.runtime.compiler import built
from intcc.toolchain import find_program

__all__ = ["STACK_BYTES", "build_program"]

#: Room for the stack where a machine has no operating system.
STACK_BYTES = 0x8000
#: Byte that untouched stack holds.
_PAINT = 0xA5


def build_program(
    target: Target,
    main: tuple[str, Mapping[str, Any]] | None,
    sources: Sequence[Path],
    headers: Sequence[Path],
    macros: Sequence[str] = (),
) -> Path:
    """Return a program for a machine, built now or found in the cache.

    Args:
        target: a machine from `machine.machine`.
        main: template in templates/emulation with the function `run`, and what it shows; None
            where one of the sources has it.
        sources: generated C, and what uses it.
        headers: what it includes, in one folder.
        macros: definitions on the command line, NAME=TEXT.

    Raises:
        ToolError: the compiler is missing or rejects the code.
        SettingsError: the program is too large for the machine.
    """
    toolchain, emulator = tools(target)
    compiler = find_program(toolchain.compiler, toolchain.packages)
    for command in _linkers(toolchain.packages):
        find_program(command, toolchain.packages)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own, others = _write(target, main, folder)
        flags = [*toolchain.flags, *(f"-D{m}" for m in macros), "-include", "mark.h"]
        places = [f"-I{folder}", *sorted({f"-I{h.parent}" for h in headers})]
        if emulator.startup:
            flags += ["-ffreestanding", "-nostdlib"]
            places += [f"-Wl,-T,{folder / 'memory.ld'}"]
            # Only gcc brings helpers for what an instruction set lacks; no target needs clang's.
            places += ["-fuse-ld=lld"] if "clang" in toolchain.compiler else ["-lgcc"]
        else:
            flags += ["-static"]
        return built(
            [*own, *sources],
            [*others, *headers],
            compiler,
            flags,
            ".elf",
            places=places,
            rejected=lambda text: _too_large(target, text),
        )


def _linkers(packages: Sequence[str]) -> list[str]:
    """Return the linkers that come in packages of their own."""
    return [p.replace("lld", "ld.lld") for p in packages if p.startswith("lld")]


def _write(
    target: Target, main: tuple[str, Mapping[str, Any]] | None, folder: Path
) -> tuple[list[Path], list[Path]]:
    """Write the parts that are not generated; return the sources and the other files."""
    emulator = tools(target)[1]
    values = {
        "given": GIVEN, "made": MADE, "fault": FAULT, "short": SHORT, "paint": _PAINT,
        "section": SECTION, "begin": BEGIN, "end": END, "stack_bytes": STACK_BYTES,
        "rom": emulator.rom, "rom_bytes": emulator.rom_bytes,
        "ram": emulator.ram, "ram_bytes": emulator.ram_bytes,
    }  # fmt: skip
    names: dict[str, Mapping[str, Any]] = {"mark.h": values, "run.h": values}
    if main:
        names[f"{main[0]}.c"] = main[1]
    if emulator.startup:
        bare = ("bare.h", "bare.c", "string.h", "memory.ld", f"{emulator.startup}.c")
        names |= dict.fromkeys(bare, values)
    else:
        names["hosted.c"] = values
    paths = []
    for name, shown in names.items():
        path = folder / name
        path.write_text(render(name, shown, "emulation"), encoding="utf-8")
        paths.append(path)
    return [p for p in paths if p.suffix == ".c"], [p for p in paths if p.suffix != ".c"]


def _too_large(target: Target, messages: str) -> IntccError | None:
    """Return the error for a program that does not fit, None for any other trouble."""
    found = re.search(r"region [`'](ROM|RAM)'?:? overflowed by (\d+) bytes", messages)
    if found is None:
        return None
    emulator = tools(target)[1]
    size = emulator.rom_bytes if found[1] == "ROM" else emulator.ram_bytes
    what = "code and constant data" if found[1] == "ROM" else "arena, cache, inputs and outputs"
    return SettingsError(
        f"Machine '{target.name}'",
        f"has {size:,} bytes for {what}, {int(found[2]):,} too few for this model",
        "Choose a larger machine with --on, or compile a smaller model",
    )
