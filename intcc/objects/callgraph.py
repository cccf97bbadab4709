"""The call graph of objects and the deepest path through it.

Each function stands in a section of its own, so every call carries a relocation; what a function's
code refers to, it may call. A reference to a function counts whether it is a call, a jump (a tail
call frees its caller's frame first: the sum is then too large, never too small) or a mere address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from intcc.errors import IntccError, ToolError
from intcc.objects.build import Objects

__all__ = ["FLAGS", "RUNTIME", "RUNTIME_FRAME", "CallGraph", "Instruction", "call_graph", "parse"]

#: What `build` must be given for `call_graph`.
FLAGS = ("-ffunction-sections", "-fstack-usage")
#: Routines that compilers call on their own: division, shifts, switches, copies.
RUNTIME = re.compile(r"__\w+|mem(?:cpy|set|move|cmp)|strlen")
#: Bytes counted for one of them; they call no code of ours. The deepest on these targets, 64-bit
#: division of libgcc on Armv6-M, takes about a hundred.
RUNTIME_FRAME = 128

_SECTION = re.compile(r"Disassembly of section (\S+):")
_LABEL = re.compile(r"[0-9a-f]+ <(\S+)>:")
_LINE = re.compile(r"\s*[0-9a-f]+:\t(\S+)([^\t]*(?:\t(?!\s*[0-9a-f]+: R_)[^\t]*)*)(.*)")
_RELOCATION = re.compile(r"[0-9a-f]+: (R_\w+)\s+(\S+)")
_ADDEND = re.compile(r"(?:[-+]0x[0-9a-f]+|@\w+)$")
_CODE_SECTION = re.compile(r"\.text\.(?:unlikely\.|startup\.|hot\.)?(\S+)")
_CALL = re.compile(r"bl|blx|call\w*|jal")
_INDIRECT = re.compile(r"blx\s+(?:r\d|ip|sl|fp|sb|lr)|blr|jalr|call\w*\s+\*")


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly.

    Attributes:
        function: where it stands.
        mnemonic: its name.
        operands: the rest.
        references: (relocation type, symbol) that the linker fills in.
    """

    function: str
    mnemonic: str
    operands: str
    references: tuple[tuple[str, str], ...]


def parse(text: str) -> list[Instruction]:
    """Read the output of `objdump -drw --no-show-raw-insn`."""
    function, found = "", []
    for line in text.splitlines():
        label = _LABEL.match(line)
        if label:
            if not label[1].startswith("."):
                function = label[1]
            continue
        match = _LINE.match(line)
        if match and not match[1].startswith("R_"):
            references = [(kind, _symbol(name)) for kind, name in _RELOCATION.findall(line)]
            operands = match[2].strip()
            found.append(Instruction(function, match[1], operands, tuple(references)))
    return found


def _symbol(name: str) -> str:
    """Return a relocation's symbol; for a function's section, the function."""
    bare = _ADDEND.sub("", _ADDEND.sub("", name))
    section = _CODE_SECTION.fullmatch(bare)
    return section[1] if section else bare


class RecursionFoundError(IntccError):
    """A function calls itself, directly or through others."""


@dataclass
class CallGraph:
    """Who calls whom, with frames.

    Attributes:
        frames: bytes by function.
        calls: callees by function; names that are no keys are routines from elsewhere.
        unbounded: functions whose frame depends on data.
        indirect: functions that call through a pointer.
    """

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    unbounded: list[str] = field(default_factory=list)
    indirect: list[str] = field(default_factory=list)

    def foreign(self) -> list[str]:
        """Return callees that are neither the model's nor the compiler's own routines."""
        called = set().union(*self.calls.values()) if self.calls else set()
        return sorted(c for c in called if c not in self.frames and not RUNTIME.fullmatch(c))

    def deepest(self) -> tuple[int, list[str]]:
        """Return the bytes of the deepest path, and the path.

        Raises:
            RecursionFoundError: there is none, as calls form a circle.
        """
        known: dict[str, tuple[int, list[str]]] = {}

        def depth(name: str, above: tuple[str, ...]) -> tuple[int, list[str]]:
            if name in above:
                circle = " -> ".join([*above[above.index(name) :], name])
                raise RecursionFoundError("Recursion", f"is in {circle}")
            if name not in self.frames:
                return RUNTIME_FRAME, [name]
            if name not in known:
                below = [depth(callee, (*above, name)) for callee in sorted(self.calls[name])]
                deep, path = max(below, key=lambda entry: entry[0], default=(0, []))
                known[name] = self.frames[name] + deep, [name, *path]
            return known[name]

        found = [depth(name, ()) for name in sorted(self.frames)]
        return max(found, key=lambda entry: entry[0], default=(0, []))


def call_graph(objects: Objects) -> CallGraph:
    """Read the call graph of objects that were built with FLAGS.

    Raises:
        ToolError: objdump is missing, or a function has no stack usage.
    """
    usage, graph = objects.stack_usage(), CallGraph()
    groups = {name: sorted(names) for names in objects.aliases() for name in names}
    code = parse(objects.disassembly())
    for name in dict.fromkeys(i.function for i in code):
        # Clones are called name.constprop.0.isra.0 by the linker, and in the report without some
        # of the numbers; a function with several names is in the report under one of them.
        spelled = (r"\.\d+$", r"\.\d+(?=\.|$)")
        titles = [
            t for n in groups.get(name, [name]) for t in (n, *(re.sub(s, "", n) for s in spelled))
        ]
        frame = next((usage[title] for title in titles if title in usage), None)
        frame = frame or ((0, True) if name.endswith(".cold") else None)
        if frame is None:
            raise ToolError(f"Function '{name}'", "is not in the compiler's stack report")
        graph.frames[name], graph.calls[name] = frame[0], set()
        if not frame[1]:
            graph.unbounded.append(name)
    for name in list(graph.frames):
        for other in set(groups.get(name, ())) - set(graph.frames):
            graph.frames[other], graph.calls[other] = 0, {name}
    paired = False
    for i in code:
        graph.calls[i.function].update(_callees(i, graph))
        # RISC-V calls are pairs: the first instruction carries the symbol.
        if _INDIRECT.match(f"{i.mnemonic} {i.operands}") and not paired and not i.references:
            graph.indirect.append(i.function)
        paired = any("CALL" in kind for kind, _ in i.references)
    return graph


def _callees(i: Instruction, graph: CallGraph) -> list[str]:
    """Return the functions that an instruction refers to."""
    is_call = bool(_CALL.fullmatch(i.mnemonic))
    found = [
        symbol
        for kind, symbol in i.references
        if not symbol.startswith((".", "*"))
        and (symbol in graph.frames or re.search("CALL|JUMP|PLT", kind))
        # A switch refers to its own function without calling it.
        and (symbol != i.function or is_call or "CALL" in kind)
    ]
    if not i.references and is_call:
        found += re.findall(r"<([^+>]+)>", i.operands)
    return found
