"""Compile generated C with a target's tools, and read the objects' symbols and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intcc.toolchain import Tools, call

__all__ = ["Objects", "Sizes", "build", "is_program", "model_sources"]


def is_program(path: Path) -> bool:
    """Tell whether a generated file is an example, a test or a pool, not part of the model."""
    return path.stem.endswith(("_selftest", "_threads")) or path.parent.name == "examples"


def model_sources(folder: Path) -> list[Path]:
    """Return the .c files that go into firmware, in order."""
    return sorted(path for path in folder.glob("*.c") if not is_program(path))


@dataclass(frozen=True)
class Sizes:
    """Bytes of a set of objects.

    Attributes:
        flash: code and constant data.
        writable: data with or without an initial value.
    """

    flash: int
    writable: int


@dataclass(frozen=True)
class Objects:
    """Compiled sources.

    Attributes:
        tools: what compiled them.
        files: one object a source.
    """

    tools: Tools
    files: tuple[Path, ...]

    def sizes(self) -> Sizes:
        """Return the sum of their sections."""
        lines = call([self.tools.binutil("size"), *map(str, self.files)]).splitlines()[1:]
        rows = [[int(word) for word in line.split()[:3]] for line in lines]
        return Sizes(sum(row[0] for row in rows), sum(row[1] + row[2] for row in rows))

    def symbols(self) -> dict[str, set[str]]:
        """Return the letters that nm gives each name, U for one that an object needs."""
        found: dict[str, set[str]] = {}
        for line in call([self.tools.binutil("nm"), *self.files]).splitlines():
            words = line.split()
            if len(words) >= 2 and len(words[-2]) == 1:
                found.setdefault(words[-1], set()).add(words[-2])
        return found

    def needed(self) -> list[str]:
        """Return the names that no object defines."""
        return sorted(name for name, letters in self.symbols().items() if letters == {"U"})

    def disassembly(self) -> str:
        """Return instructions with their relocations, each on one line."""
        objdump = self.tools.binutil("objdump")
        return call([objdump, "-drw", "--no-show-raw-insn", *map(str, self.files)])

    def aliases(self) -> list[set[str]]:
        """Return the functions that compilers found equal and keep once, under several names."""
        places: dict[tuple[str, str, str], set[str]] = {}
        file = ""
        text = call([self.tools.binutil("objdump"), "-t", *map(str, self.files)])
        for line in text.splitlines():
            file = line if "file format" in line else file
            words = line.split()
            if len(words) >= 6 and words[2] == "F":
                places.setdefault((file, words[3], words[0]), set()).add(words[-1])
        return [names for names in places.values() if len(names) > 1]

    def stack_usage(self) -> dict[str, tuple[int, bool]]:
        """Return (bytes, whether that is a bound) by function, from files of -fstack-usage."""
        found: dict[str, tuple[int, bool]] = {}
        for path in (file.with_suffix(".su") for file in self.files):
            if not path.is_file():  # a source without functions
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                where, size, kind = line.split("\t")
                name = where.rsplit(":", 1)[-1]
                before, fixed = found.get(name, (0, True))
                bounded = kind in ("static", "dynamic,bounded")
                found[name] = max(before, int(size)), fixed and bounded
        return found


def build(sources: Sequence[Path], tools: Tools, folder: Path, *flags: str) -> Objects:
    """Compile each source into `folder`.

    Args:
        sources: .c files with different stems.
        tools: of the target.
        folder: for objects and what the compiler writes beside them; it is created.
        flags: on top of the target's own and of C99.

    Raises:
        ToolError: the compiler objects to a source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    include = tools.include_flags(folder / "include")
    made = []
    for source in sources:
        made.append(folder / f"{source.stem}.o")
        tools.compile(source, made[-1], "-std=c99", f"-I{source.parent}", *include, *flags)
    return Objects(tools, tuple(made))
