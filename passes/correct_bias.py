"""Correct bias: remove the mean error that quantization leaves on each wide linear output.

    bias[n] += E[float y[n]] - E[integer y[n] * unit]          layer by layer, in graph order

Each correction is measured on the integer graph itself, with all earlier corrections in place
(data-free variants of the idea: Nagel et al., 2019). The graph's structure does not change.

    nodes    n1 n2 L1 | L1 n3 L2 | L2 n4 ...        L a layer with a bias

A piece ends with the layer that is measured, and the next one begins with it: its output counts
once it is corrected. What passes on is kept for all samples, so every node runs once or twice,
however many layers there are.

Order      after lower, before prove_ranges (biases move by a few steps of the grid).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc.passes.calibrate import Statistics
from intcc.passes.float_session import Piece, piece_of, piece_session
from intcc.sites import LinearSite

__all__ = ["BIAS_INPUT", "correct_bias"]

#: Operators with a bias on the output's grid, and its position among their inputs.
BIAS_INPUT = {"LinearWide": 3, "ConvWide": 4, "LinearDynamic": 6, "LinearDynamicFull": 6}

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


def correct_bias(
    model: ir.Model,
    sites: Mapping[str, LinearSite],
    statistics: Mapping[str, Statistics],
    samples: Sequence[Feeds],
    functions: Sequence[onnx.FunctionProto],
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Adjust the bias of every LinearWide in place.

    Args:
        model: INTEGER graph, its nodes in order.
        sites: linear layers of the float graph by output name.
        statistics: calibration figures of the same samples.
        samples: integer feeds.
        functions: bodies of the dialect's operators that the graph uses.
        advance: called once per corrected layer.

    Returns:
        Root mean square of the correction by value name, in real units.
    """
    applied: dict[str, float] = {}
    nodes = list(model.graph)
    held = [dict(sample) for sample in samples]
    start = 0
    for stop, node in enumerate(nodes):
        if node.op_type not in BIAS_INPUT:
            continue
        output = node.outputs[0]
        name = output.metadata_props.get("intcc.float", "")
        bias = node.inputs[BIAS_INPUT[node.op_type]]
        if name not in statistics or name not in sites or bias is None:
            continue
        unit = float(output.meta["scale"])
        mean = _mean(model, nodes, (start, stop), held, functions)
        start = stop
        error = statistics[name].mean - mean * unit
        assert bias.const_value is not None
        old = bias.const_value.numpy().astype(np.int64)
        new = np.clip(old + np.rint(error / unit).astype(np.int64), -(2**31) + 1, 2**31 - 1)
        bias.const_value = ir.tensor(new.astype(np.int32), name=bias.name)
        applied[name] = float(np.sqrt((error**2).mean()))
        advance()
    return applied


def _mean(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    span: tuple[int, int],
    held: list[dict[str, Array]],
    functions: Sequence[onnx.FunctionProto],
) -> Array:
    """Return the mean row of node span[1]; `held` moves on to what that and later nodes read."""
    start, stop = span
    before = piece_of(nodes, start, stop)
    last = piece_of(nodes, stop, stop + 1)
    made = {v for n in before.nodes for v in n.outputs}
    reads = [*before.reads, *(v for v in last.reads if v not in made)]
    piece = Piece([*before.nodes, *last.nodes], list(dict.fromkeys(reads)), [])
    output = nodes[stop].outputs[0]
    outputs = [output, *before.leaves]
    session = piece_session(model, piece, outputs, functions)
    names = [str(v.name) for v in outputs]
    still = {str(v.name) for n in nodes[stop:] for v in n.inputs if v is not None}
    total, count = np.zeros(1), 0
    for index, values in enumerate(held):
        given = {str(v.name): values[str(v.name)] for v in piece.reads}
        arrays = dict(zip(names, session.run(names, given), strict=True))
        y = arrays.pop(names[0])
        rows = y.reshape(-1, y.shape[-1]).astype(np.float64)
        total, count = total + rows.sum(0), count + len(rows)
        held[index] = {k: v for k, v in {**values, **arrays}.items() if k in still}
    return np.asarray(total / count)
