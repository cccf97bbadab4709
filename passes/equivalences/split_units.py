"""Split units: give hidden units of very large weight several copies with a finer grid.

    gelu(x @ w1[:, k] + b1[k]) * w2[k]  =  sum over j < n of gelu(...) * w2[k] / n

The rows of w2, in units of the stored integers, share one weight step per output channel. One
massive row makes this step coarse for all of them. Its copies need weights smaller by n, and n
roundings of the same weight average out. The copies' biases are offset by parts of one step of
the input's form,

    b1[k] + ((2 j + 1) / n - 1) / 2 * step[k]

so that together they read the unit on a grid n times finer. The price is n - 1 columns of w1 and
rows of w2; at most SHARE of the hidden units are added, and none where no row stands out.

Exactness  function-preserving before rounding, but for the offsets, whose mean is zero.
Order      after assign_scales, which chooses the steps; before assign_units and lower.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.calibrate import Statistics
from intcc.qparams import QParams, Role
from intcc.sites import ConvSite, LinearSite, linear_sites

__all__ = ["copies", "split_units"]

Float = npt.NDArray[np.float64]
#: Hidden units added at most, as part of those there are.
SHARE = 1 / 32
#: Widths grow by multiples of this, the block of int8 matrix kernels.
BLOCK = 16
#: The largest row must shrink by this factor, or nothing is split.
GAIN = 1.5


def copies(size: Float, budget: int) -> npt.NDArray[np.int64]:
    """Return the number of copies per unit with the smallest largest share size / copies.

    Args:
        size: [K], largest weight of each unit in stored units.
        budget: copies to hand out on top of one for each unit.
    """
    count = np.ones(len(size), np.int64)
    for _ in range(budget):
        count[np.argmax(size / count)] += 1
    return count


def split_units(model: ir.Model, statistics: dict[str, Statistics]) -> None:
    """Split the hidden units between two linear layers, in place.

    Args:
        model: float graph with forms.
        statistics: calibration figures, extended to the copies.
    """
    sites = linear_sites(model.graph)
    readers = {str(site.x.name): site for site in sites.values()}
    for node in [n for n in model.graph if n.op_type == "Gelu"]:
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        before, after = sites.get(str(x.name)), readers.get(str(y.name))
        if before is None or after is None or before.bias_node is None:
            continue
        if isinstance(after, ConvSite):
            continue
        if len(x.uses()) == 1 and len(y.uses()) == 1 and not y.is_graph_output():
            _split(model.graph, before, after, statistics)


def _split(
    graph: ir.Graph,
    before: LinearSite,
    after: LinearSite,
    statistics: dict[str, Statistics],
) -> None:
    x, y = before.output, after.x
    step = np.broadcast_to(y.meta["forms"][Role.LINEAR].scale, (len(after.weight),))
    size = np.abs(after.weight * step[:, None]).max(1)
    budget = int(len(size) * SHARE) // BLOCK * BLOCK
    count = copies(size, budget)
    if (size / count).max() * GAIN > size.max():
        return
    unit = np.concatenate([np.flatnonzero(count > j) for j in range(count.max())])
    index = np.concatenate([np.full((count > j).sum(), j) for j in range(count.max())])
    offset = ((2 * index + 1) / count[unit] - 1) / 2 * step[unit]
    _set_constant(graph, before.node, before.weight[:, unit])
    assert before.bias_node is not None
    _set_constant(graph, before.bias_node, before.bias[unit] + offset)
    _set_constant(graph, after.node, (after.weight / count[:, None])[unit])
    for value in (before.node.outputs[0], x, y):
        assert value.shape is not None
        value.shape = ir.Shape([*value.shape[:-1], len(unit)])
        if str(value.name) in statistics:
            statistics[str(value.name)] = statistics[str(value.name)].take(unit)
        forms: dict[Role, QParams] = value.meta.get("forms", {})
        for role, form in forms.items():
            scale, zero = (np.broadcast_to(a, (len(size),)) for a in (form.scale, form.zero))
            forms[role] = QParams.of(scale[unit], zero[unit], form.lo, form.hi)


def _set_constant(graph: ir.Graph, node: ir.Node, array: Float) -> None:
    """Replace the constant operand of a node; others may still read the old one."""
    position = next(i for i, v in enumerate(node.inputs) if v is not None and v.const_value)
    old = node.inputs[position]
    assert old is not None
    name = f"{node.outputs[0].name}.{old.name}"
    tensor = ir.tensor(array.astype(np.float32), name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape),
                     type=ir.TensorType(ir.DataType.FLOAT), const_value=tensor)  # fmt: skip
    graph.register_initializer(value)
    node.replace_input_with(position, value)
