"""Run an artifact's model.qdq.onnx in onnxruntime on the CPU, with integers outside.

The model itself takes and gives real numbers. Here inputs are the integers that the artifact's
other backends take, and results are rounded to the grids of the artifact's outputs: so all that
reads an artifact can also read this flavour. Its bits are its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.runtime.ort import open_session
from intcc.specs import TensorSpec

__all__ = ["QdqModel"]

Array = npt.NDArray[Any]


class QdqModel:
    """Runs model.qdq.onnx; integers in, integers out."""

    def __init__(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        threads: int = 1,
        level: str = "all",
    ) -> None:
        """Open a session.

        Raises:
            ToolError: onnxruntime is not installed.
            ArtifactError: onnxruntime refuses the model.
        """
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.session = open_session(str(path), threads, level)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name."""
        real = {
            spec.name: feeds[spec.name]
            if spec.scale is None
            else spec.scale.dequantize(feeds[spec.name]).astype(np.float32)
            for spec in self.inputs
        }
        results = self.session.run([spec.name for spec in self.outputs], real)
        return {s.name: _code(s, np.asarray(r)) for s, r in zip(self.outputs, results, strict=True)}


def _code(spec: TensorSpec, real: Array) -> Array:
    """Round a result to the output's grid."""
    if spec.scale is not None:
        real = spec.scale.quantize(real.astype(np.float64), *spec.limits)
    return real.astype(spec.dtype)
