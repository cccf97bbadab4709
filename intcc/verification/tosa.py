"""Checks of npu/model.tosa: no float type, and the bits of the reference on Arm's model of TOSA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.tosa.extents import fixed_extents
from intcc.backends.tosa.serialize import element_types
from intcc.runtime.artifact import Artifact
from intcc.runtime.reference import evaluate
from intcc.runtime.tosa import TosaModel
from intcc.specs import TensorSpec
from intcc.verification.inputs import SEED
from intcc.verification.report import FailedError

__all__ = ["equal_values", "float_types"]

Array = npt.NDArray[Any]
#: Element types that may occur: integers and extents.
_INTEGERS = frozenset({"INT8", "INT16", "INT32", "SHAPE"})
#: Random inputs beside the recorded ones.
_RANDOM = 3


def float_types(artifact: Artifact) -> str:
    """Check that every tensor of the flatbuffer is of integers.

    Raises:
        FailedError: some are not.
        MissingToolError: the serializer is not installed.
    """
    types = element_types(artifact.model_tosa)
    other = {name: kind for name, kind in types.items() if kind not in _INTEGERS}
    if other:
        first = next(iter(other))
        raise FailedError(f"{len(other)} tensors of other types, first: {first} {other[first]}")
    return f"0 float of {len(types):,} tensors"


def equal_values(artifact: Artifact) -> str:
    """Compare the reference model of TOSA with the reference on recorded and random inputs.

    Raises:
        FailedError: a value differs.
        MissingToolError: the reference model is not installed.
    """
    model = ir.load(artifact.integer_onnx)
    extents = fixed_extents(model)
    runtime = TosaModel(artifact.model_tosa.read_bytes(), artifact.inputs, artifact.outputs)
    values = differing = count = 0
    for feeds in _inputs(artifact, extents):
        with np.errstate(over="ignore"):  # wrap-around in uint32 is part of some semantics
            expected = evaluate(model, feeds)
        got = runtime.run(feeds)
        count += 1
        for name, array in expected.items():
            values += array.size
            differing += int((array != got[name]).sum())
    text = f"{differing} of {values:,} values differ on {count} inputs"
    if differing:
        raise FailedError(text)
    return text


def _inputs(artifact: Artifact, extents: Mapping[str, int]) -> Iterator[dict[str, Array]]:
    """Yield inputs of the graph's extents: recorded ones, padded, and random ones."""
    if not artifact.decodes:
        for sample in artifact.recorded():
            yield {s.name: _fitted(sample[s.name], _shape(s, extents)) for s in artifact.inputs}
    random = np.random.default_rng(SEED)
    for _ in range(_RANDOM):
        yield {s.name: _random(s, _shape(s, extents), random) for s in artifact.inputs}


def _shape(spec: TensorSpec, extents: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) else extents[d] for d in spec.shape)


def _fitted(array: Array, shape: tuple[int, ...]) -> Array:
    """Return an array cut, or padded with zeros, to a shape: zero is padding to a mask."""
    made = np.zeros(shape, array.dtype)
    part = tuple(slice(0, min(n, m)) for n, m in zip(shape, array.shape, strict=True))
    made[part] = array[part]
    return made


def _random(spec: TensorSpec, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    lo, hi = spec.limits
    return random.integers(lo, hi, shape, endpoint=True).astype(spec.dtype)
