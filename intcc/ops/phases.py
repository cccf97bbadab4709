"""Phases: cosines and sines of rotary positions from integers alone, without a table of positions.

    phase(p, i) = p * increment[i] + start mod 2**32     in units of 2**-32 turns
    r  = phase mod 2**30, in odd quarters 2**30 - 1 - r  mirrored into the first quarter
    q  = SINE[r >> 20] * 2**16 + (SINE[(r >> 20) + 1] - SINE[r >> 20]) * ((r >> 4) mod 2**16)
    y  = (q * gain + 2**32) >> 33                        Q14; negative in the last two quarters

SINE holds the sines of k / 1024 quarters in Q15, k = 0 .. 1024; start is 0 for sines and a quarter
for cosines; gain, in Q16, is what a model scales its tables by. Compiled C evaluates this formula;
the tables of the integer graph are its values, so all backends see the same bits.

Constraints
    (C1) 0 <= increment < 2**32, 0 < gain < 2**17        so that |y| <= 2**15
Error
    |y - 2**14 gain sin| < 1/2 + 0.26 gain               in steps of 2**-14, gain as a real number,
    beside position * gain * 2**-16.3 for an increment that is rounded to 2**-32 turns
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intcc.errors import UnsupportedOperatorError
from intcc.ops import rotary
from intcc.ops.operator import Array

__all__ = ["PHASE", "SINE", "UNITY", "Phases", "phase_table", "recover"]

#: Metadata of a node that reads rows by position: the phases that make up the table.
PHASE = "intcc.phase"
#: Sines of the first quarter in Q15, both ends included.
SINE = np.rint(np.sin(np.arange(1025) * (np.pi / 2048)) * 2.0**15).astype(np.uint16)
#: A gain of one.
UNITY = 2**16
_TURN, _QUARTER = 2**32, 2**30
#: Largest distance of a reconstructed table to the rounded real one, in steps of 2**-14.
_ALLOWED = 4


@dataclass(frozen=True)
class Phases:
    """What the rows of a table of sines or cosines are computed from.

    Attributes:
        increments: angle from one position to the next, in 2**-32 turns, one per column.
        start: angle of position 0: 0 for sines, 2**30 for cosines.
        gain: factor on all elements, in Q16.
    """

    increments: tuple[int, ...]
    start: int = 0
    gain: int = UNITY

    def rows(self, count: int) -> Array:
        """Return the rows of the first positions, int32 [count, columns] in Q14."""
        positions = np.arange(count, dtype=np.uint64)[:, None]
        turned = positions * np.array(self.increments, np.uint64) + np.uint64(self.start)
        phase = (turned % _TURN).astype(np.int64)
        quarter = np.where(phase & _QUARTER, ~phase, phase) & (_QUARTER - 1)
        index, fraction = quarter >> 20, quarter >> 4 & 0xFFFF
        low, high = SINE[index].astype(np.int64), SINE[index + 1].astype(np.int64)
        size = ((low * 2**16 + (high - low) * fraction) * self.gain + 2**32) >> 33
        return np.asarray(np.where(phase & 2 * _QUARTER, -size, size), np.int32)

    def encode(self) -> str:
        """Return the metadata of a node."""
        return " ".join(map(str, (self.start, self.gain, *self.increments)))

    @classmethod
    def decode(cls, text: str) -> Phases:
        """Read the metadata of a node."""
        start, gain, *increments = map(int, text.split())
        return cls(tuple(increments), start, gain)


def phase_table(increments: Array, rows: int, gain: int = UNITY) -> tuple[Array, Array]:
    """Return cosines and sines, int32 [rows, columns] in Q14, of increments in 2**-32 turns."""
    turns = tuple(int(i) for i in increments)
    return Phases(turns, _QUARTER, gain).rows(rows), Phases(turns, 0, gain).rows(rows)


def _wrapped(turns: Array) -> Array:
    return turns - np.rint(turns)


def _increments(cos: Array, sin: Array) -> Array:
    """Return the turns per position of tables [T, columns], in [0, 1).

    Angles are known modulo a turn. An estimate is right to within half a turn at twice the position
    that it comes from; at the end, the best line through all angles averages their noise.
    """
    angles = np.arctan2(sin, cos) / (2 * np.pi)
    rate, position = np.zeros(cos.shape[1]), 1
    while position < len(cos):
        rate += _wrapped(angles[position] - position * rate) / position
        position *= 2
    positions = np.arange(len(cos), dtype=np.float64)[:, None]
    rest = _wrapped(angles - positions * rate)
    rate += (positions * rest).sum(0) / max(float((positions**2).sum()), 1.0)
    return np.asarray(rate % 1.0)


def recover(cos: Array, sin: Array) -> tuple[Phases, Phases]:
    """Return the phases of real tables [T, columns] of cosines and sines.

    Raises:
        UnsupportedOperatorError: the angles do not grow in proportion to the position.
        RangeProofError: a magnitude of 2 or more.
    """
    cos, sin = np.asarray(cos, np.float64), np.asarray(sin, np.float64)
    real = (rotary.table(cos), rotary.table(sin))
    turns = np.rint(_increments(cos, sin) * _TURN).astype(np.int64) % _TURN
    gain = round(float(np.hypot(cos, sin).mean()) * UNITY)
    found = tuple(Phases(tuple(map(int, turns)), start, gain) for start in (_QUARTER, 0))
    apart = max(int(np.abs(p.rows(len(t)) - t).max()) for p, t in zip(found, real, strict=True))
    if apart > _ALLOWED:
        raise UnsupportedOperatorError(
            "Rotary table",
            f"is {apart * 2.0**-14:.2g} away from angles in proportion to the position",
            "Choose --rope exact, which stores the table",
        )
    return found[0], found[1]
