"""The command line: `intcc COMMAND …`. Errors are one message on stderr, never a traceback.

Exit status: 0 success, 1 an error or a failed check, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from intcc._version import __version__
from intcc.commands import (
    bench,
    compile,
    evaluate,
    generate,
    inspect,
    ops,
    run,
    targets,
    verify,
)
from intcc.errors import IntccError, SettingsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="intcc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, module in (
    ("compile", compile),
    ("verify", verify),
    ("run", run),
    ("generate", generate),
    ("eval", evaluate),
    ("bench", bench),
    ("inspect", inspect),
    ("ops", ops),
    ("targets", targets),
):
    app.command(name, epilog=module.EXAMPLE)(module.command)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"intcc {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile Hugging Face models to integer-only ONNX and C."""


def _terminated(signum: int, frame: object) -> None:
    # SystemExit unwinds the stack, so that half-written folders are removed.
    raise SystemExit(128 + signum)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None: sys.argv.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        app(given, prog_name="intcc")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except IntccError as error:
        _report(error, as_json="--json" in given)
        return 2 if isinstance(error, SettingsError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def _report(error: IntccError, *, as_json: bool) -> None:
    """Write one message to stderr."""
    if as_json:
        data = {
            "kind": type(error).__name__,
            "subject": error.subject,
            "fact": error.fact,
            "remedy": error.remedy,
            "message": str(error),
        }
        sys.stderr.write(json.dumps({"error": data}) + "\n")
    else:
        sys.stderr.write(f"error: {error}\n")


def entry() -> None:
    """Run as a program."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
