"""The support table, computed from the code: nothing in it is typed by hand."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import onnx

from intcc.backends.tosa.rules import RULES as TOSA_RULES
from intcc.ops import OPERATORS
from intcc.ops.operator import Operator
from intcc.passes.lowering import RULES

__all__ = ["FloatSupport", "IntegerSupport", "markdown", "support"]


@dataclass(frozen=True)
class IntegerSupport:
    """One operator of the dialect.

    Attributes:
        name: operator type.
        meaning: first line of its file.
        onnx_nodes: standard nodes of its ONNX body, everything inlined.
        c: whether a C template exists.
        tosa: whether a rule for TOSA exists.
        vectors: literal examples, which every backend must reproduce.
    """

    name: str
    meaning: str
    onnx_nodes: int
    c: bool
    tosa: bool
    vectors: int


@dataclass(frozen=True)
class FloatSupport:
    """One float operator that compiles.

    Attributes:
        name: operator type.
        rule: file of the lowering rule.
    """

    name: str
    rule: str


def _stem(operator: Operator) -> str:
    return operator.reference.__module__.rpartition(".")[2]


def _meaning(operator: Operator) -> str:
    module = sys.modules[operator.reference.__module__]
    first = (module.__doc__ or "").strip().splitlines()[0]
    return first.partition(": ")[2].rstrip(".") or first.rstrip(".")


def _node_count(operator: Operator) -> int:
    """Count the standard nodes of a body, the functions that it calls inlined."""
    nested = {f.name: f.to_function_proto() for f in operator.nested}

    def count(body: onnx.FunctionProto) -> int:
        return sum(count(nested[n.op_type]) if n.domain else 1 for n in body.node)

    return count(operator.function.to_function_proto())


def support() -> tuple[list[IntegerSupport], list[FloatSupport]]:
    """Return the integer operators and the float operators that lower to them."""
    templates = resources.files("intcc.templates") / "c" / "ops"
    integer = [
        IntegerSupport(
            name,
            _meaning(operator),
            _node_count(operator),
            (templates / f"{_stem(operator)}.c.j2").is_file(),
            name in TOSA_RULES,
            len(operator.vectors),
        )
        for name, operator in sorted(OPERATORS.items())
    ]
    floats = [
        FloatSupport(name, rule.__module__.rpartition(".")[2])
        for name, rule in sorted(RULES.items())
    ]
    return integer, floats


def markdown() -> str:
    """Return the tables as Markdown, for the README."""
    integer, floats = support()
    lines = ["| integer operator | meaning | ONNX nodes | C | TOSA |", "|---|---|--:|---|---|"]
    lines += [
        f"| {o.name} | {o.meaning} | {o.onnx_nodes} | {_yes(o.c)} | {_yes(o.tosa)} |"
        for o in integer
    ]
    rules: dict[str, list[str]] = {}
    for f in floats:
        rules.setdefault(f.rule, []).append(f.name)
    lines += ["", "| float operators | lowered by |", "|---|---|"]
    lines += [f"| {', '.join(names)} | `passes/lowering/{r}.py` |" for r, names in rules.items()]
    return "\n".join(lines) + "\n"


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def to_json() -> dict[str, Any]:
    """Return both tables ready for JSON."""
    integer, floats = support()
    return {"integer": [asdict(o) for o in integer], "float": [asdict(f) for f in floats]}
