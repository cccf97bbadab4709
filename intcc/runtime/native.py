"""Run an artifact's C on this machine: built with the system compiler, called through ctypes.

ctypes releases the interpreter lock during a call, and calls share nothing, so threads may run at
once. With threads of its own a model runs one call at a time.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from intcc.errors import SettingsError
from intcc.runtime.c_model import CModel, find_header, included, number
from intcc.runtime.compiler import DEFAULT_FLAGS, find_compiler, shared_library
from intcc.runtime.memory import aligned
from intcc.runtime.pages import enlarge
from intcc.runtime.pool import Pool

__all__ = ["NativeModel", "find_compiler", "kernel_sets", "shares_runs"]

Array = npt.NDArray[Any]


class NativeModel(CModel):
    """The C of an artifact in this process."""

    def __init__(
        self,
        folder: Path,
        manifest: Mapping[str, Any],
        *,
        compiler: str | None = None,
        flags: Sequence[str] = DEFAULT_FLAGS,
        threads: int = 1,
        large_pages: bool = True,
        beside: Sequence[Path] = (),
    ) -> None:
        """Build and load the library.

        Args:
            folder: the artifact's folder of C.
            manifest: the artifact's manifest.
            compiler: name or path; the system's by default.
            flags: compiler flags beside the strict warnings.
            threads: threads that share a call.
            large_pages: copy the constant data to large pages, where the system has them; else it
                stays mapped from the library's file, which processes share.
            beside: further files to build in; headers are included before everything else.

        Raises:
            ToolError: no compiler, or it fails; or the system starts no more threads.
            ArtifactError: the folder holds no C of this manifest.
            SettingsError: several threads, and the C was written for one.
        """
        super().__init__(folder, manifest)
        name, header = self.name, find_header(folder)
        parts = (
            "",
            "_weights",
            "_selftest",
            "_threads",
            "_accel",
            "_npu",
            *(f"_{s}" for s in kernel_sets(folder, name)),
        )
        sources = [path for part in parts if (path := folder / f"{name}{part}.c").exists()]
        parallel = shares_runs(folder)
        if threads > 1 and not parallel:
            raise SettingsError(
                f"{threads} threads", "cannot share this model's C", "Compile it with --threads"
            )
        hooks = [p for p in beside if p.suffix == ".h"]
        self._library = shared_library(
            [*sources, *(p for p in beside if p.suffix == ".c")],
            [*included(folder), *hooks],
            find_compiler(compiler),
            (*flags, *(["-pthread"] if parallel else []), *(f"-include{p.name}" for p in hooks)),
            places=[f"-I{folder}", *(f"-I{p.parent}" for p in hooks)],
        )
        if large_pages:
            enlarge(self._library)
        text = header.read_text(encoding="utf-8")
        selftest = folder / f"{name}_selftest.c"
        self._selftest = self._library[f"{name}_selftest"] if selftest.exists() else None
        self._selftest_bytes = (
            number(text, f"{name.upper()}_SELFTEST_BYTES") if self._selftest else 0
        )
        self._pool: Pool | None = None
        if threads > 1:
            part_bytes = number(text, f"{name.upper()}_PART_BYTES")
            self._pool = Pool(self._library, name, threads, part_bytes)
        self._run = self._library[f"{name}_run{'_parallel' if self._pool else ''}"]
        self._run.restype = ctypes.c_int
        self._run.argtypes = self._argument_types()
        #: Arenas that no call uses, with their addresses.
        self._arenas: list[tuple[Array, int]] = []

    def _argument_types(self) -> list[Any]:
        pointer = ctypes.c_void_p
        return [
            *([pointer] if self._pool else []),
            pointer,
            *([pointer] if self.stateful else []),
            *(pointer for _ in self._takes),
            *([ctypes.c_size_t] if self.counts_tokens else []),
            *([ctypes.c_size_t] if self.stateful else []),
            *(pointer for _ in self._gives),
        ]

    def selftest(self) -> int:
        """Run the recorded input: 0 when the recorded output is met."""
        assert self._selftest is not None, "the artifact has no self-test"
        return int(self._selftest(aligned(self._selftest_bytes).ctypes.data_as(ctypes.c_void_p)))

    def call(
        self,
        held: Sequence[Array],
        made: Sequence[Array],
        tokens: int,
        state: Array,
        position: int,
    ) -> int:
        """Call the run function once, with an arena of its own; see the base class."""
        try:
            arena, address = self._arenas.pop()
        except IndexError:
            arena = aligned(self.arena_bytes)
            address = _address(arena)
        arguments = [address]
        if self.stateful:
            arguments.append(_address(state))
        arguments += map(_address, held)
        if self.counts_tokens:
            arguments.append(tokens)
        if self.stateful:
            arguments.append(position)
        arguments += map(_address, made)
        if self._pool is None:
            status = self._run(*arguments)
        else:
            with self._pool.lock:
                status = self._run(self._pool.address, *arguments)
        self._arenas.append((arena, address))
        return int(status)


def shares_runs(folder: Path) -> bool:
    """Tell whether generated C was written for threads."""
    return (folder / f"{find_header(folder).stem}_threads.c").exists()


def kernel_sets(folder: Path, name: str) -> list[str]:
    """Return the names of the sets of kernels that a run chooses from, but for the general one."""
    header = folder / f"{name}_sets.h"
    text = header.read_text(encoding="utf-8") if header.exists() else ""
    return [s for s in re.findall(rf"int {name}_run_(\w+)\(", text) if s != "any"]


def _address(array: Array) -> int:
    """Return where an array begins; `array.ctypes.data` takes three times as long."""
    address: int = array.__array_interface__["data"][0]
    return address
