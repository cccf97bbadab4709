"""C text of a run that threads share: what one part does of every call, stage by stage."""

from __future__ import annotations

import re
from typing import Any

from intcc.backends.c.program import Argument, Call, Program, View
from intcc.backends.c.shapes import TOKENS, Extent
from intcc.backends.c.text import access, argument, call_text
from intcc.backends.c.threads import ELEMENTS, ROWS, Cut, Plan

__all__ = ["stage_context"]

_TOKENS = Extent(1, 1)


def stage_context(program: Program, plan: Plan, stop: int) -> dict[str, Any]:
    """Return what the templates of a shared run show.

    Args:
        program: the model.
        plan: how its calls are shared.
        stop: number of calls after which a run may end; 0 where it never does.
    """
    layers = [name for name, calls in program.layers() for _ in calls]
    begins = {}
    for index, layer in enumerate(layers):
        if index == 0 or layers[index - 1] != layer:
            begins[index] = (layer, len(begins))
    stages = []
    for stage in plan.stages:
        lines = []
        for index in range(stage.first, stage.last + 1):
            call, cut = program.calls[index], plan.cuts[index]
            lines.append({"banner": begins.get(index), "text": _call(program, plan, call, cut)})
        stages.append(lines)
    text = "\n".join(line["text"] for stage in stages for line in stage)
    rows = {c.rows for c in plan.cuts if c.tall and c.rows is not None}
    kinds = [
        sum(1 << i for i, bit in enumerate((s.waits[0], s.alone[0], s.waits[1], s.alone[1])) if bit)
        for s in plan.stages
    ]
    return {
        "stages": stages,
        "stage_kinds": kinds,
        "stop": plan.stage_of(stop) if 0 < stop < len(program.calls) else 0,
        "scratch_bytes": plan.scratch_bytes,
        "units": [
            {"row": _row(r), "rows": _rows(r), "total": str(r), "step": program.row_step}
            for r in sorted(rows, key=lambda r: (r.power, r.coefficient))
            if _word(_row(r), text) or _word(_rows(r), text)
        ],
        "fewest_rows": ROWS,
        "tall": str(_TOKENS) if not plan.tall else str(plan.tall),
        "locals": {w: _word(w, text) for w in ("n", "position", "base", "held", "own", "column")}
        | {"macros": "FROM(" in text, "count": "COUNT(" in text},
        "own_access": _own_access(program, plan),
    }


def _word(word: str, text: str) -> bool:
    if word == "base":
        return bool(re.search(r"\b[UI]\d+\(", text))
    if word == "held":
        return "CACHE_" in text
    if word == "own":
        return "OWN_" in text
    return bool(re.search(rf"\b{word}\b", text))


def _row(rows: Extent) -> str:
    return "row" if rows == _TOKENS else f"row_of_{rows.coefficient}"


def _rows(rows: Extent) -> str:
    return "rows" if rows == _TOKENS else f"rows_of_{rows.coefficient}"


def _times(name: str, factor: int) -> str:
    return name if factor == 1 else f"{name} * {factor}"


def _call(program: Program, plan: Plan, call: Call, cut: Cut) -> str:
    """Return a call of one part."""
    arguments: list[Argument] = list(call.arguments)
    which = "column" if cut.tall else "part"
    if cut.span:
        arguments[:2] = [f"{end}({which}, {cut.span}, {cut.step})" for end in ("FROM", "TO")]
    if cut.rows is not None and (cut.tall or cut.elements):
        rows = _rows(cut.rows) if cut.tall else str(cut.rows)
        total = _times(rows, cut.width)
        arguments[cut.count] = (
            f"COUNT({which}, {total}, {ELEMENTS})" if cut.elements else total
        )
        for index, width in cut.moved.items():
            ways = [_times(_row(cut.rows), width)] if cut.tall else []
            ways += [f"FROM({which}, {total}, {ELEMENTS})"] if cut.elements else []
            arguments[index] = " + ".join([argument(call.arguments[index]), *ways])
        if cut.position and cut.tall:
            arguments[cut.position] = f"{argument(call.arguments[cut.position])} + {_row(cut.rows)}"
    for index, given in enumerate(call.arguments):
        if cut.span and isinstance(given, View) and given.storage in plan.scratch:
            macro = f"OWN_{access(given.storage)}"
            arguments[index] = f"{macro}(at_{given.storage.name}, {plan.scratch[given.storage]})"
    return call_text(call, arguments, indent=12)


def _own_access(program: Program, plan: Plan) -> list[str]:
    """Return the macros of scratch: the arena's for the first part, else the part's own."""
    kinds = {access(s): s.c_type for s in plan.scratch}
    return [
        f"#define OWN_{name}(at, behind) "
        f"(({kinds[name]} *)(void *)(own == NULL ? base + (at) : own + (behind)))"
        for name in sorted(kinds)
    ]
