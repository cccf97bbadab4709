"""Ours: an artifact's ONNX in onnxruntime, or its C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines import timing
from intcc.generation import LOGITS, StateSession
from intcc.model import open_runtime
from intcc.runtime.artifact import Artifact
from intcc.runtime.native import NativeModel


def opened(
    artifact: Artifact,
    folder: str | None,
    flags: Sequence[str],
    threads: int,
    backend: str = "onnx",
) -> Any:
    """Open one of the ONNX models, or the C of a folder."""
    if folder is None:
        return open_runtime(artifact, backend, threads=threads)
    return NativeModel(Path(folder), artifact.manifest, flags=flags, threads=threads)


class Encoder(timing.Encoder):
    """A sentence encoder."""

    def __init__(
        self, artifact: str, folder: str | None = None, flags: Sequence[str] = (), threads: int = 1,
        backend: str = "onnx",
    ) -> None:  # fmt: skip
        """Open it."""
        self._artifact = Artifact.open(artifact)
        self._runtime = opened(self._artifact, folder, flags, threads, backend)
        self._output = self._artifact.outputs[0]

    def run(self, ids: timing.Array, mask: timing.Array) -> timing.Array:
        """Return the embedding in integers."""
        feeds = {"input_ids": ids, "attention_mask": mask}
        return np.asarray(self._runtime.run(feeds)[self._output.name])

    def real(self, made: timing.Array) -> timing.Array:
        """Return real numbers."""
        return self._output.scale.dequantize(made)


class Decoder(timing.Decoder):
    """A language model."""

    def __init__(
        self, artifact: str, folder: str, flags: Sequence[str] = (), threads: int = 1
    ) -> None:
        """Open its C."""
        made = Artifact.open(artifact)
        self._runtime = opened(made, folder, flags, threads)
        self._scale = next(s.scale for s in made.outputs if s.name == LOGITS)

    def begin(self) -> None:
        """Begin a text."""
        self._session = StateSession(self._runtime)

    def feed(self, ids: Sequence[int]) -> None:
        """Take in tokens."""
        self._logits = self._session.feed(ids)

    def last(self) -> timing.Array:
        """Return real numbers."""
        return np.asarray(self._scale.dequantize(self._logits))
