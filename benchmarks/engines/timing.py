"""Shared by the engines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def seconds(run: Callable[[], object], runs: int) -> list[float]:
    """Return the times of some runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def tokens(length: int, vocabulary: int, seed: int = 0) -> list[int]:
    """Return random ids, the same for every engine."""
    return [int(t) for t in np.random.default_rng(seed).integers(0, vocabulary, length)]


class Encoder:
    """An encoder of token ids; `run` is what an engine adds."""

    #: Of all-MiniLM-L6-v2.
    vocabulary = 30522

    def run(self, ids: Array, mask: Array) -> Array:
        """Return the sentence embedding of one row, [1, columns]."""
        raise NotImplementedError

    def real(self, made: Array) -> Array:
        """Turn what `run` returns into real numbers, outside of what is timed."""
        return made

    def time(self, length: int, runs: int) -> list[float]:
        """Time rows without padding."""
        ids = np.array([tokens(length, self.vocabulary)], np.int64)
        mask = np.ones_like(ids)
        return seconds(lambda: self.run(ids, mask), runs)

    def embed(self, source: str, output: str) -> None:
        """Embed token ids, a row at its own length, into a .npy file."""
        rows = json.loads(Path(source).read_text(encoding="utf-8"))
        made = []
        for row in rows:
            ids = np.array([row], np.int64)
            made.append(np.array(self.real(self.run(ids, np.ones_like(ids))))[0])
        np.save(output, np.stack(made))


class Decoder:
    """A decoder; `begin`, `feed` and `last` are what an engine adds."""

    vocabulary = 32000

    def begin(self) -> None:
        """Begin a text."""
        raise NotImplementedError

    def feed(self, ids: Sequence[int]) -> None:
        """Take in tokens and compute the logits after the last one."""
        raise NotImplementedError

    def last(self) -> Array:
        """Return these logits, as real numbers."""
        raise NotImplementedError

    def time(self, length: int, steps: int, prompts: int) -> list[float]:
        """Return the seconds of a prompt, the median of some, and of a token after the last."""
        ids = tokens(length + steps, self.vocabulary)
        times = []
        for _ in range(prompts):
            self.begin()
            times += seconds(lambda: self.feed(ids[:length]), 1)
        start = time.perf_counter()
        for token in ids[length:]:
            self.feed([token])
        return [float(np.median(times)), (time.perf_counter() - start) / steps]

    def logits(self, length: int) -> list[float]:
        """Return the logits after a prompt."""
        self.begin()
        self.feed(tokens(length, self.vocabulary, seed=1))
        return [float(x) for x in self.last()]
