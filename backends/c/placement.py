"""Placement: the macros that say where constant data and the caller's memory lie.

A group of data (KINDS of `target`) has a macro, <NAME>_WEIGHTS_SECTION and so on. It stands for the
region that the target names for it, <NAME>_DTCM_SECTION, and that for nothing until the user
defines it. So one definition fills a memory, and another moves a single group elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from intcc.backends.c.program import Program, Storage
from intcc.backends.c.target import Target

__all__ = ["Placement", "SectionMacro", "alignment_specifier", "plan_placement", "specifiers"]


@dataclass(frozen=True)
class SectionMacro:
    """One macro of the header.

    Attributes:
        name: the macro.
        default: what it stands for where the user does not define it.
        what: a comment.
    """

    name: str
    default: str
    what: str


@dataclass(frozen=True)
class Placement:
    """What the header tells of memories.

    Attributes:
        regions: memories that the target names for data.
        groups: groups of data.
        code: (name, description) of memories for functions, which have no macro: all functions of
            the model are in one object, which a linker script places.
    """

    regions: tuple[SectionMacro, ...]
    groups: tuple[SectionMacro, ...]
    code: tuple[tuple[str, str], ...]


def _section(program: Program, name: str) -> str:
    return f"{program.name}_{name}_SECTION".upper()


def plan_placement(
    program: Program, target: Target, arena: int, state: int, *, section: bool = False
) -> Placement:
    """Return the macros of a program.

    Args:
        program: the model.
        target: its machine.
        arena: bytes of working memory.
        state: bytes of what is kept from call to call.
        section: whether weights and tables have a section of their own, which no macro names.
    """
    sizes = {
        hot: sum(s.bytes_at(1) for s in program.constants if s.hot is hot) for hot in (False, True)
    }
    groups = {
        "weights": f"Weights and tables: {sizes[False]} bytes.",
        "parameters": f"Numbers per channel, small tables, all hot: {sizes[True]} bytes.",
        "arena": f"The caller's arena: {arena} bytes.",
    }
    if program.state:
        groups["cache"] = f"The caller's cache: {state} bytes."
    if program.generates:
        groups["arena"] = f"The caller's arena, {arena} bytes, or its state, which holds both."
    if section:
        groups.pop("weights")
    places = {kind: r.name for r in target.regions for kind in r.kinds}
    return Placement(
        tuple(
            SectionMacro(_section(program, r.name), "", f"{r.name}: {r.description}")
            for r in target.regions
            if set(r.kinds) & set(groups)
        ),
        tuple(
            SectionMacro(
                _section(program, kind),
                _section(program, places[kind]) if kind in places else "",
                what,
            )
            for kind, what in groups.items()
        ),
        tuple((r.name, r.description) for r in target.regions if "code" in r.kinds),
    )


def alignment_specifier(storage: Storage, upper: str) -> str:
    """Return what aligns constant data, for declaration and definition alike, or nothing."""
    return "" if storage.hot else f"{upper}_ALIGNED "


def specifiers(storage: Storage, upper: str) -> str:
    """Return what stands before the definition of constant data."""
    section = "PARAMETERS" if storage.hot else "WEIGHTS"
    return f"{upper}_{section}_SECTION {alignment_specifier(storage, upper)}const"
