"""Correct bias: remove the mean error that quantization leaves on each wide linear output.

    bias[n] += E[float y[n]] - E[integer y[n] * unit]          layer by layer, in graph order

Each correction is measured on the integer graph itself, with all earlier corrections in place
(data-free variants of the idea: Nagel et al., 2019). The graph's structure does not change.

Order      after lower, before prove_ranges (biases move by a few steps of the grid).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort

from intcc.passes.calibrate import Statistics
from intcc.sites import LinearSite

__all__ = ["BIAS_INPUT", "correct_bias"]

#: Operators with a bias on the output's grid, and its position among their inputs.
BIAS_INPUT = {"LinearWide": 3, "ConvWide": 4, "LinearDynamic": 6, "LinearDynamicFull": 6}

Feeds = Mapping[str, npt.NDArray[Any]]


def _with_outputs(emit: Callable[[ir.Model], onnx.ModelProto], model: ir.Model, name: str) -> bytes:
    """Serialize the strict model that yields only the value `name` (and drops what follows)."""
    value = next(v for n in model.graph for v in n.outputs if v.name == name)
    kept = list(model.graph.outputs)
    model.graph.outputs.clear()
    model.graph.outputs.append(value)
    try:
        return bytes(emit(model).SerializeToString())
    finally:
        model.graph.outputs.clear()
        model.graph.outputs.extend(kept)


def correct_bias(
    model: ir.Model,
    sites: Mapping[str, LinearSite],
    statistics: Mapping[str, Statistics],
    samples: Sequence[Feeds],
    emit: Callable[[ir.Model], onnx.ModelProto],
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Adjust the bias of every LinearWide in place.

    Args:
        model: INTEGER graph.
        sites: linear layers of the float graph by output name.
        statistics: calibration figures of the same samples.
        samples: integer feeds.
        emit: strict emission.
        advance: called once per corrected layer.

    Returns:
        Root mean square of the correction by value name, in real units.
    """
    applied: dict[str, float] = {}
    for node in [n for n in model.graph if n.op_type in BIAS_INPUT]:
        output = node.outputs[0]
        name = output.metadata_props.get("intcc.float", "")
        bias = node.inputs[BIAS_INPUT[node.op_type]]
        if name not in statistics or name not in sites or bias is None:
            continue
        unit = float(output.meta["scale"])
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(
            _with_outputs(emit, model, str(output.name)),
            options,
            providers=["CPUExecutionProvider"],
        )
        wanted = {i.name for i in session.get_inputs()}
        total, count = 0.0, 0
        for sample in samples:
            y = session.run(None, {k: v for k, v in sample.items() if k in wanted})[0]
            rows = y.reshape(-1, y.shape[-1]).astype(np.float64)
            total, count = total + rows.sum(0), count + len(rows)
        error = statistics[name].mean - total / count * unit
        assert bias.const_value is not None
        old = bias.const_value.numpy().astype(np.int64)
        new = np.clip(old + np.rint(error / unit).astype(np.int64), -(2**31) + 1, 2**31 - 1)
        bias.const_value = ir.tensor(new.astype(np.int32), name=bias.name)
        applied[name] = float(np.sqrt((error**2).mean()))
        advance()
    return applied
