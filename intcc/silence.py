"""Keep foreign libraries from writing to the user's terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["silent_output"]

_STREAMS = (1, 2)


@contextlib.contextmanager
def silent_output() -> Iterator[None]:
    """Discard what this process writes to its standard streams, native code included."""
    _flush()
    kept = [os.dup(number) for number in _STREAMS]
    try:
        with open(os.devnull, "wb") as nothing:
            for number in _STREAMS:
                os.dup2(nothing.fileno(), number)
        yield
    finally:
        _flush()
        for number, copy in zip(_STREAMS, kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
