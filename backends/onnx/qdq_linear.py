"""Products of the QDQ flavour: what the integer model rounded, with real scales.

    y = DQ(Q(u)) @ DQ(W_q, w_scale) + DQ(b_q, u_scale * w_scale)        w_scale per output channel

dyadic   W_q holds the very integers of the integer model
pow2     W_q is rounded anew, for steps that are powers of two
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.onnx.qdq_grid import POW2, WEIGHT_BITS, Grid, significant
from intcc.backends.onnx.qdq_values import Values
from intcc.qparams import QParams, Role
from intcc.sites import ConvSite, LinearSite, constant

__all__ = ["add_linear", "add_product"]

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


def _rounded(site: LinearSite, node: ir.Node, form: QParams) -> _Rounded:
    """Read the real figures back from the integers of a node.

    Args:
        site: the layer in the float graph.
        node: the layer in the integer model.
        form: of the input that `node` reads.
    """
    _, *operands = node.inputs
    padding = 0.0
    if isinstance(site, ConvSite):
        padding = float(np.asarray(constant(operands.pop(0))))
    q, *rest = (np.asarray(constant(v)) for v in operands)
    if isinstance(site, ConvSite):
        q = q.reshape(len(q), -1).T
    shift = ((site.spread(form.zero) - padding) * q.astype(np.float64)).sum(0)
    if node.op_type.endswith("Wide"):
        mul, bias = (a.astype(np.float64) for a in rest)
        unit = float(node.outputs[0].meta["scale"])
        return _Rounded(q, mul * unit, (bias + mul * shift) * unit)
    bias, divisor = (a.astype(np.float64) for a in rest[:2])
    made: QParams = node.outputs[0].meta["scale"]
    step = np.broadcast_to(made.scale / divisor, bias.shape)
    # The integer bias holds the output's zero point and the rounding half of the division too.
    return _Rounded(q, step, (bias - divisor // 2 - made.zero * divisor + shift) * step)


def add_linear(values: Values, output: ir.Value) -> None:
    """Append a linear layer or a convolution.

    Args:
        values: of the graph.
        output: what the layer makes, in the float graph.

    Raises:
        UnsupportedOperatorError: the integer model has this layer in another form.
    """
    site, out, stem = values.sites[str(output.name)], values.out, str(output.name)
    node, form = values.layer(site), values.input_form(site)
    x, grid = values.quantized(site.x, Role.LINEAR), values.grid(site.x, Role.LINEAR)
    target = values.fold(output)
    layer = _rounded(site, node, form)
    offset = layer.bias * target.factor + target.offset
    least = np.abs(offset) / (grid.scale * _LARGEST_BIAS / 2)  # steps with which it is an int32
    if values.scales == POW2:
        q, scale = _round_pow2(site.weight * site.spread(grid.divisor) * target.factor, least)
    else:
        exact = _weight_scale(site, layer, form, grid) * target.factor
        scale = significant(np.maximum(exact, least), WEIGHT_BITS)
        q = np.where(least > exact, np.rint(layer.q * (exact / scale)), layer.q).astype(np.int8)
    product = grid.scale * scale
    real = offset - (site.spread(grid.offset) * q.astype(np.float64)).sum(0) * scale
    bias = np.clip(np.rint(real / product), -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
    if isinstance(site, ConvSite):
        values.names[stem] = _convolution(values, site, x, (q, scale), (bias, product))
        return
    weight = out.stored(q, scale, f"{stem}.weight", 1)
    if values.paired:
        offsets = out.stored(bias, product, f"{stem}.bias", 0)
        values.names[stem] = _gemm(values, site, x, weight, offsets)
        return
    made = out.node("MatMul", [x, weight], f"{stem}.product")
    values.names[stem] = out.node("Add", [made, out.stored(bias, product, f"{stem}.bias", 0)], stem)


def _gemm(values: Values, site: LinearSite, x: str, weight: str, bias: str) -> str:
    """Append a Gemm: a product and its bias are one operator then, but rows lie in a matrix."""
    out, stem = values.out, str(site.output.name)
    assert site.x.shape is not None
    if len(site.x.shape) == 2:
        return out.node("Gemm", [x, weight, bias], stem)
    rows, outer = values.matrix(x, len(site.x.shape))
    made = out.node("Gemm", [rows, weight, bias], f"{stem}.matrix")
    width = out.const(np.array([len(site.bias)], np.int64), "width")
    shape = out.node("Concat", [outer, width], f"{stem}.shape", axis=0)
    return out.node("Reshape", [made, shape], stem)


def _convolution(
    values: Values, site: ConvSite, x: str, weight: tuple[Array, Float], bias: tuple[Array, Float]
) -> str:
    """Append a Conv, which has channels before rows and columns, between two transposes."""
    out, stem = values.out, str(site.output.name)
    filters, *taps, each = np.asarray(constant(site.stored)).shape
    stored = weight[0].T.reshape(filters, *taps, each).transpose(0, 3, 1, 2)
    names = ("strides", "pads", "dilations")
    made = out.node(
        "Conv",
        [
            out.node("Transpose", [x], f"{stem}.image", perm=[0, 3, 1, 2]),
            out.stored(np.ascontiguousarray(stored), weight[1], f"{stem}.weight", 0),
            out.stored(bias[0], bias[1], f"{stem}.bias", 0),
        ],
        f"{stem}.planes",
        group=site.group,
        **{name: list(site.node.attributes.get_ints(name, [])) for name in names},
    )
    return out.node("Transpose", [made], stem, perm=[0, 2, 3, 1])


def _weight_scale(site: LinearSite, layer: _Rounded, form: QParams, grid: Grid) -> Float:
    """Return the size of one weight's unit, where inputs have the size of u.

    One step of the integer model's input is as many units of u in every channel: that is what
    the grid's factor is for.
    """
    unit = np.asarray(form.scale * grid.factor)
    assert np.ptp(unit) <= 1e-9 * unit.max(), f"{site.output.name}: channels of several sizes"
    return layer.step / float(unit.max())


def _round_pow2(weight: Float, least: Float) -> tuple[Array, Float]:
    """Return int8 weights and, per output channel, the better of two powers of two.

    Args:
        weight: [K, N].
        least: [N], half the smallest step of a channel.
    """
    widest = np.maximum(np.abs(weight).max(0) / 127, np.maximum(least, 1e-30))
    coarse = 2.0 ** np.ceil(np.log2(widest))
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
