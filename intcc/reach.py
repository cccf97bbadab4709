"""Reach: how far the real values of a float model go on the samples of a calibration.

The samples are unpadded, as in calibration. Sums over tokens grow with their number, so one text
as long as the model allows is run too, made of the samples' tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.float_session import run_in_pieces

__all__ = ["reach_of"]

Array = npt.NDArray[Any]


def reach_of(
    model: ir.Model, samples: Sequence[Mapping[str, Array]], positions: int
) -> dict[str, float]:
    """Return the largest magnitude of every real value by name, inputs included.

    Args:
        model: with the types of its values.
        samples: feeds, one of each model's inputs, unpadded.
        positions: most tokens of a text.
    """
    feeds = [*samples, *_longest(model, samples, positions)]
    found = {
        str(v.name): max(_largest(feed[str(v.name)]) for feed in feeds)
        for v in model.graph.inputs
        if v.dtype == ir.DataType.FLOAT
    }
    names = [str(v.name) for n in model.graph for v in n.outputs if v.dtype == ir.DataType.FLOAT]
    for _, name, array in run_in_pieces(model, names, feeds):
        found[name] = max(found.get(name, 0.0), _largest(array))
    return found


def _largest(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _longest(
    model: ir.Model, samples: Sequence[Mapping[str, Array]], positions: int
) -> list[dict[str, Array]]:
    """Return one text of most tokens; none where the extents of all inputs are fixed."""
    shapes = {str(v.name): v.shape for v in model.graph.inputs}
    if not any(
        s is not None and len(s) == 2 and not isinstance(s[1], int) for s in shapes.values()
    ):
        return []
    joined = {name: np.concatenate([s[name] for s in samples], axis=1) for name in shapes}
    return [{name: np.resize(array, (1, positions)) for name, array in joined.items()}]
