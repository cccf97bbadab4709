"""Figures that compare integers with floats: plain numpy, defined here, so they never drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["average_ranks", "cosine", "spearman", "sqnr_db"]

Array = npt.NDArray[Any]


def sqnr_db(exact: Array, approximate: Array) -> float:
    """Return 10 log10(sum exact^2 / sum (exact - approximate)^2); infinite where they agree."""
    signal = float(np.sum(np.square(exact, dtype=np.float64)))
    noise = float(np.sum(np.square(np.subtract(exact, approximate, dtype=np.float64))))
    if noise == 0.0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def cosine(a: Array, b: Array) -> Array:
    """Return the cosine of the rows of two matrices; 0 where a row is all zeros."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    products = np.sum(x * y, axis=-1)
    return np.asarray(np.divide(products, norms, out=np.zeros_like(products), where=norms > 0))


def average_ranks(x: Array) -> Array:
    """Return ranks from 1; equal values share the mean of their ranks.

    >>> average_ranks(np.array([10, 20, 10, 30])).tolist()
    [1.5, 3.0, 1.5, 4.0]
    """
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = ((last - counts + 1 + last) / 2)[inverse]
    return ranks


def spearman(x: Array, y: Array) -> float:
    """Return Spearman's rank correlation: Pearson's correlation of the average ranks.

    NaN where one side is constant, as there is no order to compare.
    """
    a, b = average_ranks(np.asarray(x)), average_ranks(np.asarray(y))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b) / norm) if norm else float("nan")
