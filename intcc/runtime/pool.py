"""Threads that share a model's runs: the pool in the generated C, called through ctypes."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any

import numpy.typing as npt

from intcc.errors import ToolError
from intcc.runtime.memory import aligned

__all__ = ["Pool"]

Array = npt.NDArray[Any]


class _Parallel(ctypes.Structure):
    """`struct NAME_parallel` of the generated header."""

    _fields_ = (
        ("run", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("parts", ctypes.c_size_t),
        ("scratch", ctypes.c_void_p),
    )


class Pool:
    """A pool of threads, alive as long as this object.

    Attributes:
        address: of the `struct NAME_parallel`, for the run function.
        lock: to be held during a call, as a pool shares one run at a time.
    """

    def __init__(self, library: ctypes.CDLL, name: str, threads: int, part_bytes: int) -> None:
        """Start the threads.

        Args:
            library: the model's C.
            name: prefix of its public names.
            threads: number of threads, the caller's included.
            part_bytes: scratch of every part but the first.

        Raises:
            ToolError: they are more than a pool takes, or than the system starts.
        """
        size_of = library[f"{name}_threads_bytes"]
        size_of.restype = ctypes.c_size_t
        self._memory = aligned(int(size_of()))
        self._scratch = aligned((threads - 1) * part_bytes)
        pool = ctypes.c_void_p(self._memory.ctypes.data)
        error = int(library[f"{name}_threads_start"](pool, ctypes.c_size_t(threads)))
        if error:
            reason = os.strerror(error)
            raise ToolError(f"{threads} threads", f"cannot be started ({reason})", "Ask for fewer")
        run = ctypes.cast(library[f"{name}_threads_run"], ctypes.c_void_p)
        self._parallel = _Parallel(run, pool, threads, self._scratch.ctypes.data)
        self.address = ctypes.addressof(self._parallel)
        self.lock = threading.Lock()
        # The memory is an argument, so that it outlives the threads.
        weakref.finalize(self, _stop, library[f"{name}_threads_stop"], self._memory, os.getpid())


def _stop(stop: Any, memory: Array, process: int) -> None:
    """End the threads; a forked child has none."""
    if os.getpid() == process:
        stop(ctypes.c_void_p(memory.ctypes.data))
