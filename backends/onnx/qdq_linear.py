"""Products of the QDQ flavour: what the integer model rounded, with real scales.

    y = DQ(Q(u)) @ DQ(W_q, w_scale) + DQ(b_q, u_scale * w_scale)        w_scale per output channel

dyadic   W_q holds the very integers of the integer model
pow2     W_q is rounded anew, for steps that are powers of two
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.qdq_grid import POW2, WEIGHT_BITS, Grid, significant
from intcc.backends.onnx.qdq_values import Values
from intcc.errors import UnsupportedOperatorError
from intcc.qparams import QParams, Role
from intcc.sites import LinearSite, constant

__all__ = ["add_linear", "add_product", "rounded_layers"]

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float64]
_LARGEST_BIAS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class _Rounded:
    """A linear layer of the integer model: y = sum_k (code_k - zero_k) q[k] * step + bias.

    Attributes:
        q: [K, N] int8.
        step: [N], real size of one unit of the accumulator.
        bias: [N], real, as corrected.
    """

    q: Array
    step: Float
    bias: Float


def rounded_layers(integer: ir.Model) -> dict[str, ir.Node]:
    """Return the integer linear nodes by the name of the float value that they make.

    A value that is needed in several forms has several nodes; the wide one is the finest.
    """
    found: dict[str, ir.Node] = {}
    for node in integer.graph:
        if node.op_type in ("Linear", "LinearWide"):
            name = node.outputs[0].metadata_props["intcc.float"]
            if name not in found or node.op_type == "LinearWide":
                found[name] = node
    return found


def _rounded(site: LinearSite, node: ir.Node) -> _Rounded:
    """Read the real figures back from the integers of a node."""
    q, *rest = (np.asarray(constant(v)) for v in node.inputs[1:])
    form: QParams = site.x.meta["forms"][Role.LINEAR]
    shift = np.broadcast_to(form.zero, (len(q),)) @ q.astype(np.float64)
    if node.op_type == "LinearWide":
        mul, bias = (a.astype(np.float64) for a in rest)
        unit = float(node.outputs[0].meta["scale"])
        return _Rounded(q, mul * unit, (bias + mul * shift) * unit)
    bias, divisor = (a.astype(np.float64) for a in rest[:2])
    made: QParams = node.outputs[0].meta["scale"]
    step = np.broadcast_to(made.scale / divisor, bias.shape)
    # The integer bias holds the output's zero point and the rounding half of the division too.
    return _Rounded(q, step, (bias - divisor // 2 - made.zero * divisor + shift) * step)


def add_linear(values: Values, output: ir.Value, layers: Mapping[str, ir.Node]) -> None:
    """Append a linear layer.

    Args:
        values: of the graph.
        output: what the layer makes, in the float graph.
        layers: those of the integer model, by the names of what they make.

    Raises:
        UnsupportedOperatorError: the integer model has this layer in another form.
    """
    node = layers.get(str(output.name))
    if node is None:
        raise UnsupportedOperatorError(
            f"Layer {output.name!r}",
            "is no product of 8-bit inputs of fixed scale, which QDQ could say",
            "Use --emit onnx or c for this model",
        )
    site, out, stem = values.sites[str(output.name)], values.out, str(output.name)
    x, grid, target = (
        values.quantized(site.x, Role.LINEAR),
        values.grid(site.x, Role.LINEAR),
        values.fold(output),
    )
    layer = _rounded(site, node)
    if values.scales == POW2:
        q, scale = _round_pow2(site.weight * _column(grid.divisor) * target.factor)
    else:
        q = layer.q
        scale = significant(_weight_scale(site, layer, grid) * target.factor, WEIGHT_BITS)
    product = grid.scale * scale
    shift = np.broadcast_to(grid.offset, (len(q),)) @ q.astype(np.float64) * scale
    real = layer.bias * target.factor + target.offset - shift
    bias = np.clip(np.rint(real / product), -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
    made = out.node("MatMul", [x, out.stored(q, scale, f"{stem}.weight", 1)], f"{stem}.product")
    values.names[stem] = out.node("Add", [made, out.stored(bias, product, f"{stem}.bias", 0)], stem)


def _column(figure: Float) -> Float:
    return figure.reshape(-1, 1)


def _weight_scale(site: LinearSite, layer: _Rounded, grid: Grid) -> Float:
    """Return the size of one weight's unit, where inputs have the size of u.

    One step of the integer model's input is as many units of u in every channel: that is what
    the grid's factor is for.
    """
    form: QParams = site.x.meta["forms"][Role.LINEAR]
    unit = np.asarray(form.scale * grid.factor)
    assert np.ptp(unit) <= 1e-9 * unit.max(), f"{site.output.name}: channels of several sizes"
    return layer.step / float(unit.max())


def _round_pow2(weight: Float) -> tuple[Array, Float]:
    """Return int8 weights and, per output channel, the better of two powers of two."""
    coarse = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(weight).max(0), 1e-30) / 127))
    tries = [(np.clip(np.rint(weight / s), -127, 127), s) for s in (coarse, coarse / 2)]
    errors = [np.square(weight - q * s).sum(0) for q, s in tries]
    finer = errors[1] < errors[0]
    q = np.where(finer, tries[1][0], tries[0][0]).astype(np.int8)
    return q, np.where(finer, coarse / 2, coarse)


def add_product(values: Values, node: ir.Node) -> None:
    """Append a product of two computed values, which have one scale each."""
    a, b = node.inputs
    assert a is not None and b is not None
    name = str(node.outputs[0].name)
    made = values.out.node(
        "MatMul", [values.quantized(a, Role.QUERY), values.quantized(b, Role.KEY)], name
    )
    unit = values.grid(a, Role.QUERY).divisor * values.grid(b, Role.KEY).divisor
    values.names[name] = values.out.affine(made, unit, np.zeros(()), name)
