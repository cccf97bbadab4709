"""Imports run one way: a component imports only components of a lower rank."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: From the bottom to the top; components of one line do not import each other.
RANKS = (
    ("_version", "errors", "dyadic", "progress", "requantization", "silence"),
    ("interval", "budget", "macs", "specs", "qparams", "staging"),
    ("settings", "sites"),
    ("stages", "ops", "templates"),
    ("sampling",),
    ("passes", "backends", "frontends", "runtime"),
    ("generation", "host", "layers", "roofline", "toolchain"),
    ("emulation", "objects"),
    ("float_step", "measurement", "model", "perplexity", "reach"),
    ("pipeline",),
    ("report",),
    ("flavours",),
    ("build",),
    ("locate",),
    ("agreement", "evaluate", "verification", "support", "describe"),
    ("benchmark", "decoder_benchmark", "instructions", "layer_times"),
    ("api",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}

#: Imports for annotations only, which bind nothing at run time, are free.
TYPING_ONLY = "TYPE_CHECKING"


def sources() -> list[tuple[str, Path]]:
    found = []
    for folder in ("intcc", "passes", "backends", "templates"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if folder == "intcc" else ("intcc", *parts)
            if len(parts) == 2 and parts[1] == "__init__":
                continue  # the package itself imports the API lazily, for its users
            found.append((parts[1], path))
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the components of intcc that a module imports at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == TYPING_ONLY:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("intcc."):
                    yield alias.name.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "intcc":
                yield from [parts[1]] if len(parts) > 1 else [a.name for a in node.names]
        yield from imported(node)


@pytest.mark.parametrize(("component", "path"), sources(), ids=lambda x: str(x)[-40:])
def test_imports_go_down(component: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for target in imported(tree):
        if target == component or target == "__version__":
            continue
        assert RANK[target] < RANK[component], f"{component} imports {target}"


def test_every_component_has_a_rank() -> None:
    assert {component for component, _ in sources()} == set(RANK)
