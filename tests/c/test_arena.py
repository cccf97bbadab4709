"""Lifetimes, packing, in-place calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from intcc.backends.c.arena import merge_in_place, plan
from intcc.backends.c.program import Call, InPlace, Kernel, Place, Program, Storage, View
from intcc.backends.c.select import select
from intcc.backends.c.shapes import Extent
from intcc.backends.c.target import available, load_target
from tests.c.bench import Bench
from tests.c.cases import CASES
from tests.c.cases_cache import CACHE_CASES, decoder
from tests.c.encoder import encoder

KERNEL = Kernel("k", "k")


def storage(name: str, size: int, place: Place = Place.ARENA) -> View:
    s = Storage(name, np.dtype(np.int32), Extent(size), place)
    return View(s, (Extent(size),))


def call(reads: list[View], writes: list[View], in_place: tuple[InPlace, ...] = ()) -> Call:
    arguments = (*reads, *writes)
    return Call(KERNEL, arguments, tuple(reads), tuple(writes), "", "", in_place=in_place)


def program(calls: list[Call]) -> Program:
    return Program("m", 1, calls)


def test_chain_needs_two_regions() -> None:
    values = [storage(f"v{i}", 100) for i in range(6)]
    arena = plan(program([call([values[i]], [values[i + 1]]) for i in range(5)]))
    assert arena.size == arena.lower_bound == 2 * 400


@pytest.mark.parametrize("seed", range(20))
def test_regions_alive_together_do_not_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [storage(f"v{i}", int(rng.integers(1, 999))) for i in range(30)]
    calls = []
    for step in range(30):
        reads = [values[int(j)] for j in rng.integers(max(0, step - 6), step + 1, 2)]
        calls.append(call(reads, [values[step]]))
    arena = plan(program(calls))
    for a in arena.regions:
        for b in arena.regions:
            if a is not b and a.first <= b.last and b.first <= a.last:
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
    assert arena.lower_bound <= arena.size <= 1.2 * arena.lower_bound


def test_size_grows_with_tokens() -> None:
    s = Storage("v", np.dtype(np.uint8), Extent(64, 2))
    view = View(s, (Extent(64, 2),))
    assert plan(Program("m", 10, [call([], [view])])).size == 6400


def in_place(x: View, y: View) -> Call:
    form = InPlace(x, Kernel("k", "onto"), (y,))
    return call([x], [y], (form,))


def test_dying_input_is_overwritten() -> None:
    x, y, z = storage("x", 9), storage("y", 9), storage("z", 9)
    p = program([call([], [x]), in_place(x, y), call([y], [z])])
    merge_in_place(p)
    assert p.calls[1].kernel.name == "onto"
    assert p.calls[1].writes[0].storage is x.storage is p.calls[2].reads[0].storage


@pytest.mark.parametrize(
    "why", ["read later", "an input", "an output", "of another size", "read twice", "a part"]
)
def test_input_is_kept_where_it_is(why: str) -> None:
    x = storage("x", 9, Place.INPUT if why == "an input" else Place.ARENA)
    y = storage("y", 5 if why == "of another size" else 9)
    if why == "an output":
        y.storage.place = Place.OUTPUT
    if why == "a part":
        x = View(Storage("x", np.dtype(np.int32), Extent(20)), (Extent(9),))
    changed = in_place(x, y)
    if why == "read twice":
        changed.reads = (x, x)
    last = call([y, x] if why == "read later" else [y], [storage("z", 9)])
    p = program([call([], [x]), changed, last])
    merge_in_place(p)
    assert p.calls[1].kernel.name == "k"


def test_empty_program() -> None:
    arena = plan(program([]))
    assert (arena.size, arena.lower_bound, arena.regions) == (0, 0, ())


@pytest.fixture(scope="module")
def models() -> dict[str, ir.Model]:
    """Return every operator's case and two whole models."""
    found = {"encoder": encoder().model, "decoder": decoder().model}
    for stem, build in {**CASES, **CACHE_CASES}.items():
        bench = Bench(stem)
        build(bench)
        found[stem] = bench.finish()
    return found


@pytest.mark.parametrize("target", available())
def test_arena_is_close_to_its_bound_on_every_target(
    models: dict[str, ir.Model], target: str
) -> None:
    machine = load_target(target)
    for name, model in models.items():
        program = select(model, machine)
        arena = plan(program)
        assert all(r.offset % machine.alignment == 0 for r in arena.regions), name
        assert arena.lower_bound <= arena.size <= 1.05 * arena.lower_bound, name


@pytest.mark.parametrize(("alignment", "size"), [(8, 24), (16, 32), (64, 128)])
def test_small_machines_waste_no_memory(alignment: int, size: int) -> None:
    made = program([call([], [storage("a", 1), storage("b", 3)])])
    assert plan(replace(made, alignment=alignment)).size == size


@pytest.mark.parametrize("target", available())
def test_alignment_suits_the_arena(target: str) -> None:
    alignment = load_target(target).alignment
    assert alignment >= 8 and alignment & (alignment - 1) == 0
