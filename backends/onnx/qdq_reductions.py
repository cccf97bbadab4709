"""Norms and means of the QDQ flavour: what one operator computes along one axis.

Where every value passes a pair (`--int16`), so do the steps of what takes several: squares of a
stream that has outliers are too much for 16 bits. There a norm without a mean is one operator,

    RMSNormalization(x) = x / sqrt(mean(x^2) + epsilon) * gain
                        ~ LpNormalization(x) * (gain * sqrt(K))        epsilon is left out

and a mean over tokens is a product with the mask, which is exact, and one division.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.qdq_values import Values
from intcc.sites import constant

__all__ = ["add_mean", "add_norm", "add_unit", "all_ones"]

Float = npt.NDArray[np.float64]


def add_norm(values: Values, node: ir.Node) -> None:
    """Append a norm over the last axis; RMSNormalization, which opset 21 lacks, in its parts."""
    out, x, name = values.out, values.value(node.inputs[0]), str(node.outputs[0].name)
    gain = np.asarray(constant(node.inputs[1]), np.float64)
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    target = values.fold(node.outputs[0])
    gain = gain * target.factor
    shift = np.asarray(target.offset + (0 if bias is None else bias * target.factor))
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    if node.op_type == "LayerNormalization":
        inputs = [x, out.real(gain, f"{name}.gain")]
        if shift.any():
            shift = np.broadcast_to(shift, gain.shape)
            inputs.append(out.real(shift, f"{name}.shift"))
        values.names[name] = out.node(node.op_type, inputs, name, axis=-1, epsilon=epsilon)
        return
    if values.paired:
        unit, gain = _unit(values, x, f"{name}.unit"), gain * math.sqrt(gain.shape[-1])
    else:
        last = out.const(np.array([-1], np.int64), "last_axis")
        square = out.node("Mul", [x, x], f"{name}.square")
        mean = out.node("ReduceMean", [square, last], f"{name}.mean", keepdims=1)
        safe = out.node("Add", [mean, out.real(epsilon, f"{name}.epsilon")], f"{name}.safe")
        unit = out.node("Div", [x, out.node("Sqrt", [safe], f"{name}.root")], f"{name}.unit")
    values.names[name] = out.affine(unit, gain, shift, name)


def _unit(values: Values, x: str, stem: str) -> str:
    """Append the division of rows by their lengths."""
    return values.out.node("LpNormalization", [x], stem, axis=-1, p=2)


def add_unit(values: Values, node: ir.Node) -> None:
    """Append an L2Normalize as one operator."""
    name = str(node.outputs[0].name)
    values.names[name] = _unit(values, values.value(node.inputs[0]), name)


def all_ones(mask: ir.Value | None) -> bool:
    """Tell whether a mask is constant and hides nothing."""
    array = constant(mask)
    return array is not None and bool((array == 1).all())


def add_mean(values: Values, node: ir.Node) -> None:
    """Append the mean over all pixels or present tokens of [B, P, C], as a product with a row.

    OpenVINO 2026.4 computes a reduction wrongly where a quantization is fused to it.
    """
    out, name, x = values.out, str(node.outputs[0].name), values.value(node.inputs[0])
    mask, along = constant(node.inputs[1]), np.array([1], np.int64)
    if mask is not None and all_ones(node.inputs[1]):
        row = out.real(np.full((1, mask.size), 1 / mask.size), f"{name}.row")
        rows = out.node("MatMul", [row, x], f"{name}.rows")
        values.names[name] = out.node("Squeeze", [rows, out.const(along, "pixel_axis")], name)
        return
    axis, most = out.const(along, "token_axis"), values.positions
    present = values.real_mask(values.value(node.inputs[1]))
    row = out.node("Unsqueeze", [present, axis], f"{name}.row")
    total = out.node("Squeeze", [out.node("MatMul", [row, x], f"{name}.rows"), axis], f"{name}.sum")
    number = out.node("ReduceSum", [present, axis], f"{name}.number", keepdims=1)
    limits = [out.bound(number, most), out.real(1.0, "one")]  # a text of padding alone has none
    count = out.bound(out.node("Clip", limits, f"{name}.count"), most)
    values.names[name] = out.node("Div", [total, count], name)
