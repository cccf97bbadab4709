"""Explain an artifact or a model: what `intcc inspect` shows."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import onnx_ir as ir

from intcc.errors import DataError
from intcc.runtime.artifact import Artifact
from intcc.runtime.reference import load_graph

__all__ = ["describe_model", "describe_value"]


def describe_model(model: str | Path) -> dict[str, Any]:
    """Import a float model and tell what it consists of and what has no integer rule.

    Raises:
        ModelError: the model cannot be imported.
    """
    from intcc.frontends import load_source
    from intcc.passes.canonicalize import canonicalize
    from intcc.passes.lowering import RULES

    source = load_source(model)
    graph = canonicalize(source.model).graph
    floats = [n for n in graph if any(v.dtype == ir.DataType.FLOAT for v in n.outputs)]
    counts = Counter(n.op_type for n in floats)
    parameters = sum(
        v.const_value.size
        for v in graph.initializers.values()
        if v.const_value is not None and v.dtype == ir.DataType.FLOAT
    )
    return {
        "name": source.name,
        "task": source.task,
        "max_length": source.max_length or None,
        "parameters": int(parameters),
        "inputs": [_value(v) for v in graph.inputs],
        "outputs": [_value(v) for v in graph.outputs],
        "operators": dict(sorted(counts.items())),
        "unsupported": sorted(set(counts) - set(RULES)),
        "notes": list(source.notes),
    }


def _value(value: ir.Value) -> dict[str, Any]:
    shape = (
        None if value.shape is None else [d if isinstance(d, int) else str(d) for d in value.shape]
    )
    dtype = None if value.dtype is None else value.dtype.name.lower()
    return {"name": str(value.name), "dtype": dtype, "shape": shape}


def describe_value(artifact: Artifact, name: str) -> dict[str, Any]:
    """Tell where a value of the integer graph comes from and what its integers mean.

    Args:
        artifact: the compiled model.
        name: a value of integer.onnx, or of the float graph it stands for.

    Raises:
        DataError: no such value; names the nearest.
    """
    from intcc.passes.prove_ranges import prove_ranges

    model = load_graph(artifact.integer_onnx)
    values: dict[str, ir.Value] = {str(v.name): v for v in model.graph.inputs}
    values.update({str(v.name): v for v in model.graph.initializers.values()})
    values.update({str(v.name): v for node in model.graph for v in node.outputs})
    by_float = {v.metadata_props.get("intcc.float", ""): v for v in values.values()}
    value = values.get(name) or by_float.get(name)
    if value is None:
        near = get_close_matches(name, [*values, *filter(None, by_float)], 3, 0.3)
        raise DataError(
            f"Value '{name}'",
            "is not in the graph",
            f"Nearest: {', '.join(near)}" if near else "List them with --layers",
        )
    interval = prove_ranges(model)[str(value.name)]
    node = value.producer()
    record = next((r for r in artifact.report()["layers"] if r["name"] == value.name), None)
    return {
        **_value(value),
        "proved_range": [interval.min, interval.max],
        "scale": value.metadata_props.get("intcc.scale"),
        "float_value": value.metadata_props.get("intcc.float"),
        "layer": None if node is None else node.metadata_props.get("intcc.layer"),
        "made_by": None if node is None else node.op_type,
        "from": [] if node is None else [str(v.name) for v in node.inputs if v is not None],
        "used_by": [f"{user.op_type} {user.outputs[0].name}" for user, _ in value.uses()],
        "sqnr_db": None if record is None else record["sqnr_db"],
        "range_seen": None if record is None else [record["low"], record["high"]],
    }
