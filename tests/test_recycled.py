"""Memory that users hand on: never two at once, and no more than one piece kept."""

from __future__ import annotations

import gc

from intcc.runtime.memory import Recycled


def test_memory_is_handed_on_when_its_array_is_dropped() -> None:
    states = Recycled(1000)
    first, second = states.take(), states.take()
    assert first.shape == second.shape == (1000,)
    assert first.ctypes.data % 64 == second.ctypes.data % 64 == 0
    first[:], second[:] = 1, 2
    assert (first == 1).all()  # apart while both are held
    place = first.ctypes.data
    del first
    gc.collect()
    third, fourth = states.take(), states.take()
    assert third.ctypes.data == place
    assert len({x.ctypes.data for x in (second, third, fourth)}) == 3


def test_one_piece_is_kept() -> None:
    states = Recycled(64)
    held = [states.take() for _ in range(4)]
    places = {x.ctypes.data for x in held}
    held.clear()
    gc.collect()
    assert len(places) == 4
    assert len(states._left) == 1
