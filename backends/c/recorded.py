"""The self-test's input: deterministic, short, and spread over the legal range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.builder import storage_dtype
from intcc.backends.c.program import Program
from intcc.backends.c.shapes import dimensions
from intcc.backends.c.state import is_cache

__all__ = ["recorded_feeds", "recorded_tokens"]

Array = npt.NDArray[Any]

#: Tokens of the recorded input: odd, so that register blocks are cut.
_TOKENS = 7
#: A prime step visits the range without a visible pattern.
_STEP = 7919


def recorded_tokens(program: Program) -> int:
    """Return the token count of the recorded input."""
    return max(1, min(program.max_tokens, _TOKENS))


def recorded_feeds(program: Program, graph: ir.Graph) -> dict[str, Array]:
    """Return an input of batch one for every input of the graph.

    Masks are all ones, caches are empty.
    """
    tokens = recorded_tokens(program)
    limits = {p.source: p.limit for p in program.inputs}
    feeds = {}
    for value in graph.inputs:
        name = str(value.name)
        assert value.dtype is not None and value.shape is not None
        dtype = value.dtype.numpy()
        if is_cache(value):
            empty = [d if isinstance(d, int) else int(str(d.value) == "batch") for d in value.shape]
            feeds[name] = np.zeros(empty, dtype)
            continue
        shape = tuple(extent.at(tokens) for extent in dimensions(value))
        if name not in limits:
            feeds[name] = np.ones(shape, dtype)
            continue
        lo, hi = _range(value, limits[name])
        count = int(np.prod(shape))
        numbers = (np.arange(count, dtype=np.int64) * _STEP + 101) % (hi - lo + 1) + lo
        feeds[name] = numbers.reshape(shape).astype(dtype)
    return feeds


def _range(value: ir.Value, limit: int | None) -> tuple[int, int]:
    declared = value.metadata_props.get("intcc.range")
    if declared:
        lo, hi = (int(word) for word in declared.split())
    else:
        info = np.iinfo(storage_dtype(value))
        lo, hi = int(info.min), int(info.max)
    return (max(lo, 0), min(hi, limit - 1)) if limit is not None else (lo, hi)
