"""Generated C as machine code: objects, symbols, call graph, flash and stack."""

from __future__ import annotations

from intcc.objects.build import Objects, build, is_program, model_sources
from intcc.objects.callgraph import CallGraph, call_graph
from intcc.objects.footprint import Footprint, measure, measure_if_possible

__all__ = [
    "CallGraph",
    "Footprint",
    "Objects",
    "build",
    "call_graph",
    "is_program",
    "measure",
    "measure_if_possible",
    "model_sources",
]
