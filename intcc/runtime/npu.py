"""Run the C around an NPU's parts on this machine, something else in the NPU's place.

The hand-over is a function in C. Here it is one in Python, which runs each part by the TOSA
reference model, or by anything that maps arrays to arrays.
"""

from __future__ import annotations

import ctypes
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import ArtifactError, DataError
from intcc.runtime.c_model import find_header
from intcc.runtime.native import NativeModel
from intcc.runtime.tosa import TosaModel
from intcc.specs import TensorSpec

__all__ = ["NpuModel", "NpuPart", "on_reference_model", "read_parts"]

Array = npt.NDArray[Any]
#: Computes one part: its results by name from its operands by name.
Simulate = Callable[[int, Mapping[str, Array]], Mapping[str, Array]]

_BRIDGE = """\
#include <stdint.h>

static __thread int (*invoke)(uint32_t part, const void *const *in, void *const *out);

void {name}_npu_bridge(int (*function)(uint32_t part, const void *const *in, void *const *out))
{{
    invoke = function;
}}

int {name}_npu_invoke(uint32_t part, const void *const *in, void *const *out)
{{
    return invoke(part, in, out);
}}
"""
_HOOK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_void_p),
)


class NpuPart:
    """One part as npu.json lists it.

    Attributes:
        tosa: its TOSA file.
        inputs: arrays in the order of the hand-over.
        outputs: likewise.
    """

    def __init__(self, folder: Path, entry: Mapping[str, Any]) -> None:
        """Read an entry of the list."""
        self.tosa = folder / entry["tosa"]
        self.inputs = tuple(_spec(x) for x in entry["inputs"])
        self.outputs = tuple(_spec(x) for x in entry["outputs"])


def _spec(entry: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(str(entry["name"]), str(entry["dtype"]), tuple(entry["shape"]))


def read_parts(folder: Path) -> tuple[NpuPart, ...]:
    """Return the parts of an artifact's folder `npu`.

    Raises:
        ArtifactError: it holds no list of parts.
    """
    path = folder / "npu.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["parts"]
        return tuple(NpuPart(folder, entry) for entry in listed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"List of parts '{path.name}'", "is not there or damaged", "Compile with --emit vela"
        ) from error


def on_reference_model(parts: Sequence[NpuPart]) -> Simulate:
    """Return a function that computes parts on the TOSA reference model.

    Raises:
        MissingToolError: the reference model is not installed.
    """
    models = [TosaModel(part.tosa.read_bytes(), part.inputs, part.outputs) for part in parts]
    return lambda index, feeds: models[index].run(feeds)


class NpuModel(NativeModel):
    """The C of an artifact's folder `npu`, with a simulated NPU."""

    def __init__(
        self,
        folder: Path,
        manifest: Mapping[str, Any],
        *,
        simulate: Simulate | None = None,
        **options: Any,
    ) -> None:
        """Build and load the library.

        Args:
            folder: the artifact's folder `npu`.
            manifest: the artifact's manifest.
            simulate: computes one part; the TOSA reference model by default.
            options: of `NativeModel`.

        Raises:
            ArtifactError: the folder holds no parts, or no C of this manifest.
            MissingToolError: the reference model is not installed.
            ToolError: no compiler, or it fails.
        """
        self.parts = read_parts(folder)
        self._simulate = simulate or on_reference_model(self.parts)
        self._error: BaseException | None = None
        name = find_header(folder / "c").stem
        with tempfile.TemporaryDirectory() as scratch:
            bridge = Path(scratch) / f"{name}_npu_bridge.c"
            bridge.write_text(_BRIDGE.format(name=name), encoding="utf-8")
            super().__init__(folder / "c", manifest, beside=[bridge], **options)
        self._hook = _HOOK(self._invoke)
        self._bridge = self._library[f"{name}_npu_bridge"]

    def _invoke(self, part: int, given: Any, made: Any) -> int:
        """Compute one part; an exception must not pass through C."""
        try:
            known = self.parts[part]
            feeds = {s.name: _array(given[i], s).copy() for i, s in enumerate(known.inputs)}
            results = self._simulate(part, feeds)
            for i, spec in enumerate(known.outputs):
                _array(made[i], spec)[...] = results[spec.name]
        except BaseException as error:  # raised again behind the C
            self._error = error
            return 1
        return 0

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name.

        Raises:
            DataError: the C refuses the inputs.
        """
        # Models of one artifact share a library, and with it the thread's pointer.
        self._bridge(self._hook)
        try:
            return super().run(feeds)
        except DataError:
            error, self._error = self._error, None
            if error is not None:
                raise error from None
            raise


def _array(address: int, spec: TensorSpec) -> Array:
    """Return memory of C as an array that writes through."""
    extents = tuple(int(d) for d in spec.shape)
    dtype = np.dtype(spec.dtype)
    count = int(np.prod(extents, dtype=np.int64)) * dtype.itemsize
    memory = (ctypes.c_uint8 * count).from_address(address)
    array: Array = np.ctypeslib.as_array(memory).view(dtype).reshape(extents)
    return array
