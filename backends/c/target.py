"""Targets: the choices that a machine family makes, read from targets/*.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from intcc.errors import SettingsError

__all__ = ["Target", "available", "load_target"]


@dataclass(frozen=True)
class Target:
    """What templates and kernels ask of a target.

    Attributes:
        name: as on the command line.
        description: one line for the table of targets.
        rows: rows of a register block.
        columns: columns of a register block.
        tile: columns whose epilogue is one loop.
        gelu_table: use a table of 256 where one serves all channels.
    """

    name: str
    description: str
    rows: int
    columns: int
    tile: int
    gelu_table: bool


def available() -> tuple[str, ...]:
    """Return the names of all targets."""
    folder = resources.files("intcc.backends.c") / "targets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_target(name: str) -> Target:
    """Read a target.

    Raises:
        SettingsError: no such target.
    """
    if name not in available():
        raise SettingsError(
            f"Target '{name}'", "does not exist", f"Known: {', '.join(available())}"
        )
    path = resources.files("intcc.backends.c") / "targets" / f"{name}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    matmul = data["matmul"]
    return Target(
        data["name"],
        data["description"],
        int(matmul["rows"]),
        int(matmul["columns"]),
        int(matmul["tile"]),
        bool(data["gelu"]["table"]),
    )
