"""Emit: an integer graph becomes a folder of C.

    <name>.h            what a caller needs, and what a person needs before reading on
    <name>.c            the model: arena map, checks, calls
    <name>_kernels.h    the functions that the model calls, specialised on its shapes
    <name>_weights.h .c constant data, and .bin where it is large
    <name>_memory.h     where that data and the caller's memory lie
    <name>_selftest.c   a recorded input with its output
    examples/main.c     how to call it

and what build systems need: see `firmware`.

A text generator has its sampler, its tokenizer and an example of its own: see `generator`.

Everything is a function of the graph: the same graph gives the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc._version import __version__
from intcc.backends.c.accelerator import accelerator_files
from intcc.backends.c.arena import Arena, plan
from intcc.backends.c.chains import defer
from intcc.backends.c.firmware import firmware_files
from intcc.backends.c.generator import (
    Companions,
    Generation,
    emit_companions,
    generator_context,
    quiet,
)
from intcc.backends.c.interface import Port, ports
from intcc.backends.c.last_token import generates_text, keep_last_token
from intcc.backends.c.literals import array_body
from intcc.backends.c.npu_call import npu_context
from intcc.backends.c.placement import plan_placement
from intcc.backends.c.program import Program
from intcc.backends.c.recorded import recorded_feeds, recorded_tokens
from intcc.backends.c.render import render
from intcc.backends.c.select import select
from intcc.backends.c.stages import parallel_context
from intcc.backends.c.state import plan_state
from intcc.backends.c.target import Target, load_target
from intcc.backends.c.text import (
    access_macros,
    arena_rows,
    call_text,
    declaration,
    kernel_texts,
    state_rows,
    wrap,
)
from intcc.backends.c.threads import plan_threads
from intcc.backends.c.weights import place, write_weights
from intcc.backends.npu.part import Part

__all__ = ["CReport", "OperatorFigures", "emit_c"]

Array = npt.NDArray[Any]
Evaluate = Callable[[ir.Model, Mapping[str, Array]], Mapping[str, Array]]

#: Stack of the run function and of registers that compilers spill, on top of a kernel's arrays.
_FRAME = 2048


@dataclass(frozen=True)
class OperatorFigures:
    """One kind of operator: how often it is called, and its multiply-accumulates."""

    calls: int
    macs: int


@dataclass(frozen=True)
class CReport:
    """Figures of the emitted C, for the largest number of tokens.

    Attributes:
        name: prefix of all public names.
        arena_bytes: working memory that the caller provides.
        arena_lower_bound: what no packing can go below.
        state_bytes: memory that lives from call to call, the caller's too; 0 where nothing does.
        flash_bytes: constant data.
        stack_bytes: estimate of the deepest call.
        memory_map: (name, offset, size, first call, last call) of every region.
        operators: calls and multiply-accumulates by operator.
        flash_by_layer: bytes of constant data by layer.
        tokenizer_bytes: constant data of the tokenizer, on top of the model's.
        notes: what a user should know.
    """

    name: str
    arena_bytes: int
    arena_lower_bound: int
    state_bytes: int
    flash_bytes: int
    stack_bytes: int
    memory_map: list[tuple[str, int, int, int, int]]
    operators: dict[str, OperatorFigures]
    flash_by_layer: dict[str, int]
    tokenizer_bytes: int = 0
    notes: tuple[str, ...] = ()


def emit_c(
    integer: ir.Model,
    folder: Path,
    *,
    target: str = "generic",
    ternary: str | None = None,
    threads: bool | None = None,
    weights: str | None = None,
    chunk: int | None = None,
    offload: Sequence[str] = (),
    parts: Sequence[Part] = (),
    generation: Generation | None = None,
    evaluate: Evaluate | None = None,
) -> CReport:
    """Write the C form of an integer graph.

    A text generator computes logits for the last token of a call alone.

    Args:
        integer: operators of ai.intcc and data movement.
        folder: where the files go; it is created.
        target: name of a file in targets/.
        ternary: packing of ternary layers, in place of the target's choice.
        threads: whether threads can share a run, in place of the target's choice.
        weights: constant data as "c", or as the bytes of a "section"; by its size by default.
        chunk: most tokens of a text generator's call; its whole context by default.
        offload: what an accelerator is called for, of "matmul" and "conv".
        parts: nodes that an NPU computes, of a graph that continues no texts; runs with parts are
            not shared among threads.
        generation: settings of a text generator; the fewest by default.
        evaluate: runs the graph on a recorded input for the self-test; none is written without.

    Raises:
        UnsupportedOperatorError: an operator or a shape has no C form.
        SettingsError: no such target, packing or form of weights, threads where there is one core,
            or a section where there is none.
    """
    generates = generates_text(integer)
    if generates:
        integer = keep_last_token(integer)
    machine = load_target(target, ternary=ternary, threads=False if parts else threads)
    program = select(integer, machine, chunk if generates else None, offload, parts)
    program.generates = generates
    placed = place(program, machine, weights)
    if machine.threads:
        defer(program)
    shared = plan_threads(program, quiet(program) if generates else 0) if machine.threads else None
    arena = plan(program, shared.groups if shared else ())
    folder.mkdir(parents=True, exist_ok=True)
    generation, companions = generation or Generation(), Companions()
    if generates:
        companions = emit_companions(generation, program.name, folder)
    report = _figures(program, arena, companions)
    context = _context(integer, program, arena, report, machine, selftest=evaluate is not None)
    context |= {
        "section": bool(placed),
        "placement": plan_placement(
            program, machine, report.arena_bytes, report.state_bytes, section=bool(placed)
        ),
    }
    if generates:
        two = (context["inputs"][0], context["outputs"][0])
        context |= generator_context(program, generation, companions, two)
    if shared is not None:
        context |= parallel_context(program, shared, context)
    accelerator = accelerator_files(program) if offload else {}
    context |= npu_context(program, parts)
    if parts:
        accelerator[f"{program.name}_npu.c"] = render("npu/npu.c", context)
    beside = [path for path in accelerator if "/" not in path]
    context["sources"] = (*context["sources"], *(p for p in beside if p.endswith(".c")))
    context["headers"] = (*context["headers"], *(p for p in beside if p.endswith(".h")))
    files = {
        f"{program.name}.h": render("model.h", context),
        f"{program.name}.c": render("model.c", context),
        f"{program.name}_kernels.h": render("kernels.h", context),
        f"{program.name}_weights.h": render("weights.h", context),
        f"{program.name}_memory.h": render("memory.h", context),
        f"examples/{context['example']}.c": render(
            "generate.c" if generates else "main.c", context
        ),
        **firmware_files(context),
        **accelerator,
    }
    if shared is not None:
        files[f"{program.name}_threads.h"] = render("threads.h", context)
        files[f"{program.name}_threads.c"] = render("threads.c", context)
    if machine.sets:
        files[f"{program.name}_sets.h"] = render("sets.h", context)
        for kernels in machine.sets:
            text = render("set.c", {**context, "set": kernels})
            files[f"{program.name}_{kernels.name}.c"] = text
    if evaluate is not None:
        files[f"{program.name}_selftest.c"] = _selftest(integer, program, context, evaluate)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    write_weights(program, placed, context, folder)
    return report


def _figures(program: Program, arena: Arena, companions: Companions) -> CReport:
    tokens = max(program.max_tokens, 1)
    calls: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for call in program.calls:
        calls[call.operator] += 1
        macs[call.operator] += call.macs.at(tokens) if call.macs is not None else 0
    layers: Counter[str] = Counter()
    for storage in program.constants:
        layers[storage.layer] += storage.bytes_at(tokens)
    deepest = max((call.kernel.stack for call in program.calls), default=0)
    return CReport(
        name=program.name,
        arena_bytes=arena.size,
        arena_lower_bound=arena.lower_bound,
        state_bytes=plan_state(program)[1],
        flash_bytes=program.flash_bytes,
        stack_bytes=deepest + _FRAME,
        memory_map=[(r.storage.name, r.offset, r.size, r.first, r.last) for r in arena.regions],
        operators={k: OperatorFigures(calls[k], macs[k]) for k in sorted(calls)},
        flash_by_layer=dict(sorted(layers.items())),
        tokenizer_bytes=companions.tokenizer.table_bytes if companions.tokenizer else 0,
        notes=(*companions.notes, *_kept(program)),
    )


def _kept(program: Program) -> list[str]:
    """Return a note for what an accelerator was asked for and does not get."""
    if not program.kept:
        return []
    names = ", ".join(program.kept)
    return [f"Not offloaded, as no rescale of 31 bits gives the quotient's bits: {names}"]


def _banners(program: Program) -> list[dict[str, Any]]:
    """Group the calls under the layer that they belong to."""
    logits = program.outputs[0].view.storage.name
    returns = _RETURN.format(logits=logits, upper=program.name.upper())
    last = quiet(program) if program.generates else 0
    groups, count = [], 0
    for layer, calls in program.layers():
        texts = []
        for call in calls:
            texts.append(call_text(call))
            count += 1
            texts += [returns] if count == last else []
        groups.append({"layer": layer, "calls": texts})
    return groups


#: Behind the calls that fill the caches.
_RETURN = """    if ({logits} == NULL) {{
        return {upper}_OK;
    }}"""


def _parameters(inputs: list[Port], outputs: list[Port], *, tokens: bool, state: bool) -> list[str]:
    return [
        "void *arena",
        *(["void *cache"] if state else []),
        *(f"const {p.c_type} *{p.name}" for p in inputs),
        *(["size_t tokens"] if tokens else []),
        *(["size_t position"] if state else []),
        *(f"{p.c_type} *{p.name}" for p in outputs),
    ]


def _context(
    integer: ir.Model,
    program: Program,
    arena: Arena,
    report: CReport,
    target: Target,
    *,
    selftest: bool,
) -> dict[str, Any]:
    """Return everything that the templates may show."""
    inputs, outputs = ports(program, integer.graph)
    dynamic = program.max_tokens > 0 and _depends_on_tokens(program)
    state = bool(program.state)
    parameters = _parameters(inputs, outputs, tokens=dynamic, state=state)
    return {
        "version": __version__,
        "name": program.name,
        "upper": program.name.upper(),
        "task": integer.metadata_props.get("intcc.task", ""),
        "report": report,
        "target": target,
        "alignment": program.alignment,
        "threads": program.threads,
        "offload": ", ".join(program.offload),
        "dynamic": dynamic,
        "max_tokens": program.max_tokens,
        "inputs": inputs,
        "outputs": outputs,
        "state": state,
        "generates": program.generates,
        "sources": (),
        "headers": (),
        "example": "main",
        "context": program.context,
        "state_rows": state_rows(plan_state(program)[0]),
        "parameters": parameters,
        "signature": wrap(f"int {program.name}_run(", parameters, ")", 0),
        "pointers": [
            "arena",
            *(["cache"] if state else []),
            *(p.name for p in (*inputs, *([] if program.generates else outputs))),
        ],
        "arena_rows": arena_rows(program, arena),
        "access": access_macros(program),
        "banners": _banners(program),
        "declarations": [declaration(s, program.name.upper()) for s in program.constants],
        "kernels": kernel_texts(program),
        "intrinsics": sorted(program.headers.items()),
        "selftest": selftest,
        "selftest_bytes": report.arena_bytes + report.state_bytes + sum(_room(program, outputs)),
        "example_tokens": recorded_tokens(program),
        "checked": [p for p in inputs if p.limit is not None],
    }


def _room(program: Program, outputs: list[Port]) -> list[int]:
    """Return the bytes that the self-test keeps for each output, behind the arena."""
    tokens = recorded_tokens(program)
    return [program.aligned(p.extent.at(tokens) * 8) for p in outputs]


def _depends_on_tokens(program: Program) -> bool:
    views = [v for call in program.calls for v in (*call.reads, *call.writes)]
    return any(not v.extent.static for v in views)


def _selftest(
    integer: ir.Model, program: Program, context: Mapping[str, Any], evaluate: Evaluate
) -> str:
    """Return the self-test: one recorded input with its output."""
    feeds = recorded_feeds(program, integer.graph)
    results = evaluate(integer, feeds)
    tokens = recorded_tokens(program)

    def arrays(ports_: list[Port], source: Mapping[str, Array]) -> list[dict[str, Any]]:
        return [
            {
                "name": p.name,
                "c_type": p.c_type,
                "count": p.extent.at(tokens),
                "body": array_body(np.asarray(source[p.source]).reshape(-1), strings=False),
            }
            for p in ports_
        ]

    inputs, outputs = context["inputs"], context["outputs"]
    sizes = _room(program, outputs)
    start = context["report"].arena_bytes + context["report"].state_bytes
    offsets = [start + sum(sizes[:i]) for i in range(len(sizes))]
    recorded = {
        "recorded_inputs": arrays(inputs, feeds),
        "recorded_outputs": arrays(outputs, results),
    }
    for entry, offset in zip(recorded["recorded_outputs"], offsets, strict=True):
        entry["offset"] = offset
    return render("selftest.c", {**context, **recorded, "tokens": tokens})
