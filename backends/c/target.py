"""Targets: the choices that a machine family makes, read from targets/*.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from intcc.errors import SettingsError

__all__ = ["TERNARY", "Target", "available", "load_target"]

#: Bytes as for any weight, 4 weights to a byte, or 5, which is smaller and dearer to unpack.
TERNARY = ("int8", "2bit", "trits")


@dataclass(frozen=True)
class Target:
    """What templates and kernels ask of a target.

    Attributes:
        name: as on the command line.
        description: one line for the table of targets.
        rows: rows of a register block.
        columns: columns of a register block.
        tile: columns whose epilogue is one loop.
        ternary: how layers whose weights are all -1, 0 or 1 are packed; see TERNARY.
        gelu_table: use a table of 256 where one serves all channels.
    """

    name: str
    description: str
    rows: int
    columns: int
    tile: int
    ternary: str
    gelu_table: bool


def available() -> tuple[str, ...]:
    """Return the names of all targets."""
    folder = resources.files("intcc.backends.c") / "targets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_target(name: str, *, ternary: str | None = None) -> Target:
    """Read a target.

    Args:
        name: name of a file in targets/.
        ternary: one of TERNARY, in place of the target's own choice.

    Raises:
        SettingsError: no such target or packing.
    """
    if name not in available():
        raise SettingsError(
            f"Target '{name}'", "does not exist", f"Known: {', '.join(available())}"
        )
    path = resources.files("intcc.backends.c") / "targets" / f"{name}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    matmul = data["matmul"]
    packing = ternary or data["weights"]["ternary"]
    if packing not in TERNARY:
        raise SettingsError(
            f"Packing '{packing}' of ternary weights",
            "does not exist",
            f"Known: {', '.join(TERNARY)}",
        )
    return Target(
        data["name"],
        data["description"],
        int(matmul["rows"]),
        int(matmul["columns"]),
        int(matmul["tile"]),
        packing,
        bool(data["gelu"]["table"]),
    )
