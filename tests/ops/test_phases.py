"""Phases: distance to real cosines and sines at every position, recovery from real tables."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.errors import RangeProofError, UnsupportedOperatorError
from intcc.ops.phases import SINE, UNITY, Phases, phase_table, recover
from tests.ops.harness import Array, generator

POSITIONS = 2048
#: Turns per position: none, the smallest, quarters and their neighbours, half a turn, any.
TURNS = (0, 1, 2**30 - 1, 2**30, 2**30 + 1, 2**31, 3 * 2**30, 2**32 - 1, 683565276, 123456789)


def rates(rotated: int, base: float) -> Array:
    """Return the angles per position of a model."""
    return np.asarray(base ** (-np.arange(0, rotated, 2) / rotated))


def real(angles: Array, count: int) -> tuple[Array, Array]:
    """Return tables [count, columns] as the importer rounds them."""
    turned = np.arange(count)[:, None] * angles
    return np.cos(turned).astype(np.float32), np.sin(turned).astype(np.float32)


@pytest.mark.parametrize("gain", [UNITY, 75000, 2 * UNITY - 1])
def test_every_position_is_close_to_the_angle_of_its_phase(gain: int) -> None:
    random = generator(5).integers(0, 2**32, 40)
    turns = np.concatenate([np.array(TURNS), random])
    cos, sin = phase_table(turns, POSITIONS + 1, gain)
    phase = (np.arange(POSITIONS + 1)[:, None] * turns) % 2**32
    angles, scale = phase * (2 * np.pi / 2**32), gain / UNITY
    allowed = 0.5 + 0.26 * scale
    assert np.abs(cos - 2.0**14 * scale * np.cos(angles)).max() < allowed
    assert np.abs(sin - 2.0**14 * scale * np.sin(angles)).max() < allowed


def test_quarters_are_exact() -> None:
    cos, sin = phase_table(np.array([2**30]), 5)
    assert cos.ravel().tolist() == [2**14, 0, -(2**14), 0, 2**14]
    assert sin.ravel().tolist() == [0, 2**14, 0, -(2**14), 0]
    assert SINE.nbytes == 2050


@pytest.mark.parametrize("count", [1, 2, 3, 40, 512, POSITIONS + 1])
@pytest.mark.parametrize("base", [10000.0, 500000.0, 100.0])
def test_recovered_tables_are_within_one_step(base: float, count: int) -> None:
    angles = rates(64, base)
    tables = real(angles, count)
    found = recover(*tables)
    exact = np.arange(count)[:, None] * angles
    for phases, y in zip(found, (np.cos(exact), np.sin(exact)), strict=True):
        assert np.abs(phases.rows(count) - 2.0**14 * y).max() < 1.0
        assert Phases.decode(phases.encode()) == phases
        assert phases.gain == UNITY
    if count >= 512:
        turns = np.rint(angles / (2 * np.pi) * 2**32).astype(int)
        assert np.abs(np.array(found[0].increments) - turns).max() <= 1


def test_scaled_tables() -> None:
    cos, sin = real(rates(20, 500.0), 300)
    for phases, y in zip(recover(1.139 * cos, 1.139 * sin), (cos, sin), strict=True):
        assert phases.gain == round(1.139 * UNITY)
        assert np.abs(phases.rows(300) - 2.0**14 * 1.139 * y).max() < 1.0


def test_what_no_phase_makes_up_is_refused() -> None:
    cos, sin = real(rates(8, 100.0), 50)
    bent = real(rates(8, 100.0), 50)[0] * np.linspace(1, 1.01, 50)[:, None]
    jump = np.roll(sin, 7, axis=0)
    for tables in ((bent, sin), (cos, jump)):
        with pytest.raises(UnsupportedOperatorError, match="Choose --rope exact"):
            recover(*tables)
    for tables in ((2.1 * cos, 2.1 * sin), (np.nan * cos, sin)):
        with pytest.raises(RangeProofError, match="Q14 holds magnitudes below 2"):
            recover(*tables)
