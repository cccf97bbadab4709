"""Flash and stack of an artifact's C on its target, measured with the target's own tools."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from intcc.backends.c.target import Target
from intcc.errors import MissingToolError
from intcc.objects.build import build, model_sources
from intcc.objects.callgraph import FLAGS, call_graph
from intcc.toolchain import find_tools

__all__ = ["Footprint", "measure", "measure_if_possible"]


@dataclass(frozen=True)
class Footprint:
    """What the model's objects take.

    Attributes:
        flash_bytes: code and constant data.
        stack_bytes: the deepest path, from any public function down.
        path: its functions.
    """

    flash_bytes: int
    stack_bytes: int
    path: tuple[str, ...]


def measure(folder: Path, target: Target) -> Footprint:
    """Compile generated C and measure it.

    Args:
        folder: the generated C.
        target: whose compiler and flags to use.

    Raises:
        ToolError: a tool is missing or fails.
        RecursionFoundError: the stack has no bound.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tools = find_tools(target)
        objects = build(model_sources(folder), tools, Path(scratch), *FLAGS)
        stack, path = call_graph(objects).deepest()
        return Footprint(objects.sizes().flash, stack, tuple(path))


def measure_if_possible(folder: Path, target: Target) -> Footprint | None:
    """As `measure`; None where the target names no compiler of its own, or it is not installed."""
    if target.toolchain is None:
        return None
    try:
        return measure(folder, target)
    except MissingToolError:
        return None
