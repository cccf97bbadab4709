"""Center keys: subtract from every key what all keys have in common.

    before   CausalAttention(q, k, v)
    after    CausalAttention(q, k - c, v)        c [1, 1, H, D], the mean of k over tokens

All scores of a query move by q . c, and softmax does not see it. What is left of the keys is
smaller, and 8 bits hold it better: trained models give their keys large common parts
(SageAttention, Zhang et al., 2024). A soft cap would see the move, so capped attention stays.

Exactness  function-preserving up to float32 rounding.
Order      after balance, which changes the keys; before the calibration that sizes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.float_session import float_session

__all__ = ["center_keys"]

Array = npt.NDArray[Any]


def center_keys(model: ir.Model, samples: Sequence[Mapping[str, Array]]) -> int:
    """Insert the subtractions; return their number.

    Args:
        model: canonical float graph of a decoder.
        samples: feeds whose tokens show the common part.
    """
    nodes = [
        node
        for node in model.graph
        if node.op_type == "CausalAttention" and not node.attributes.get_float("softcap", 0.0)
    ]
    names = [str(node.inputs[1].name) for node in nodes if node.inputs[1] is not None]
    if not names:
        return 0
    session = float_session(model, names)
    wanted = {i.name for i in session.get_inputs()}
    totals: list[Any] = [0.0] * len(names)
    count = 0
    for sample in samples:
        feeds = {name: array for name, array in sample.items() if name in wanted}
        for index, keys in enumerate(session.run(names, feeds)):
            totals[index] = totals[index] + keys.sum((0, 1), dtype=np.float64)
        count += keys.shape[0] * keys.shape[1]
    for node, total in zip(nodes, totals, strict=True):
        _subtract(model.graph, node, total / count)
    return len(nodes)


def _subtract(graph: ir.Graph, node: ir.Node, mean: Array) -> None:
    keys = node.inputs[1]
    assert keys is not None
    name = f"{keys.name}.center"
    center = ir.Value(
        name=name,
        shape=ir.Shape([1, 1, *mean.shape]),
        type=ir.TensorType(ir.DataType.FLOAT),
        const_value=ir.tensor(-mean[None, None].astype(np.float32), name=name),
    )
    graph.register_initializer(center)
    add = ir.node("Add", [keys, center], name=f"{keys.name}.centered")
    add.outputs[0].name = f"{keys.name}.centered"
    add.outputs[0].shape, add.outputs[0].type = keys.shape, keys.type
    graph.insert_before(node, [add])
    node.replace_input_with(1, add.outputs[0])
