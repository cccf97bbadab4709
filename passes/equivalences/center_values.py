"""Center values: take from every attention value the middle of its channel's range.

    before   Attention(q, k, v);          Linear(context) = context @ W + b
    after    Attention(q, k, v - c);      Linear(context) = context @ W + (b + c @ W)

The weights of a row sum to one, so the context moves by c as the values do, and the bias of what
reads it gives that back. Values are stored symmetrically around zero: what is left of them needs
a smaller step. Only biases change, so nothing is added at run time.

Exactness  function-preserving up to float32 rounding.
Order      encoders: after probe, which shows the ranges; before assign_scales, which sizes them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.calibrate import Statistics
from intcc.passes.equivalences.sources import own, rewrite
from intcc.sites import constant, linear_sites

__all__ = ["center_values"]


def center_values(model: ir.Model, statistics: dict[str, Statistics]) -> int:
    """Move the biases, in place; return the number of attention nodes whose values are centred.

    A node is left alone unless its values come from a linear layer with a bias, for it only, and
    nobody but linear layers with biases reads its result.

    Args:
        model: canonical float graph of an encoder.
        statistics: calibration figures; those of values and contexts move too.
    """
    sites = linear_sites(model.graph)
    readers = {site.node: site for site in sites.values()}
    done = 0
    for node in [n for n in model.graph if n.op_type == "Attention"]:
        value, context = node.inputs[2], node.outputs[0]
        assert value is not None
        maker = sites.get(str(value.name))
        after = [readers.get(user) for user in context.consumers()]
        if maker is None or len(value.uses()) != 1 or context.is_graph_output():
            continue
        users = [site for site in after if site is not None and site.bias_node is not None]
        if maker.bias_node is None or not users or len(users) != len(after):
            continue
        low, high = statistics[str(value.name)].likely
        center = (low + high) / 2
        _add_to_bias(maker.bias_node, -center)
        for site in users:
            assert site.bias_node is not None
            _add_to_bias(site.bias_node, center @ site.weight)
        for name in (str(value.name), str(context.name)):
            statistics[name] = statistics[name].shift(center)
        done += 1
    return done


def _add_to_bias(node: ir.Node, change: npt.NDArray[np.float64]) -> None:
    position = next(i for i, v in enumerate(node.inputs) if constant(v) is not None)
    bias = own(node, position)
    rewrite(bias, np.asarray(constant(bias), np.float64) + change)
