"""Arena: lifetimes of all storages, in-place calls, and offsets that pack them tightly.

Packing is first fit in a fixed order; several orders are tried and the best one is kept. The
lower bound is the largest sum of sizes that are alive at once: no packing can be smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from intcc.backends.c.program import Argument, Call, Place, Program, Storage, View

__all__ = ["Arena", "Region", "merge_in_place", "plan"]


@dataclass(frozen=True)
class Region:
    """A storage in the arena: alive from call `first` to call `last`, both included."""

    storage: Storage
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Arena:
    """The packed arena.

    Attributes:
        regions: in order of first use.
        size: bytes in all.
        lower_bound: largest sum of the sizes alive at one call, alignment included.
    """

    regions: tuple[Region, ...]
    size: int
    lower_bound: int


def _touched(call: Call) -> Iterable[Storage]:
    yield from (v.storage for v in (*call.reads, *call.writes))
    yield from call.scratch


def lifetimes(program: Program) -> dict[Storage, tuple[int, int]]:
    """Return first and last call of every storage."""
    spans: dict[Storage, tuple[int, int]] = {}
    for step, call in enumerate(program.calls):
        for storage in _touched(call):
            spans[storage] = (spans.get(storage, (step, step))[0], step)
    return spans


def _widened(
    spans: dict[Storage, tuple[int, int]], groups: Sequence[tuple[int, int]]
) -> dict[Storage, tuple[int, int]]:
    """Return lifetimes that end with the groups of their first and last calls."""
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for first, last in groups:
        for step in range(first, last + 1):
            begin[step] = min(first, begin.get(step, step))
            end[step] = max(last, end.get(step, step))
    return {s: (begin.get(a, a), end.get(b, b)) for s, (a, b) in spans.items()}


def merge_in_place(program: Program) -> None:
    """Replace calls by their in-place form wherever the overwritten input dies there."""
    for step, call in enumerate(program.calls):
        for form in call.in_place:
            target = call.writes[0]
            source = form.source
            readers = [v for v in call.reads if v.storage is source.storage]
            legal = (
                source.storage.place is Place.ARENA
                and target.storage.place is Place.ARENA
                and source.whole
                and target.whole
                and source.storage.dtype == target.storage.dtype
                and source.extent == target.extent
                and len(readers) == 1
                and lifetimes(program)[source.storage][1] == step
            )
            if legal:
                call.kernel, call.arguments = form.kernel, form.arguments
                _substitute(program.calls[step:], target.storage, source.storage)
                call.in_place = ()
                break


def _substitute(calls: list[Call], old: Storage, new: Storage) -> None:
    def view(v: View) -> View:
        return replace(v, storage=new) if v.storage is old else v

    def argument(a: Argument) -> Argument:
        return view(a) if isinstance(a, View) else a

    for call in calls:
        call.reads = tuple(map(view, call.reads))
        call.writes = tuple(map(view, call.writes))
        call.arguments = tuple(map(argument, call.arguments))
        call.in_place = tuple(
            replace(f, source=view(f.source), arguments=tuple(map(argument, f.arguments)))
            for f in call.in_place
        )


def _first_fit(regions: list[Region]) -> list[Region]:
    placed: list[Region] = []
    for region in regions:
        rivals = sorted(
            (p.offset, p.offset + p.size)
            for p in placed
            if p.first <= region.last and region.first <= p.last
        )
        offset = 0
        for start, end in rivals:
            if offset + region.size <= start:
                break
            offset = max(offset, end)
        placed.append(replace(region, offset=offset))
    return placed


#: Each order is worth trying: large first, long-lived first, both, and in order of execution.
_ORDERS: tuple[Callable[[Region], tuple[int, ...]], ...] = (
    lambda r: (-r.size, r.first, -r.last),
    lambda r: (-(r.last - r.first), -r.size, r.first),
    lambda r: (-r.size * (r.last - r.first + 1), r.first),
    lambda r: (r.first, -r.size, -r.last),
    lambda r: (r.first, -r.last, -r.size),
    lambda r: (-r.last, -r.size, r.first),
    lambda r: (-r.size * (r.last - r.first + 1) ** 2, r.first),
)


def plan(program: Program, groups: Sequence[tuple[int, int]] = ()) -> Arena:
    """Pack all storages of the arena for the largest token count.

    Args:
        program: the model.
        groups: first and last of calls that may run at once, as threads share them: what one of
            them touches lives through all.
    """
    spans = _widened(lifetimes(program), groups)
    tokens = max(program.max_tokens, 1)
    regions = [
        Region(s, 0, program.aligned(s.bytes_at(tokens)), first, last)
        for s, (first, last) in spans.items()
        if s.place is Place.ARENA
    ]
    bound = _lower_bound(regions, len(program.calls))
    best: list[Region] = []
    best_size = -1
    for order in (*_ORDERS, _pressure(regions, len(program.calls))):
        placed = _first_fit(sorted(regions, key=order))
        size = max((r.offset + r.size for r in placed), default=0)
        if best_size < 0 or size < best_size:
            best, best_size = placed, size
        if best_size == bound:
            break
    ordered = sorted(best, key=lambda r: (r.first, r.offset, r.last))
    return Arena(tuple(ordered), best_size, bound)


def _totals(regions: list[Region], steps: int) -> list[int]:
    totals = [0] * max(steps, 1)
    for region in regions:
        for step in range(region.first, region.last + 1):
            totals[step] += region.size
    return totals


def _lower_bound(regions: list[Region], steps: int) -> int:
    return max(_totals(regions, steps))


def _pressure(regions: list[Region], steps: int) -> Callable[[Region], tuple[int, ...]]:
    """Order by the fullest call that a region takes part in: the peak is packed first."""
    totals = _totals(regions, steps)
    peak = {id(r): max(totals[r.first : r.last + 1]) for r in regions}
    return lambda r: (-peak[id(r)], -r.size, r.first)
