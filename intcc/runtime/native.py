"""Run an artifact's C on this machine: built with the system compiler, called through ctypes.

ctypes releases the interpreter lock during a call, and calls share nothing, so threads may run at
once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from intcc.runtime.c_model import CModel, aligned, find_header, number
from intcc.runtime.compiler import DEFAULT_FLAGS, find_compiler, shared_library

__all__ = ["NativeModel", "find_compiler"]

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
        beside: Sequence[Path] = (),
    ) -> None:
        """Build and load the library.

        Args:
            folder: the artifact's folder of C.
            manifest: the artifact's manifest.
            compiler: name or path; the system's by default.
            flags: compiler flags beside the strict warnings.
            beside: further files to build in; headers are included before everything else.

        Raises:
            ToolError: no compiler, or it fails.
            ArtifactError: the folder holds no C of this manifest.
        """
        super().__init__(folder, manifest)
        name = self.name
        sources = [folder / f"{name}.c", folder / f"{name}_weights.c"]
        selftest = folder / f"{name}_selftest.c"
        sources += [selftest] if selftest.exists() else []
        hooks = [p for p in beside if p.suffix == ".h"]
        self._library = shared_library(
            [*sources, *(p for p in beside if p.suffix == ".c")],
            [*sorted(folder.glob("*.h")), *hooks],
            find_compiler(compiler),
            (*flags, *(f"-include{p.name}" for p in hooks)),
            places=[f"-I{p.parent}" for p in hooks],
        )
        self._run = self._library[f"{name}_run"]
        self._run.restype = ctypes.c_int
        self._selftest = self._library[f"{name}_selftest"] if selftest.exists() else None
        text = find_header(folder).read_text(encoding="utf-8")
        self._selftest_bytes = (
            number(text, f"{name.upper()}_SELFTEST_BYTES") if self._selftest else 0
        )

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
        memory = [aligned(self.arena_bytes), *([state] if self.stateful else [])]
        arguments: list[Any] = [x.ctypes.data_as(ctypes.c_void_p) for x in (*memory, *held)]
        if self.counts_tokens:
            arguments.append(ctypes.c_size_t(tokens))
        if self.stateful:
            arguments.append(ctypes.c_size_t(position))
        arguments += [x.ctypes.data_as(ctypes.c_void_p) for x in made]
        return int(self._run(*arguments))
