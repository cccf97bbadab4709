"""Gather what is known of a compilation into one JSON-able mapping: report.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

from intcc._version import __version__
from intcc.macs import node_macs

if TYPE_CHECKING:
    from intcc.backends.c.emit import CReport
    from intcc.build import Built

__all__ = ["bytes_by_layer", "collect", "multiply_accumulates"]

#: Bins of a weight histogram: one per two codes of an int8.
WEIGHT_BINS = 128
#: Layers that the histograms show.
WORST = 6


def collect(built: Built, folder: Path, c_report: CReport | None) -> dict[str, Any]:
    """Return what the report of a compilation has of every model.

    Args:
        built: source, samples and compiled graph.
        folder: where the files lie.
        c_report: what the C backend planned; None where it was not asked for.
    """
    graph, source = built.graph, built.source
    layers = [asdict(layer) for layer in graph.layers]
    files = {p.relative_to(folder).as_posix(): p.stat().st_size
             for p in sorted(folder.rglob("*")) if p.is_file()}  # fmt: skip
    report: dict[str, Any] = {
        "intcc": __version__,
        "name": source.name,
        "task": source.task,
        "max_length": source.max_length or None,
        "inputs": [s.to_json() for s in graph.inputs],
        "outputs": [s.to_json() for s in graph.outputs],
        "notes": [*source.notes, *(() if c_report is None else c_report.notes)],
        "calibration": built.calibration,
        "figures": _figures(graph.layers, [s.name for s in graph.outputs], c_report),
        "files": files,
        "operators": {"integer": _count(n.op_type for n in graph.integer.graph)},
        "macs": multiply_accumulates(graph.integer, source.max_length or 1),
        "bytes_by_layer": bytes_by_layer(graph.integer),
        "layers": layers,
        "weights": weight_histograms(graph.integer),
        "corrections": dict(graph.corrections),
    }
    for flavour, file in (
        ("onnx", "model.onnx"),
        ("qlinear", "model.qlinear.onnx"),
        ("qdq", "model.qdq.onnx"),
    ):
        if file in files:
            nodes = onnx.load(folder / file, load_external_data=False).graph.node
            report["operators"][flavour] = _count(n.op_type for n in nodes)
    if c_report is not None:
        report["memory"] = {
            "arena_bytes": c_report.arena_bytes,
            "arena_lower_bound": c_report.arena_lower_bound,
            "state_bytes": c_report.state_bytes,
            "flash_bytes": c_report.flash_bytes,
            "stack_bytes": c_report.stack_bytes,
            "tokenizer_bytes": c_report.tokenizer_bytes,
            "map": [list(entry) for entry in c_report.memory_map],
        }
    return report


def _figures(
    layers: Sequence[Any], outputs: Sequence[str], c_report: CReport | None
) -> dict[str, Any]:
    """Return what `--budget` can limit."""
    sqnr = [layer.sqnr_db for layer in layers if layer.name in outputs]
    return {
        "arena": None if c_report is None else c_report.arena_bytes,
        "flash": None if c_report is None else c_report.flash_bytes,
        "stack": None if c_report is None else c_report.stack_bytes,
        "sqnr": min(sqnr) if sqnr else None,
    }


def _count(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _layer(node: ir.Node) -> str:
    return node.metadata_props.get("intcc.layer", "") or str(node.name)


def bytes_by_layer(model: ir.Model) -> dict[str, int]:
    """Return the bytes of constants by the layer that reads them first."""
    sizes: dict[str, int] = {}
    seen: set[ir.Value] = set()
    for node in model.graph:
        for value in node.inputs:
            if value is None or value in seen or value.const_value is None:
                continue
            seen.add(value)
            sizes[_layer(node)] = sizes.get(_layer(node), 0) + int(value.const_value.nbytes)
    return sizes


def multiply_accumulates(model: ir.Model, length: int) -> int:
    """Return the 8-bit products of one run at batch 1 and the given length."""
    return sum(node_macs(node, length) for node in model.graph)


def weight_histograms(model: ir.Model) -> dict[str, list[int]]:
    """Return, for each weight matrix by the value it makes, counts over [-128, 128)."""
    found = {}
    for node in model.graph:
        for value in node.inputs:
            if value is not None and value.const_value is not None and (
                value.dtype == ir.DataType.INT8 and node.op_type.startswith(("Linear", "Conv"))
            ):  # fmt: skip
                codes = value.const_value.numpy()
                counts = np.histogram(codes, WEIGHT_BINS, (-128, 128))[0]
                found[str(node.outputs[0].name)] = counts.tolist()
    return found


def worst_layers(report: Mapping[str, Any], count: int = WORST) -> list[dict[str, Any]]:
    """Return the records with the lowest SQNR, worst first."""
    return sorted(report["layers"], key=lambda r: (r["sqnr_db"], r["name"]))[:count]
