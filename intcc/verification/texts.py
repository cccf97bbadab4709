"""Decoders as functions of whole texts, so that all ways of feeding them can be compared.

    run({"input_ids": [B, n], "cuts": [c1 < c2 < ... < ck = n]}) -> logits [B, k, V] after tokens
                                                                    c1, c2, ..., ck

and the caches at the end, where the backend shows them. `whole` takes a text in with one call,
`pieces` with one call per cut: how a text is cut must change no bit. Rows of a batch are texts of
their own; a backend whose caches are a state takes them one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.generation import StateRuntime, StateSession
from intcc.model import Runtime
from intcc.runtime.artifact import Artifact
from intcc.specs import LOGITS, PAST

__all__ = ["CUTS", "TextRuntime", "random_texts", "recorded_texts", "with_cuts"]

Array = npt.NDArray[Any]
CUTS = "cuts"
#: Most pieces before the last tokens, which come one by one.
PIECES = 6
#: Tokens at the end that come one by one.
SINGLE = 3
#: Batch sizes of random texts, in turn.
BATCHES = (1, 3)
#: Most logits of one call: a vocabulary can have 200,000 tokens.
LIMIT = 2**25


class TextRuntime:
    """A runtime of a decoder, called with whole texts."""

    def __init__(self, artifact: Artifact, runtime: Runtime, *, whole: bool = False) -> None:
        """Wrap a runtime.

        Args:
            artifact: whose inputs tell the caches.
            runtime: runs one call.
            whole: take a text in with one call, where the runtime can.
        """
        self._caches = [spec for spec in artifact.inputs if spec.cached]
        self._runtime, self._whole = runtime, whole

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the logits after each cut, and the caches."""
        ids, cuts = feeds["input_ids"], feeds[CUTS].tolist()
        if isinstance(self._runtime, StateRuntime):
            return {LOGITS: np.stack([self._row(self._runtime, row, cuts) for row in ids])}
        if self._whole:
            results = self._runtime.run({"input_ids": ids, **self._empty(len(ids))})
            return {**results, LOGITS: results[LOGITS][:, [cut - 1 for cut in cuts]]}
        rows, caches = [], self._empty(len(ids))
        for start, end in zip([0, *cuts], cuts, strict=False):
            results = self._runtime.run({"input_ids": ids[:, start:end], **caches})
            caches = {name: results[_present(name)] for name in caches}
            rows.append(results[LOGITS][:, -1])
        return {**{_present(name): cache for name, cache in caches.items()},
                LOGITS: np.stack(rows, axis=1)}  # fmt: skip

    def _empty(self, batch: int) -> dict[str, Array]:
        return {spec.name: spec.empty_cache(batch) for spec in self._caches}

    def _row(self, runtime: StateRuntime, ids: Array, cuts: list[int]) -> Array:
        """One text through a state; its runtime splits what is too long for one call."""
        session = StateSession(runtime)
        pieces = zip([0, *cuts], cuts, strict=False)
        return np.stack([session.feed(ids[start:end].tolist()) for start, end in pieces])


def _present(past: str) -> str:
    """Name of a cache after a call, from its name before it."""
    return past.replace(PAST, "present", 1)


def with_cuts(ids: Array, random: np.random.Generator) -> dict[str, Array]:
    """Return a text cut at random: a few pieces, then single tokens."""
    length = ids.shape[1]
    body = max(length - SINGLE, 1)
    chosen = random.integers(1, body + 1, int(random.integers(0, PIECES)))
    cuts = np.unique([*chosen, *range(body, length), length])
    return {"input_ids": ids, CUTS: cuts.astype(np.int64)}


def random_texts(artifact: Artifact, count: int, seed: int) -> Iterator[dict[str, Array]]:
    """Yield `count` texts of random tokens, of lengths from 1 to the context."""
    random = np.random.default_rng(seed)
    context = artifact.max_length or 1
    lengths = np.unique(np.linspace(1, context, max(count, 2)).round().astype(int))
    spec = next(s for s in artifact.inputs if s.name == "input_ids")
    lo, hi = spec.limits
    for index in range(count):
        length = min(int(lengths[index % len(lengths)]), max(LIMIT // (hi + 1), 1))
        batch = min(BATCHES[index % len(BATCHES)], max(LIMIT // (hi + 1) // length, 1))
        ids = random.integers(lo, hi, (batch, length), endpoint=True).astype(spec.dtype)
        yield with_cuts(ids, random)


def recorded_texts(artifact: Artifact, seed: int) -> Iterator[dict[str, Array]]:
    """Yield the recorded texts, cut at random."""
    random = np.random.default_rng(seed)
    for feeds in artifact.recorded():
        yield with_cuts(feeds["input_ids"], random)
