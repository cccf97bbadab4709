"""What a command prints, and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from intcc.progress import Progress

__all__ = ["JsonFlag", "Printer", "QuietFlag", "ThreadsOption"]

QuietFlag = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the bare result.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", help="Threads that share a run, of onnx and c.", min=1)
]

#: Width of tables that go to a file or a pipe, where no terminal says.
PLAIN_WIDTH = 140


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


class Printer:
    """Prints for people, or as JSON, or not at all. NO_COLOR is honoured by rich."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        """Remember the flags."""
        self.quiet, self.as_json = quiet, as_json

    @property
    def silent(self) -> bool:
        """Whether text for people is unwanted."""
        return self.quiet or self.as_json

    def say(self, *lines: str) -> None:
        """Print plain lines."""
        if not self.silent:
            for line in lines:
                _console().print(Text(line))

    def result(self, data: Any, bare: str | None = None) -> None:
        """Print the result as JSON, or with --quiet in its barest form, if it has one."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=1, default=_plain) + "\n")
        elif self.quiet and bare:
            sys.stdout.write(bare + "\n")

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = ()
    ) -> None:
        """Print a table; `right` lists the columns of numbers."""
        if self.silent:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, name in enumerate(columns):
            table.add_column(name, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(c if isinstance(c, Text) else Text(str(c)) for c in row))
        _console().print(table)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Yield something that draws a bar on a terminal and plain lines elsewhere."""
        if self.silent:
            yield Progress()
        elif sys.stderr.isatty():
            with _Bar(_console(stderr=True)) as bar:
                yield bar
        else:
            yield _Lines()


def _plain(value: Any) -> Any:
    """Turn numpy values into JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Lines(Progress):
    """Plain progress: one line a stage."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Print the stage's name."""
        sys.stderr.write(f"{name} ({total})\n" if total else f"{name}\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """Print the note."""
        sys.stderr.write(f"note: {text}\n")
        sys.stderr.flush()


class _Bar(Progress):
    """A live bar for the current stage; finished stages stay as lines."""

    def __init__(self, console: Console) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), console=console, transient=True,
        )  # fmt: skip
        self._task: Any = None

    def __enter__(self) -> _Bar:
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def stage(self, name: str, total: int | None = None) -> None:
        """Replace the bar."""
        if self._task is not None:
            self._rich.remove_task(self._task)
        self._task = self._rich.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._rich.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._rich.console.print(Text(f"note: {text}"))
