"""Moment: the second moment of the rows of a value, added up while they stream by.

    second = sum of x^T x over rows x [K]

Symmetric: only the upper triangle is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Moment"]

Float = npt.NDArray[np.float64]
#: Rows that wait for each other: one large product takes less time than many small ones.
PENDING_ROWS = 1024


@dataclass
class Moment:
    """Sum of the outer products of rows of one width.

    Attributes:
        width: K.
        count: rows taken in.
        total: their sum [K].
    """

    width: int
    count: int = 0
    total: Float = field(default_factory=lambda: np.zeros(()))
    _upper: Float | None = None
    _pending: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def add(self, rows: npt.NDArray[np.float32]) -> None:
        """Take in rows [R, K]."""
        self._pending.append(rows)
        self.count += len(rows)
        self.total = self.total + rows.sum(0, dtype=np.float64)
        if sum(map(len, self._pending)) >= PENDING_ROWS:
            self.finish()

    def finish(self) -> None:
        """Add the waiting rows."""
        if self._pending:
            rows = np.concatenate(self._pending)
            product = _upper(rows.T @ rows).astype(np.float64)
            self._upper = product if self._upper is None else self._upper + product
            self._pending = []

    @property
    def mean_squares(self) -> Float:
        """Mean square of each of the K elements."""
        rows = np.arange(self.width, 0, -1)
        return np.asarray(self._second()[np.cumsum(rows) - rows] / max(self.count, 1))

    @property
    def mean(self) -> Float:
        """X^T X / count, [K, K]."""
        full = np.zeros((self.width, self.width))
        full[np.tri(self.width, dtype=bool).T] = self._second()
        lower = np.tri(self.width, k=-1, dtype=bool)
        full[lower] = full.T[lower]
        return full / max(self.count, 1)

    def take(self, channels: npt.NDArray[np.int64]) -> Moment:
        """Return the moment of rows whose elements are picked from these."""
        picked = _upper(self.mean[np.ix_(channels, channels)] * self.count)
        return Moment(len(channels), self.count, self.total[channels], picked)

    def shift(self, by: Float) -> Moment:
        """Return the moment of the rows less `by` [K]."""
        cross = np.outer(by, self.total)
        moved = self.mean * self.count - cross - cross.T + self.count * np.outer(by, by)
        return Moment(self.width, self.count, self.total - self.count * by, _upper(moved))

    def _second(self) -> Float:
        self.finish()
        if self._upper is None:
            return np.zeros(self.width * (self.width + 1) // 2)
        return self._upper


def _upper(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the upper triangle of a symmetric matrix, row by row."""
    return np.asarray(matrix[np.tri(len(matrix), dtype=bool).T])
