"""C text of a run that threads share: what one part does of every call, stage by stage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

from intcc.backends.c.chains import Join, block_of, chains, joined
from intcc.backends.c.generator import quiet
from intcc.backends.c.program import Argument, Call, Program, View
from intcc.backends.c.shapes import ONE, TOKENS, Extent
from intcc.backends.c.text import access, argument, call_text, wrap
from intcc.backends.c.threads import ELEMENTS, ROWS, Cut, Plan

__all__ = ["parallel_context"]

_TOKENS = Extent(1, 1)


def _stage_context(program: Program, plan: Plan, stop: int) -> dict[str, Any]:
    """Return what the templates of a shared run show.

    Args:
        program: the model.
        plan: how its calls are shared.
        stop: number of calls after which a run may end; 0 where it never does.
    """
    stages = _stages(program, plan)
    text = "\n".join(line for stage in stages for line in stage["lines"])
    rows = {c.rows for c in plan.cuts if c.tall and c.rows is not None}
    return {
        "stages": stages,
        "stage_kinds": _kinds(plan),
        "stop": plan.stage_of(stop) if 0 < stop < len(program.calls) else 0,
        "scratch_bytes": plan.scratch_bytes,
        "units": [
            {
                "row": _row(r),
                "rows": _rows(r),
                "counted": _uses(text, rf"{_rows(r)}\b"),
                "total": str(r),
            }
            for r in sorted(rows, key=lambda r: (r.power, r.coefficient))
            if _uses(text, rf"{_row(r)}\b") or _uses(text, rf"{_rows(r)}\b")
        ],
        "fewest_rows": ROWS,
        "tall": str(plan.tall) if plan.tall else TOKENS,
        "locals": {
            "column": _uses(text, r"column\b"),
            "length": _uses(text, r"length\("),
            "joins": _uses(text, "run->whole"),
            "begin": bool(rows) or _uses(text, r"(begin|length)\("),
            "own": _uses(text, "OWN_"),
        },
        "stage_locals": _locals(program, text),
        "own_access": _own_access(plan),
        "run_fields": [{"declaration": f"{c_type}{name}"} for c_type, name in _fields(program)],
    }


def _uses(text: str, pattern: str) -> bool:
    return re.search(rf"\b{pattern}", text) is not None


def _stages(program: Program, plan: Plan) -> list[dict[str, Any]]:
    """Return the calls of every stage; a layer begins with a macro that may measure it."""
    layers = [name for name, calls in program.layers() for _ in calls]
    macro, count, found = f"{program.name.upper()}_LAYER", 0, []
    joins = joined(program, plan)
    for stage in plan.stages:
        lines, title = [], ""
        for chain in chains(program, plan, stage, joins):
            for index in chain:
                if index == 0 or layers[index - 1] != layers[index]:
                    title = title or layers[index]
                    lines.append(
                        f"        if (part == 0) {{\n            {macro}({count});\n        }}"
                    )
                    count += 1
            lines.append(_chain(program, plan, chain, joins))
        found.append({"layer": title, "lines": lines})
    return found


def _chain(program: Program, plan: Plan, chain: list[int], joins: Mapping[int, Join]) -> str:
    """Return calls that hand rows to each other, a block of rows at a time."""
    apart = "\n".join(_call(plan, program.calls[i], plan.cuts[i]) for i in chain)
    join = joins.get(chain[0])
    if join is not None and chain[0] == join.then[0]:
        rest = indent(_blocks(program, plan, chain) if len(chain) > 1 else apart, " " * 4)
        return f"        if (!run->whole) {{\n{rest}\n        }}"
    if join is not None:
        whole = _blocks(program, plan, [*join.first, *join.then])
        return f"""        if (run->whole) {{
{indent(whole, " " * 4)}
        }} else {{
{indent(apart, " " * 4)}
        }}"""
    return _blocks(program, plan, chain) if len(chain) > 1 else apart


def _blocks(program: Program, plan: Plan, chain: Sequence[int]) -> str:
    """Return a loop over blocks of whole rows."""
    rows = plan.cuts[chain[0]].rows
    assert rows is not None
    first, names = _row(rows), ("at", "some")
    calls = "\n".join(
        _call(plan, program.calls[i], plan.cuts[i], names=names, at=12) for i in chain
    )
    end = f"{first} + {_rows(rows)}"
    block = block_of(program, plan, chain)
    return f"""        for (size_t at = {first}; at < {end}; at += {block}) {{
            const size_t some = {end} - at < {block} ? {end} - at : {block};

{calls}
        }}"""


def _kinds(plan: Plan) -> str:
    """Return the elements of the table of stages."""
    bits = [(s.waits[0], s.alone[0], s.waits[1], s.alone[1]) for s in plan.stages]
    kinds = [sum(1 << i for i, bit in enumerate(each) if bit) for each in bits]
    return wrap("", [str(kind) for kind in kinds], "", 8)


def _fields(program: Program) -> list[tuple[str, str]]:
    """Return type and name of what a run has beside its memory."""
    sized = program.max_tokens > 0 and any(
        not v.extent.static for call in program.calls for v in (*call.reads, *call.writes)
    )
    return [
        *((f"const {p.view.storage.c_type} *", p.view.storage.name) for p in program.inputs),
        *((("size_t ", TOKENS),) if sized else ()),
        *((("size_t ", "position"),) if program.state else ()),
        *((f"{p.view.storage.c_type} *", p.view.storage.name) for p in program.outputs),
    ]


def _locals(program: Program, text: str) -> list[str]:
    """Return the declarations of what the calls name, taken from the run."""
    found = []
    if _uses(text, r"(OWN_)?[UI]\d+\("):
        found.append("unsigned char *const base = run->base;")
    if _uses(text, "CACHE_"):
        found.append("unsigned char *const held = run->held;")
    for c_type, name in _fields(program):
        if _uses(text, rf"{name}\b") or (name == TOKENS and _uses(text, r"rows?\b")):
            constant = f"{c_type}const " if c_type.endswith("*") else f"const {c_type}"
            found.append(f"{constant}{name} = run->{name};")
    return found


def _row(rows: Extent) -> str:
    return "row" if rows == _TOKENS else f"row_of_{rows.coefficient}"


def _rows(rows: Extent) -> str:
    return "rows" if rows == _TOKENS else f"rows_of_{rows.coefficient}"


def _times(name: str, factor: int) -> str:
    return name if factor == 1 else f"{name} * {factor}"


def _call(
    plan: Plan, call: Call, cut: Cut, *, names: tuple[str, str] | None = None, at: int = 8
) -> str:
    """Return a call of one part, or of whole rows where the first and their number have names."""
    arguments: list[Argument] = list(call.arguments)
    which = "column" if cut.tall else "part"
    if cut.span:
        ends = (which, f"{which} + 1")
        arguments[:2] = [f"begin({end}, {which}s, {cut.span}, {cut.step})" for end in ends]
    if cut.aligned and names is None:
        return _by_columns(call, cut, which)
    split = cut.elements and names is None
    if cut.rows is not None and (cut.tall or cut.elements):
        row, rows = names or (_row(cut.rows), _rows(cut.rows) if cut.tall else str(cut.rows))
        total = _times(rows, cut.width)
        arguments[cut.count] = f"length({which}, {which}s, {total}, {ELEMENTS})" if split else total
        for index, width in cut.moved.items():
            ways = [_times(row, width)] if cut.tall else []
            ways += [f"begin({which}, {which}s, {total}, {ELEMENTS})"] if split else []
            arguments[index] = " + ".join([argument(call.arguments[index]), *ways])
        if cut.position and cut.tall:
            arguments[cut.position] = f"{argument(call.arguments[cut.position])} + {row}"
    for index, given in enumerate(call.arguments):
        if isinstance(given, View) and given.storage in plan.scratch:
            macro = f"OWN_{access(given.storage)}"
            arguments[index] = f"{macro}(at_{given.storage.name}, {plan.scratch[given.storage]})"
    return call_text(call, arguments, indent=at)


def _by_columns(call: Call, cut: Cut, which: str) -> str:
    """Return the calls of one part, which takes some columns of each of its rows."""
    arguments = list(call.arguments)
    columns = f"{which}, {which}s, {cut.width}, {ELEMENTS}"
    arguments[cut.count] = f"length({columns})"
    only = cut.rows == ONE
    for index in cut.moved:
        ways = [argument(call.arguments[index]), *([] if only else [f"i * {cut.width}"])]
        arguments[index] = " + ".join([*ways, f"begin({columns})"])
    if only:
        return call_text(call, arguments, indent=8)
    assert cut.rows is not None
    first, end = "0", str(cut.rows)
    if cut.tall:
        first, end = _row(cut.rows), f"{_row(cut.rows)} + {_rows(cut.rows)}"
    text = call_text(call, arguments, indent=12)
    return f"        for (size_t i = {first}; i < {end}; i++) {{\n{text}\n        }}"


def _own_access(plan: Plan) -> list[str]:
    """Return the macros of scratch: the arena's for the first part, else the part's own."""
    kinds = {access(s): s.c_type for s in plan.scratch}
    return [
        f"#define OWN_{name}(at, behind) "
        f"(({kinds[name]} *)(void *)(own == NULL ? base + (at) : own + (behind)))"
        for name in sorted(kinds)
    ]


def parallel_context(program: Program, plan: Plan, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model whose runs can be shared shows beside `context`.

    Args:
        program: the model.
        plan: how its calls are shared.
        context: what the model's own templates show.
    """
    name, given = program.name, context["parameters"]
    stop, sets = quiet(program) if program.generates else 0, context["target"].sets

    def signature(entry: str) -> str:
        return wrap(f"int {entry}(", [f"const struct {name}_parallel *parallel", *given], ")", 0)

    values = ["base", *(["held"] if program.state else [])]
    values += [field for _, field in _fields(program)]
    scratch = "parallel == NULL ? NULL : (unsigned char *)parallel->scratch"
    stages = _stage_context(program, plan, stop)
    whole = ["by_rows || parts == 1"] if stages["locals"]["joins"] else []
    return {
        **stages,
        "parallel_signature": signature(f"{name}_run_parallel"),
        "entry_signature": signature(f"{name.upper()}_ENTRY" if sets else f"{name}_run_parallel"),
        "sets": [
            {
                "entry": f"{name}_run_{s.name}",
                "signature": signature(f"{name}_run_{s.name}"),
                "set": s,
            }
            for s in sets
        ],
        "any_signature": signature(f"{name}_run_any"),
        "run_values": wrap(
            "struct run run = { ", [*values, scratch, "parts", "1", *whole, "0", "0"], " };"
        ),
        "run_arguments": ", ".join(re.split(r"\W+", p)[-1] for p in given),
        "sources": (
            *context["sources"],
            f"{name}_threads.c",
            *(f"{name}_{s.name}.c" for s in sets),
        ),
        "headers": (*context["headers"], f"{name}_threads.h"),
    }
