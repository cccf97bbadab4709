"""Keep foreign libraries from writing to the user's terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["silent_stderr"]

_STDERR = 2


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what this process writes to its standard error, native code included."""
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), _STDERR)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, _STDERR)
        os.close(kept)
