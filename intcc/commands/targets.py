"""`intcc targets`."""

from __future__ import annotations

from dataclasses import asdict

from intcc.commands.console import JsonFlag, Printer, QuietFlag

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "Example: intcc targets, then intcc compile MODEL --target cortex-m4 -o DIR"


def command(quiet: QuietFlag = False, as_json: JsonFlag = False) -> None:
    """List the machines that C can be written for."""
    from intcc.backends.c.target import available, load_target

    printer = Printer(quiet=quiet, as_json=as_json)
    targets = [load_target(name) for name in available()]
    printer.result([asdict(t) for t in targets], "\n".join(t.name for t in targets))
    printer.table(
        ["target", "instruction set", "block", "align", "matmul", "compiler and flags"],
        [
            (
                t.name,
                t.instruction_set,
                f"{t.matmul.rows} x {t.matmul.columns}",
                str(t.alignment),
                t.matmul.kernel,
                " ".join([t.toolchain.compiler, *t.toolchain.flags]) if t.toolchain else "any",
            )
            for t in targets
        ],
    )
