"""Run a TOSA flatbuffer on the reference model of the TOSA specification (`tosa-tools`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import ArtifactError, MissingToolError
from intcc.silence import silent_output
from intcc.specs import TensorSpec

__all__ = ["TosaModel"]

Array = npt.NDArray[Any]


class TosaModel:
    """The reference model with one graph."""

    def __init__(
        self, flatbuffer: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        """Keep the graph.

        Args:
            flatbuffer: the graph.
            inputs: in the order of the graph.
            outputs: in the order of the graph.

        Raises:
            MissingToolError: the reference model is not installed.
        """
        try:
            import tosa_reference_model
        except ImportError as error:
            raise MissingToolError(
                "The TOSA reference model",
                "is not installed",
                "Install it: pip install 'intcc[npu]'",
            ) from error
        self._model: Any = tosa_reference_model
        self.flatbuffer = flatbuffer
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name, in the types of the integer graph.

        Raises:
            ArtifactError: the graph is not valid TOSA, or leaves what TOSA defines.
        """
        operands = [_as_tosa(feeds[spec.name]) for spec in self.inputs]
        try:
            with silent_output():
                results, status = self._model.run(self.flatbuffer, operands)
        except ValueError as error:
            raise ArtifactError(
                "TOSA graph", f"is refused by the reference model: {error}", "Report it to us"
            ) from error
        if status != self._model.GraphStatus.TOSA_VALID:
            raise ArtifactError(
                "TOSA graph", f"is {status.name} to the reference model", "Report it to us"
            )
        pairs = zip(self.outputs, results, strict=True)
        return {spec.name: _from_tosa(np.asarray(array), spec) for spec, array in pairs}


def _as_tosa(array: Array) -> Array:
    """Return unsigned bytes as the signed ones of the same bits, indices in 32 bits."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array).view(np.int8)
    kept = array.astype(np.int32) if array.dtype == np.int64 else array
    return np.ascontiguousarray(kept)


def _from_tosa(array: Array, spec: TensorSpec) -> Array:
    """Return a result in its type; the reference model gives one number the extent 1."""
    wanted = np.dtype(spec.dtype)
    if not spec.shape:
        array = array.reshape(())
    return array.view(np.uint8) if wanted == np.uint8 else array.astype(wanted)
