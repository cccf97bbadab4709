"""`intcc verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from intcc.commands.console import JsonFlag, Printer, QuietFlag

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "Example: intcc verify minilm --inputs 200"


def command(
    folder: Annotated[Path, typer.Argument(help="Artifact to verify.")],
    inputs: Annotated[
        int, typer.Option(help="Random inputs, beside the recorded ones.", min=1)
    ] = 24,
    reference: Annotated[
        int, typer.Option(help="Inputs that the slow reference judges.", min=1)
    ] = 6,
    target: Annotated[
        str | None,
        typer.Option(
            help="Also compile the C for this machine and examine the objects; 'own': the machine "
            "it was made for."
        ),
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Check that an artifact is free of float, proved, and equal on all backends."""
    from intcc import api

    printer = Printer(quiet=quiet, as_json=as_json)
    with printer.progress() as progress:
        report = api.verify(
            folder, progress=progress, inputs=inputs, reference=reference, target=target
        )
    printer.result(report.to_json(), "ok" if report.ok else "FAILED")
    printer.table(
        ["", "check", "result", "time"],
        [
            (
                Text("ok", "green") if c.ok else Text("FAIL", "bold red"),
                c.name,
                c.detail,
                f"{c.seconds:.1f} s",
            )
            for c in report.checks
        ],
        right=[3],
    )
    for name, reason in report.skipped.items():
        printer.say(f"not checked here: {name}: {reason}")
    if not report.ok:
        failed = sum(not c.ok for c in report.checks)
        printer.say(f"{failed} of {len(report.checks)} checks failed")
        raise typer.Exit(1)
    printer.say("All checks passed.")
