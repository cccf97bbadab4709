"""C text of a program's parts: declarations, arguments, wrapped calls, tables in comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from intcc.backends.c.arena import Arena
from intcc.backends.c.literals import array_dimensions, array_pieces, integer
from intcc.backends.c.placement import alignment_specifier, specifiers
from intcc.backends.c.program import Argument, Call, Place, Program, Storage, View
from intcc.backends.c.render import render_kernel
from intcc.backends.c.shapes import TOKENS, Extent
from intcc.backends.c.state import StateRegion

__all__ = [
    "access",
    "access_macros",
    "arena_rows",
    "argument",
    "call_text",
    "declaration",
    "definition",
    "kernel_texts",
    "shape_text",
    "state_rows",
    "wrap",
]

_COLUMNS = 96
#: Macro that turns an arena offset into a pointer, by element type.
_ACCESS = {
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
}


def wrap(head: str, items: Sequence[str], tail: str, indent: int = 4) -> str:
    """Return head + comma separated items + tail, broken into lines."""
    lines, line = [], " " * indent + head
    for position, item in enumerate(items):
        word = item + (", " if position + 1 < len(items) else tail)
        if len(line) + len(word.rstrip()) > _COLUMNS and line.strip():
            lines.append(line.rstrip())
            line = " " * (indent + 4)
        line += word
    return "\n".join([*lines, line.rstrip()])


def access(storage: Storage) -> str:
    """Return the name of the macro that turns an offset into a pointer of a storage's type."""
    return _ACCESS[storage.dtype.name]


def _view(view: View) -> str:
    storage = view.storage
    if storage.place is Place.ARENA:
        pointer = f"{access(storage)}(at_{storage.name})"
    elif storage.place is Place.STATE:
        pointer = f"CACHE_{access(storage)}(in_{storage.name})"
    elif storage.data is not None and _dimensions(storage).count("[") > 1:
        pointer = f"{storage.name}[0]"
    else:
        pointer = storage.name
    if view.stride:
        pointer += f" + position * {view.stride}"
    if view.last:
        pointer += f" + ({TOKENS} - 1) * {view.last}"
    return pointer if view.offset is None else f"{pointer} + {view.offset}"


def argument(a: Argument) -> str:
    """Return the C expression of an argument."""
    if isinstance(a, View):
        return _view(a)
    return integer(a) if isinstance(a, int) else str(a)


def call_text(call: Call, arguments: Sequence[Argument] | None = None, indent: int = 4) -> str:
    """Return a call as C lines, its shapes as a comment above.

    Args:
        call: the call.
        arguments: in place of its own.
        indent: columns in front of it.
    """
    given = call.arguments if arguments is None else arguments
    texts = [argument(a) for a in given]
    if call.fails:
        text = wrap(f"if ({call.kernel.name}(", texts, ") != 0) {", indent)
        text += f"\n{' ' * (indent + 4)}return {call.fails};\n{' ' * indent}}}"
    else:
        text = wrap(f"{call.kernel.name}(", texts, ");", indent)
    return f"{' ' * indent}/* {call.operator}: {call.note} */\n{text}" if call.note else text


def access_macros(program: Program) -> list[str]:
    """Return the definitions of the pointer macros that the calls use."""
    lines = []
    for place, prefix, base in ((Place.ARENA, "", "base"), (Place.STATE, "CACHE_", "held")):
        used = {
            v.storage.dtype.name: v.storage.c_type
            for call in program.calls
            for v in call.arguments
            if isinstance(v, View) and v.storage.place is place
        }
        lines += [
            f"#define {prefix}{_ACCESS[name]}(at) (({used[name]} *)(void *)({base} + (at)))"
            for name in sorted(used)
        ]
    return lines


def shape_text(dims: Iterable[Extent]) -> str:
    """Return [n, 384]."""
    return f"[{', '.join(map(str, dims))}]"


def arena_rows(program: Program, arena: Arena) -> list[str]:
    """Return the arena map: one row a region, with the value that first lives there."""
    shapes: dict[Storage, str] = {}
    for call in program.calls:
        for view in call.writes:
            shapes.setdefault(view.storage, shape_text(view.dims))
    rows = []
    width = max((len(r.storage.name) for r in arena.regions), default=0)
    for position, r in enumerate(arena.regions):
        scratch = f"[{r.storage.extent}], scratch"
        what = f"{r.storage.c_type.removesuffix('_t')} {shapes.get(r.storage, scratch)}"
        comma = "," if position + 1 < len(arena.regions) else " "
        left = f"at_{r.storage.name}{' ' * (width - len(r.storage.name))} = {r.offset:>9}{comma}"
        rows.append(f"{left} /* {r.size:>9} {r.first:>4} .. {r.last:<4} {what} */")
    return rows


def state_rows(regions: Sequence[StateRegion]) -> list[str]:
    """Return the map of the state: one row an array."""
    rows = []
    width = max((len(r.storage.name) for r in regions), default=0)
    for position, r in enumerate(regions):
        comma = "," if position + 1 < len(regions) else " "
        left = f"in_{r.storage.name}{' ' * (width - len(r.storage.name))} = {r.offset:>9}{comma}"
        what = f"{r.storage.c_type.removesuffix('_t')} [{r.storage.extent}]"
        rows.append(f"{left} /* {r.size:>9} {what} */")
    return rows


def _dimensions(storage: Storage) -> str:
    """Return the C dimensions of constant data without formatting its elements."""
    assert storage.data is not None
    return array_dimensions(storage.data)


def declaration(storage: Storage, upper: str) -> str:
    """Return the extern declaration of constant data, with the alignment of its definition.

    Without it a compiler counts on what its ABI says of arrays: 16 bytes on x86-64, where the
    definition may ask for 8.
    """
    kind = f"{alignment_specifier(storage, upper)}const {storage.c_type}"
    return f"extern {kind} {storage.name}{_dimensions(storage)};"


def definition(storage: Storage, upper: str) -> Iterator[str]:
    """Yield the definition of constant data in pieces; its macros begin with `upper`."""
    assert storage.data is not None
    head = f"{specifiers(storage, upper)} {storage.c_type} {storage.name}"
    yield f"{head}{array_dimensions(storage.data)} = {{\n"
    yield from array_pieces(storage.data)
    yield "\n};"


def kernel_texts(program: Program) -> list[str]:
    """Return the C functions that the model brings, callees first."""
    return [render_kernel(k, program.machine) for k in program.kernels() if k.template]
