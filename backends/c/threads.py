"""Threads: which calls are shared among the parts of a run, how, and where all parts must wait.

A call is cut in one of three ways, none of which changes a bit:

    rows        each part takes some rows of the operands, by moving pointers
    range       each part takes some columns, or heads, of the result: the kernel has the arguments
                `start` and `stop`
    elements    each part takes some elements of a table, by moving pointers: the same columns of
                each row where rows are whole cache lines, as products do before and behind it

Runs of many tokens are cut by rows wherever calls allow it, so that a part goes on with its rows
from call to call. Runs of few are cut by columns. What cannot be cut is done by one part. Between
two calls all parts wait only where one needs what other parts of the other write. Calls between
two waits are a group; calls that are in one group either way are a stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from intcc.backends.c.program import Call, Place, Program, Storage, View
from intcc.backends.c.shapes import ONE, Extent

__all__ = ["ELEMENTS", "ROWS", "Cut", "Plan", "Stage", "plan_threads"]

#: Fewest rows of a part.
ROWS = 8
#: Elements of a table go to a part in multiples of a cache line.
ELEMENTS = 64
_TOKENS = Extent(1, 1)
#: Templates below ops/ whose first argument counts rows of all computed operands.
_BY_ROWS = frozenset(
    """affine cache_keys cache_values dynamic_quantize embedding gelu l2_normalize layer_norm linear
    linear_dynamic linear_dynamic_full linear_wide quantize rescale rescale_rows rms_norm rotary
    rotary_rows softmax widen""".split()
)
#: Those whose first argument counts elements.
_BY_ELEMENTS = frozenset("cast clip gelu_wide relu sigmoid silu tanh".split())
#: Those that count rows and columns, and repeat an operand where there are several rows.
_REPEATED = frozenset("add product saturating_add".split())
#: Those whose second argument is the position of the first row.
_POSITIONED = frozenset("cache_keys cache_values rotary_rows".split())

#: What parts of a call touch: everything, or by cuts that are equal the same share.
_Share = tuple[object, ...]
_WHOLE: _Share = ("whole",)
_ALONE: _Share = ("alone",)


@dataclass(frozen=True)
class Cut:
    """How one call can be cut.

    Attributes:
        rows: number of rows, the token count or fixed; None where rows are not independent.
        count: index of the argument that counts rows, or elements.
        width: of that argument, for each row.
        moved: elements for each row, by index of the argument.
        position: index of an argument that counts the rows before; 0 where there is none.
        elements: whether all moved operands are tables of the same elements.
        span: number of columns or heads that the kernel can take a range of; 0 where it cannot.
        step: what such a range begins with a multiple of.
    """

    rows: Extent | None = None
    count: int = 0
    width: int = 0
    moved: dict[int, int] = field(default_factory=dict)
    position: int = 0
    elements: bool = False
    span: int = 0
    step: int = 1

    @property
    def aligned(self) -> bool:
        """Whether parts take elements row by row, each the same columns."""
        return self.elements and self.width > 0 and self.width % ELEMENTS == 0

    @property
    def tall(self) -> bool:
        """Whether rows are what a run of many tokens is cut by."""
        return self.rows is not None and (not self.rows.static or self.rows.coefficient >= 2 * ROWS)


@dataclass(frozen=True)
class Stage:
    """Calls that no part waits between.

    Attributes:
        first: index of the first call.
        last: index of the last one.
        waits: whether all parts wait before it, in runs cut by rows and by columns.
        alone: whether one part does all of it, likewise.
    """

    first: int
    last: int
    waits: tuple[bool, bool]
    alone: tuple[bool, bool]


@dataclass(frozen=True)
class Plan:
    """How a program's calls are shared.

    Attributes:
        cuts: of every call.
        stages: in order.
        groups: (first call, last call) of every group, of both kinds of runs.
        scratch: offset of every scratch storage in the memory of a further part.
        scratch_bytes: size of that memory.
        tall: most rows of a call where none depends on the token count, else 0.
    """

    cuts: tuple[Cut, ...]
    stages: tuple[Stage, ...]
    groups: tuple[tuple[int, int], ...]
    scratch: dict[Storage, int]
    scratch_bytes: int
    tall: int

    def stage_of(self, call: int) -> int:
        """Return the index of the stage that begins with a call."""
        return next(i for i, s in enumerate(self.stages) if s.first == call)


def plan_threads(program: Program, stop: int = 0) -> Plan:
    """Return how the calls of a program are shared.

    Args:
        program: the model, its storages final but for their offsets.
        stop: number of calls after which a run may end; 0 where it never does.
    """
    cuts = tuple(map(_cut, program.calls))
    shares = [
        [_shares(c, cut, by_rows=by_rows) for c, cut in zip(program.calls, cuts, strict=True)]
        for by_rows in (True, False)
    ]
    starts = [_starts(program.calls, each) for each in shares]
    bounds = sorted({*starts[0], *starts[1], *([stop] if stop else []), len(cuts)})
    stages = [
        Stage(
            a,
            b - 1,
            (a in starts[0], a in starts[1]),
            (_alone(shares[0][a]), _alone(shares[1][a])),
        )
        for a, b in pairwise(bounds)
    ]
    groups = [(a, b - 1) for s in starts for a, b in pairwise([*sorted(s), len(cuts)])]
    scratch, size = _scratch(program, cuts)
    rows = [c.rows.coefficient for c in cuts if c.tall and c.rows is not None and c.rows.static]
    dynamic = any(c.rows == _TOKENS for c in cuts)
    return Plan(
        cuts, tuple(stages), tuple(groups), scratch, size, 0 if dynamic else max(rows, default=1)
    )


def _template(call: Call) -> str:
    return call.kernel.template.removeprefix("ops/")


def _cut(call: Call) -> Cut:
    """Return the cuts of a call: `start` and `stop` come before all other arguments."""
    template, step = _template(call), call.kernel.parameters.get("range_step", 0)
    shift = 2 if step else 0
    span = call.arguments[1] if step else 0
    assert isinstance(span, int)
    ranged = Cut(span=span, step=step or 1)
    count = shift
    repeated = False
    if template in _REPEATED:
        repeated = call.arguments[0] != 1 and call.arguments[0] != ONE
        count = 0 if repeated else 1
    elif template not in _BY_ROWS | _BY_ELEMENTS:
        return ranged
    total = call.arguments[count]
    total = Extent(total) if isinstance(total, int) else total
    assert isinstance(total, Extent)
    rows = _TOKENS if total.power == 1 else Extent(call.writes[0].rows.coefficient)
    if total.power > 1 or not _divides(rows, total):
        return ranged
    moved = {}
    for index, view in _operands(call, repeated=repeated):
        if not _divides(rows, view.extent):
            return ranged
        moved[index] = (view.extent // rows).coefficient
    return replace(
        ranged,
        rows=rows,
        count=count,
        width=(total // rows).coefficient,
        moved=moved,
        position=count + 1 if template in _POSITIONED else 0,
        elements=template in _BY_ELEMENTS or (template in _REPEATED and not repeated),
    )


def _divides(rows: Extent, extent: Extent) -> bool:
    return extent.power == rows.power and extent.coefficient % rows.coefficient == 0


def _operands(call: Call, *, repeated: bool) -> list[tuple[int, View]]:
    """Return the operands that rows move through."""
    template = _template(call)
    views = [(i, a) for i, a in enumerate(call.arguments) if isinstance(a, View)]
    if template in _REPEATED:
        whole = call.writes[0].extent
        kept = [(i, v) for i, v in views if v.extent == whole]
        if call.kernel.name.startswith("product_per_row"):
            kept += [(i, v) for i, v in views if v.extent != whole]
        return kept
    if template == "rotary":
        return views
    # Of constants only tables of positions have rows; parameters are the same for all.
    still = {Place.FLASH, Place.STATE}
    return [(i, v) for i, v in views if v.storage.place not in still or _by_position(v)]


def _by_position(view: View) -> bool:
    return view.storage.place is Place.FLASH and not view.extent.static


def _shares(call: Call, cut: Cut, *, by_rows: bool) -> dict[Storage, _Share]:
    """Return what a part touches of every storage of a call."""
    scratch = set(call.scratch)
    touched = {
        v.storage: _WHOLE
        for v in (*call.reads, *call.writes)
        if v.storage.place is not Place.FLASH and v.storage not in scratch
    }
    if by_rows and cut.tall:
        own: _Share = ("rows", cut.rows)
        moved = [call.arguments[i] for i in cut.moved]
        # What is written is a part's own, be it behind the position of its rows.
        views = [*(a for a in moved if isinstance(a, View)), *call.writes]
        return touched | {v.storage: own for v in views if v.storage in touched}
    if cut.span:
        own = ("range", cut.span, cut.step)
        # An addend is read where the sum is written.
        y = call.writes[0]
        adds = [v for v in call.reads if v.extent == y.extent and v.storage.dtype == np.int32]
        views = [*call.writes, *(adds if y.storage.dtype == np.int32 else [])]
        return touched | {v.storage: own for v in views}
    if cut.elements and cut.rows is not None:
        whole = ("elements", cut.rows * cut.width)
        own = ("range", cut.width, ELEMENTS) if cut.aligned else whole
        return dict.fromkeys(touched, own)
    return dict.fromkeys(touched, _ALONE)


def _alone(shares: dict[Storage, _Share]) -> bool:
    return _ALONE in shares.values()


def _starts(calls: Sequence[Call], shares: Sequence[dict[Storage, _Share]]) -> set[int]:
    """Return the calls that all parts wait for each other before."""
    starts: set[int] = set()
    group: dict[Storage, set[_Share]] = {}
    written: set[Storage] = set()
    kind: bool | None = None
    for index, (call, touched) in enumerate(zip(calls, shares, strict=True)):
        writes = {v.storage for v in call.writes}
        foreign = any(
            group.get(s, {share}) != {share} or share == _WHOLE
            for s, share in touched.items()
            if s in group and s in written | writes
        )
        if foreign or kind != _alone(touched):
            starts.add(index)
            group, written, kind = {}, set(), _alone(touched)
        written |= writes
        for storage, share in touched.items():
            group.setdefault(storage, set()).add(share)
    return starts


def _scratch(program: Program, cuts: Sequence[Cut]) -> tuple[dict[Storage, int], int]:
    """Return where the scratch of calls that parts share lies for each further part."""
    offsets: dict[Storage, int] = {}
    most = 0
    for call, cut in zip(program.calls, cuts, strict=True):
        at = 0
        for storage in call.scratch if cut.span or cut.rows is not None else ():
            offsets[storage] = at
            at += program.aligned(storage.bytes_at(max(program.max_tokens, 1)))
        most = max(most, at)
    return offsets, most
