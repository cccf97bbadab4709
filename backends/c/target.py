"""Targets: the choices that a machine family makes, read from targets/*.toml, a file each.

A file whose `like` names another target takes from it what it does not say itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, TypeVar

from intcc.errors import SettingsError

__all__ = [
    "KINDS",
    "TERNARY",
    "Emulator",
    "KernelSet",
    "Matmul",
    "Region",
    "Target",
    "Toolchain",
    "available",
    "load_target",
]

#: Bytes as for any weight, 4 weights to a byte, or 5, which is smaller and dearer to unpack.
TERNARY = ("int8", "2bit", "trits")
#: What a region may be named for: weights, numbers per channel and small tables, the caller's
#: memory, functions.
KINDS = ("weights", "parameters", "arena", "cache", "code")

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Matmul:
    """How products are computed.

    Attributes:
        kernel: name of a form in `matmul.FORMS`.
        rows: rows of a register block.
        columns: columns of a register block.
        tile: columns whose epilogue is one loop, a multiple of `columns`.
    """

    kernel: str
    rows: int
    columns: int
    tile: int


@dataclass(frozen=True)
class Toolchain:
    """What turns the C into a program.

    Attributes:
        compiler: command of the compiler.
        packages: Debian packages that bring it.
        flags: machine and optimisation, as recommended to users.
        binutils: prefix of nm, objdump and size; empty where it is the compiler's, before "gcc".
    """

    compiler: str
    packages: tuple[str, ...]
    flags: tuple[str, ...]
    binutils: str = ""


@dataclass(frozen=True)
class Emulator:
    """Where the program runs without the hardware.

    Attributes:
        program: command of the emulator.
        packages: Debian packages that bring it.
        arguments: machine and processor.
        startup: start-up code and linker script, templates/emulation/<startup>.c and .ld; empty
            where the program runs under an operating system.
        rom: address of the code.
        rom_bytes: size of the code memory.
        ram: address of the data.
        ram_bytes: size of the data memory.
    """

    program: str
    packages: tuple[str, ...]
    arguments: tuple[str, ...]
    startup: str = ""
    rom: int = 0
    rom_bytes: int = 0
    ram: int = 0
    ram_bytes: int = 0


@dataclass(frozen=True)
class Region:
    """A memory, and what is placed there unless the user says otherwise.

    Attributes:
        name: as in the macro of its section, for instance "dtcm".
        kinds: some of KINDS; no two regions share one.
        description: one line for the header.
    """

    name: str
    kinds: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class KernelSet:
    """The model's code for some processors of a family, beside that for all of them.

    Attributes:
        name: of the file, after the model's.
        machine: arguments of `#pragma GCC target`; with -m in front, flags of the compiler.
        features: what `__builtin_cpu_supports` must find.
    """

    name: str
    machine: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags that stand for `machine`."""
        return tuple(f"-m{word}" for word in self.machine)


@dataclass(frozen=True)
class Target:
    """What templates and kernels ask of a target.

    Attributes:
        name: as on the command line.
        description: one line for the table of targets.
        instruction_set: its name in the architecture's manual.
        alignment: bytes, a power of two from 8 on, as the arena holds 64-bit integers; what weights
            and buffers in the arena are aligned to for speed.
        matmul: how products are computed.
        ternary: how layers whose weights are all -1, 0 or 1 are packed; see TERNARY.
        ternary_pairs: unpack ternary weights two to a word: for machines without vectors whose
            product of words is quick.
        ternary_stack: bytes of stack for unpacked ternary weights and their sums; 0: as is fastest.
        gelu_table: use a table of 256 where one serves all channels.
        gelu_steps: compare bytes with the steps of the polynomial where none does.
        headers: of intrinsics by the macro of a compiler that has them.
        kernels: machine form of a kernel by the name of its template, which is the general form.
        word: bits of a register.
        toolchain: a cross compiler; None for the host's own.
        emulator: None where there is none.
        regions: separate memories; none where there is one of each kind.
        threads: whether a run can be shared among threads.
        section: whether large weights are a file of bytes instead of C.
        sets: kernels for some of the processors; the first that a processor can run is chosen.
    """

    name: str
    description: str
    instruction_set: str
    alignment: int
    matmul: Matmul
    ternary: str
    gelu_table: bool
    headers: Mapping[str, str]
    kernels: Mapping[str, str]
    word: int = 64
    toolchain: Toolchain | None = None
    emulator: Emulator | None = None
    regions: tuple[Region, ...] = ()
    ternary_pairs: bool = False
    ternary_stack: int = 0
    gelu_steps: bool = False
    threads: bool = False
    section: bool = False
    sets: tuple[KernelSet, ...] = ()

    def on_x86(self, template: str) -> bool:
        """Tell whether a template has a form in vectors of x86 here, which calls `VECTOR`."""
        return self.kernels.get(template, "").endswith("_x86")


def available() -> tuple[str, ...]:
    """Return the names of all targets."""
    folder = resources.files("intcc.backends.c") / "targets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def _read(name: str) -> dict[str, Any]:
    path = resources.files("intcc.backends.c") / "targets" / f"{name}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return _read(data["like"]) | data if "like" in data else data


def load_target(name: str, *, ternary: str | None = None, threads: bool | None = None) -> Target:
    """Read a target.

    Args:
        name: name of a file in targets/.
        ternary: one of TERNARY, in place of the target's own choice.
        threads: whether a run can be shared, in place of the target's own choice.

    Raises:
        SettingsError: no such target or packing; threads where there is one core, or none where
            a run chooses its kernels.
    """
    if name not in available():
        raise SettingsError(
            f"Target '{name}'", "does not exist", f"Known: {', '.join(available())}"
        )
    data = _read(name)
    packing = ternary or data["weights"]["ternary"]
    if packing not in TERNARY:
        raise SettingsError(
            f"Packing '{packing}' of ternary weights",
            "does not exist",
            f"Known: {', '.join(TERNARY)}",
        )
    toolchain, emulator = data.get("toolchain"), data.get("emulator")
    if threads and emulator and emulator.get("startup"):
        raise SettingsError(
            f"Target '{name}'", "has one core and no threads", "Compile without --threads"
        )
    if threads is False and "sets" in data:
        raise SettingsError(
            f"Target '{name}'",
            "chooses kernels as threads share a run",
            "Compile without --no-threads, or for one of the sets",
        )
    return Target(
        name=data["name"],
        description=data["description"],
        instruction_set=data["instruction_set"],
        alignment=data["alignment"],
        matmul=_record(Matmul, data["matmul"]),
        ternary=packing,
        ternary_pairs=data["weights"].get("pairs", False),
        gelu_table=data["gelu"]["table"],
        gelu_steps=data["gelu"].get("steps", False),
        headers=data.get("headers", {}),
        kernels=data.get("kernels", {}),
        word=data.get("word", 64),
        toolchain=_record(Toolchain, toolchain) if toolchain else None,
        emulator=_record(Emulator, emulator) if emulator else None,
        regions=tuple(_record(Region, r) for r in data.get("regions", ())),
        ternary_stack=data["weights"].get("stack", 0),
        threads=data.get("threads", False) if threads is None else threads,
        section=data["weights"].get("section", False),
        sets=tuple(_record(KernelSet, s) for s in data.get("sets", ())),
    )


def _record(kind: type[_Record], table: Mapping[str, Any]) -> _Record:
    """Return a table as a dataclass; lists become tuples, unknown keys are errors."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    assert set(table) <= known, f"unknown keys of a target: {sorted(set(table) - known)}"
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})
