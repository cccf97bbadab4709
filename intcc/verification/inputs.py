"""The inputs that backends are compared on: recorded ones and random ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.runtime.artifact import Artifact
from intcc.specs import TensorSpec
from intcc.verification.texts import random_texts, recorded_texts

__all__ = ["inputs_of", "random_inputs", "valid_positions"]

Array = npt.NDArray[Any]
#: Fixed, so that a failure can be seen again.
SEED = 20260101
#: Batch sizes of random inputs, in turn.
BATCHES = (1, 4)


def inputs_of(artifact: Artifact, count: int) -> list[dict[str, Array]]:
    """Return the recorded inputs and `count` random ones; of a decoder, texts with cuts."""
    if artifact.decodes:
        return [*recorded_texts(artifact, SEED), *random_texts(artifact, count, SEED)]
    return [*artifact.recorded(), *random_inputs(artifact, count)]


def random_inputs(artifact: Artifact, count: int, seed: int = SEED) -> Iterator[dict[str, Array]]:
    """Yield `count` inputs over the whole legal range, lengths from 1 to the maximum.

    Batches of several rows carry padding: each row its own length, the mask a prefix of ones.
    """
    random = np.random.default_rng(seed)
    longest = artifact.max_length or 1
    lengths = np.unique(np.linspace(1, longest, max(count, 2)).round().astype(int))
    for index in range(count):
        batch = BATCHES[index % len(BATCHES)]
        length = int(lengths[index % len(lengths)])
        rows = random.integers(1, length + 1, batch)
        rows[0] = length
        extents = {"batch": batch, "sequence": length}
        yield {s.name: _random(s, extents, rows, random) for s in artifact.inputs}


def _random(
    spec: TensorSpec, extents: dict[str, int], rows: Array, random: np.random.Generator
) -> Array:
    shape = tuple(d if isinstance(d, int) else extents.get(d, 1) for d in spec.shape)
    if spec.name == "attention_mask":
        return (np.arange(shape[1]) < rows[:, None]).astype(spec.dtype)
    lo, hi = spec.limits
    return random.integers(lo, hi, shape, endpoint=True).astype(spec.dtype)


def valid_positions(spec: TensorSpec, output: Array, mask: Array | None) -> Array:
    """Return the elements of an output that mean something: padded positions do not."""
    if mask is None or len(spec.shape) < 2 or spec.shape[1] != "sequence":
        return output
    return np.asarray(output[mask.astype(bool)])
