"""`intcc ops`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from intcc.commands.console import JsonFlag, Printer, QuietFlag

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "Example: intcc ops --json"


def command(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as Markdown.")
    ] = False,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """List the float operators that compile and the integer operators they become."""
    from intcc import support

    printer = Printer(quiet=quiet, as_json=as_json)
    if as_markdown and not as_json:
        sys.stdout.write(support.markdown())
        return
    integer, floats = support.support()
    printer.result(support.to_json(), "\n".join(o.name for o in integer))
    printer.table(
        ["integer operator", "ONNX nodes", "C", "TOSA", "vectors", "meaning"],
        [(o.name, o.onnx_nodes, _yes(o.c), _yes(o.tosa), o.vectors, o.meaning) for o in integer],
        right=[1, 4],
    )
    printer.say("")
    printer.table(["float operator", "lowered by"], [(f.name, f.rule) for f in floats])


def _yes(so: bool) -> str:
    return "yes" if so else "no"
