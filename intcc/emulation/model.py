"""The C of an artifact on an emulated machine, as a callable."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.c.literals import c_type
from intcc.emulation.counter import Counts
from intcc.emulation.machine import execute, machine
from intcc.emulation.program import build_program
from intcc.runtime.c_model import Argument, CModel, included

__all__ = ["Call", "EmulatedModel"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Call:
    """What one call took.

    Attributes:
        tokens: its token count.
        position: number of tokens before it.
        stack_bytes: most stack, with the frame of the program around it; 0 where it is not
            measured.
        counts: its instructions.
    """

    tokens: int
    position: int
    stack_bytes: int
    counts: Counts


class EmulatedModel(CModel):
    """The C of an artifact on a machine in QEMU; each call of the run function is a new start.

    Attributes:
        target: the machine.
        calls: what each call so far took.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], *, on: str) -> None:
        """Build the program.

        Args:
            folder: the artifact's folder of C.
            manifest: the artifact's manifest.
            on: the machine, for instance qemu:cortex-m4.

        Raises:
            SettingsError: no such machine, or one that is too small.
            ToolError: a tool is missing, or the compiler rejects the code.
            ArtifactError: the folder holds no C of this manifest.
        """
        super().__init__(folder, manifest)
        self.target = machine(on)
        self.calls: list[Call] = []
        context = {
            "name": self.name,
            "upper": self.name.upper(),
            "takes": [self._port(a) for a in self._takes],
            "gives": [self._port(a) for a in self._gives],
            "tokens": self.counts_tokens,
            "position": self.stateful,
            "most": self.max_tokens,
        }
        self.program = build_program(
            self.target,
            ("program", context),
            [folder / f"{self.name}.c", folder / f"{self.name}_weights.c"],
            included(folder),
            [f"{self.name.upper()}_LAYER=MARK"],
        )

    def _port(self, argument: Argument) -> dict[str, Any]:
        return {
            "name": argument.name,
            "macro": f"{self.name}_{argument.name}".upper(),
            "c_type": c_type(argument.dtype),
            "sized": argument.sized,
        }

    def call(
        self,
        held: Sequence[Array],
        made: Sequence[Array],
        tokens: int,
        state: Array,
        position: int,
    ) -> int:
        """Start the machine for one call; see the base class.

        Raises:
            ToolError: the emulator is missing, or the program ends otherwise than by returning.
        """
        head = struct.pack("<2I", tokens, position)
        cache = state.tobytes() if self.stateful else b""
        outcome = execute(
            self.target, self.program, head + cache + b"".join(a.tobytes() for a in held)
        )
        status, stack = struct.unpack_from("<2I", outcome.made)
        if status != 0:
            return int(status)
        at = 8
        for array in (*([state] if self.stateful else []), *made):
            new = np.frombuffer(outcome.made, array.dtype, array.size, at)
            array[...] = new.reshape(array.shape)
            at += array.nbytes
        self.calls.append(Call(tokens, position, int(stack), outcome.counts))
        return 0
