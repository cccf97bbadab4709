"""Checks of npu/model.tosa: no float type, and the bits of the reference on Arm's model of TOSA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.tosa.extents import fixed_extents
from intcc.backends.tosa.serialize import element_types
from intcc.runtime.artifact import Artifact
from intcc.runtime.reference import evaluate, load_graph
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


def equal_values(artifact: Artifact, count: int) -> str:
    """Compare the reference model of TOSA with the reference on recorded and random inputs.

    Args:
        artifact: the compiled model.
        count: most inputs; both references are slow.

    Raises:
        FailedError: a value differs.
        MissingToolError: the reference model is not installed.
    """
    model = load_graph(artifact.integer_onnx)
    extents = fixed_extents(model)
    runtime = TosaModel(artifact.model_tosa.read_bytes(), artifact.inputs, artifact.outputs)
    values = differing = 0
    every = _inputs(artifact, extents)
    chosen = every[:: -(-len(every) // count)]
    for feeds in chosen:
        with np.errstate(over="ignore"):  # wrap-around in uint32 is part of some semantics
            expected = evaluate(model, feeds)
        got = runtime.run(feeds)
        for name, array in expected.items():
            values += array.size
            differing += int((array != got[name]).sum())
    text = f"{differing} of {values:,} values differ on {len(chosen)} inputs"
    if differing:
        raise FailedError(text)
    return text


def _inputs(artifact: Artifact, extents: Mapping[str, int]) -> list[dict[str, Array]]:
    """Return inputs of the graph's extents: random ones, and recorded ones, padded."""
    random = np.random.default_rng(SEED)
    shapes = {s.name: _shape(s, extents) for s in artifact.inputs}
    made = [
        {s.name: _random(s, shapes[s.name], random) for s in artifact.inputs}
        for _ in range(_RANDOM)
    ]
    recorded = [] if artifact.decodes else artifact.recorded()
    made += [{name: _fitted(sample[name], shapes[name]) for name in shapes} for sample in recorded]
    return made


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
