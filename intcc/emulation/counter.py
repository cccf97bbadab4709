"""Executed instructions of a program in QEMU, exactly, from a plugin that is built here.

A mark notes an address in a section of the program (see templates/emulation/mark.h): the plugin
notes the count when the address is passed, so that counting adds no instruction. What a conditional
instruction skips counts, as it does on the machine.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from intcc.backends.c.render import render
from intcc.emulation.elf import section
from intcc.runtime.compiler import SHARED_FLAGS, built, find_compiler

__all__ = ["BEGIN", "END", "SECTION", "Counts", "added", "mark_lines", "parse_counts", "plugin"]

#: Marks around what is counted; layers are numbered from zero.
BEGIN, END = 1 << 20, (1 << 20) + 1
#: Where the marks are.
SECTION = ".intcc_marks"


@dataclass(frozen=True)
class Counts:
    """Executed instructions.

    Attributes:
        total: all of them.
        layers: by index of the layer; before the first one is index -1.
        functions: by name of the function in the compiled program.
    """

    total: int
    layers: Mapping[int, int]
    functions: Mapping[str, int]


def plugin() -> Path:
    """Return the plugin, built with the system's compiler or found in the cache.

    Raises:
        ToolError: no compiler, or it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, header = Path(folder) / "counter.c", Path(folder) / "qemu_plugin.h"
        for path in (source, header):
            text = render(path.name, {"begin": BEGIN, "end": END}, "emulation")
            path.write_text(text, encoding="utf-8")
        flags = ("-O2", "-D_DEFAULT_SOURCE", *SHARED_FLAGS)
        return built([source], [header], find_compiler(), flags, ".so")


def mark_lines(program: Path) -> str:
    """Return the marks of a program as the plugin reads them: an address and an index a line."""
    return "".join(
        f"{at} {index}\n" for at, index in struct.iter_unpack("<2I", section(program, SECTION))
    )


def parse_counts(text: str) -> Counts:
    """Read what the plugin writes at the end of one stretch."""
    starts: list[tuple[int, int]] = [(-1, 0)]
    functions: dict[str, int] = {}
    total = 0
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "layer":
            starts.append((int(words[0]), int(words[1])))
        elif kind == "function":
            functions[words[1]] = int(words[0])
        else:
            total = int(words[0])
    ends = [count for _, count in starts[1:]] + [total]
    layers = {i: end - at for (i, at), end in zip(starts, ends, strict=True)}
    return Counts(total, layers, dict(sorted(functions.items(), key=lambda f: (-f[1], f[0]))))


def added(parts: Iterable[Counts]) -> Counts:
    """Return the counts of several stretches together."""
    total, layers, functions = 0, dict[int, int](), dict[str, int]()
    for part in parts:
        total += part.total
        for index, count in part.layers.items():
            layers[index] = layers.get(index, 0) + count
        for name, count in part.functions.items():
            functions[name] = functions.get(name, 0) + count
    return Counts(total, dict(sorted(layers.items())), functions)
