"""Chains: light calls that hand rows to each other, which take some rows at a time.

    norm -> affine -> quantize          some rows by all three, then the next ones
    silu -> product | quantize          the same where one part has whole rows; where parts have
                                        columns, all wait before the last one

A block of rows stays in the first caches between two calls. A prompt of 128 tokens leaves a layer's
tables of 0.5 to 1.4 MB for the second or third one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from intcc.backends.c.program import Call, Program, Storage, View
from intcc.backends.c.threads import Cut, Plan, Stage

__all__ = ["Join", "block_of", "chains", "defer", "joined"]

#: Most rows of a block: kernels that share reductions among rows do so among eight.
_BLOCK = 8
#: Most bytes of a block in one table: what a first cache holds, of 32 or 48 KB.
_BLOCK_BYTES = 2**15
#: Templates below ops/ of calls that read a row and write a row, for little work a number.
_LIGHT = frozenset(
    """affine dynamic_quantize gelu l2_normalize layer_norm quantize rescale rescale_rows rms_norm
    widen""".split()
)


@dataclass(frozen=True)
class Join:
    """Calls on elements at the end of a stage, and a chain that begins the next one.

    Attributes:
        first: indices of the former.
        then: indices of the latter, which waits only where parts have columns.
    """

    first: tuple[int, ...]
    then: tuple[int, ...]


def _light(call: Call, cut: Cut) -> bool:
    return call.kernel.template.removeprefix("ops/") in _LIGHT and cut.tall and not cut.span


def _writes(calls: Sequence[Call]) -> set[Storage]:
    return {v.storage for call in calls for v in call.writes}


def _reads(call: Call, storages: set[Storage]) -> bool:
    return any(v.storage in storages for v in call.reads)


def chains(
    program: Program, plan: Plan, stage: Stage, joins: Mapping[int, Join]
) -> list[list[int]]:
    """Return the calls of a stage; those that hand light rows to each other are together."""
    found: list[list[int]] = []
    written: set[Storage] = set()
    for index in range(stage.first, stage.last + 1):
        call, cut = program.calls[index], plan.cuts[index]
        join = joins.get(index)
        light = _light(call, cut)
        if join is not None and index == join.first[0]:
            found.append(list(join.first))
        elif join is not None and index in join.first:
            continue
        elif light and _reads(call, written) and plan.cuts[found[-1][-1]].rows == cut.rows:
            found[-1].append(index)
        else:
            found.append([index])
            written = set()
        written = written | _writes([call]) if light else set()
    return found


def block_of(program: Program, plan: Plan, chain: Sequence[int]) -> int:
    """Return the rows of a chain's block: up to eight, and fewer of many bytes."""
    row = max(
        elements * argument.storage.dtype.itemsize
        for index in chain
        for at, elements in plan.cuts[index].moved.items()
        if isinstance(argument := program.calls[index].arguments[at], View)
    )
    return max(1, min(_BLOCK, _BLOCK_BYTES // row))


def joined(program: Program, plan: Plan) -> dict[int, Join]:
    """Return by call the pairs of stages that one part with whole rows does as one."""
    found: dict[int, Join] = {}
    for stage, after in pairwise(plan.stages):
        then = chains(program, plan, after, {})[0]
        rows = plan.cuts[then[0]].rows
        first = _elements(program, plan, stage, rows)
        apart = after.waits[0] or any(stage.alone) or after.alone[0] or not first
        if apart or not _light(program.calls[then[0]], plan.cuts[then[0]]):
            continue
        if _reads(program.calls[then[0]], _writes([program.calls[first[-1]]])):
            found |= dict.fromkeys((*first, *then), Join(tuple(first), tuple(then)))
    return found


def _elements(program: Program, plan: Plan, stage: Stage, rows: object) -> list[int]:
    """Return the calls on elements of such rows at the end of a stage."""
    found: list[int] = []
    for index in range(stage.last, stage.first - 1, -1):
        cut = plan.cuts[index]
        if not (cut.aligned and cut.tall and cut.rows == rows and not cut.span):
            break
        found.insert(0, index)
    return found


def defer(program: Program) -> None:
    """Let calls that overwrite their only input come just before the first call that reads it."""
    calls = program.calls
    for start in reversed(range(len(calls))):
        call = calls[start]
        if len(call.reads) != 1 or _storages(call) != _writes([call]):
            continue
        storage, end = call.writes[0].storage, start + 1
        while end < len(calls) and storage not in _storages(calls[end]) and not calls[end].fails:
            end += 1
        if end < len(calls) and calls[end].layer == call.layer:
            calls.insert(end - 1, calls.pop(start))


def _storages(call: Call) -> set[Storage]:
    return {v.storage for v in (*call.reads, *call.writes)} | set(call.scratch)
