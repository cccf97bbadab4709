"""What `run`, `bench` and `generate` share when they go to an emulated machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intcc.commands.console import Printer

if TYPE_CHECKING:
    from intcc.instructions import Emulated, Tally

__all__ = ["OnOption", "machine_model", "show_tallies", "tally_json"]

OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="MACHINE",
        help="Run the C on an emulated machine, compare every bit, count instructions: "
        "qemu:TARGET, see `intcc targets`.",
    ),
]


def machine_model(folder: Path, on: str) -> Emulated:
    """Open an artifact on an emulated machine, for commands that may run without one."""
    from intcc.instructions import Emulated
    from intcc.runtime.artifact import Artifact

    return Emulated(Artifact.open(folder), on)


def tally_json(tally: Tally) -> dict[str, Any]:
    """Return a tally as JSON."""
    return {**asdict(tally), "instructions_per_mac": tally.per_mac}


def show_tallies(printer: Printer, on: str, tallies: list[Tally]) -> None:
    """Print instructions by layer and in all."""
    for tally in tallies:
        calls = f"{tally.calls} calls, " if tally.calls > 1 else ""
        printer.say(
            "",
            f"{tally.phase} on {on}: {calls}{tally.tokens} token{'s' if tally.tokens != 1 else ''}",
        )
        printer.table(
            ["layer", "instructions", "share", "multiply-accumulates", "instructions each"],
            [
                (
                    layer.name,
                    f"{layer.instructions:,}",
                    f"{layer.instructions / tally.instructions:.1%}",
                    f"{layer.macs:,}" if layer.macs else "",
                    f"{layer.instructions / layer.macs:.2f}" if layer.macs else "",
                )
                for layer in tally.layers
            ]
            + [
                ("total", f"{tally.instructions:,}", "", f"{tally.macs:,}", f"{tally.per_mac:.2f}"),
            ],
            right=[1, 2, 3, 4],
        )
        if tally.stack_bytes:
            printer.say(f"stack: {tally.stack_bytes:,} bytes")
    printer.say("", "Every output is the same as on this machine, bit for bit.")
