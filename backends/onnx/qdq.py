"""QDQ ONNX: float operators between QuantizeLinear and DequantizeLinear, for other toolchains.

    before   the SCALED float graph, and the INTEGER graph that was made of it
    after    the float graph in standard operators, with pairs of Q and DQ where the integer model
             has products of 8 bits, and of int16 elsewhere where that is asked for

Quantized are the inputs of linear layers and convolutions, their weights (per output channel) and
biases, and the queries and keys of attention. What lies between stays float32: norms, GELU,
softmax and its product with the values, residual sums; or has int16 (`qdq_int16`).

Exactness  weights are the integers of the integer model (dyadic) or rounded anew (pow2); float
           operators stand where that has polynomials: results agree by cosine, not by bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, inliner
from onnx_ir.passes.common import ShapeInferencePass

from intcc.backends.onnx.clean import constants_to_initializers, remove_unused
from intcc.backends.onnx.qdq_attention import add_attention
from intcc.backends.onnx.qdq_grid import DYADIC, NONE
from intcc.backends.onnx.qdq_int16 import pair_everything
from intcc.backends.onnx.qdq_linear import add_linear, add_product
from intcc.backends.onnx.qdq_reductions import add_mean, add_norm, add_unit, all_ones
from intcc.backends.onnx.qdq_values import Values
from intcc.sites import FLOAT_DOMAIN, constant

__all__ = ["emit_qdq", "opset_of"]

Measure = Callable[[ir.Model], Mapping[str, float]]


def opset_of(int16: str) -> int:
    """Return the version of the standard operators; int16 pairs are of 21."""
    return 20 if int16 == NONE else 21


def _nothing(model: ir.Model) -> Mapping[str, float]:
    """Return no magnitudes: nothing asks for them."""
    return {}


def emit_qdq(
    scaled: ir.Model,
    integer: ir.Model,
    scales: str = DYADIC,
    int16: str = NONE,
    measure: Measure = _nothing,
) -> onnx.ModelProto:
    """Return the QDQ model.

    Args:
        scaled: canonical float graph of an encoder, with forms.
        integer: what it was lowered to, with static scales.
        scales: "dyadic" or "pow2", see `qdq_grid`.
        int16: "none", "wide" or "all": what has pairs of int16.
        measure: tells the largest magnitudes of the real values of a model, its inputs too.

    Raises:
        UnsupportedOperatorError: a layer of the integer model has no QDQ form.
    """
    values = Values(scaled.graph, integer, scales, int16)
    tables = _tables(integer)
    biases = {site.bias_node for site in values.sites.values()}
    outputs = {site.node: site.output for site in values.sites.values()}
    for node in scaled.graph:
        name = str(node.outputs[0].name)
        if node in biases:
            continue
        if node in outputs:
            add_linear(values, outputs[node])
        elif node.op_type == "MatMul":
            add_product(values, node)
        elif node.op_type == "Attention":
            add_attention(values, node)
        elif node.op_type in ("LayerNormalization", "RMSNormalization"):
            add_norm(values, node)
        elif node.op_type == "MeanPool" and (values.paired or all_ones(node.inputs[1])):
            add_mean(values, node)
        elif node.op_type == "L2Normalize" and values.paired:
            add_unit(values, node)
        elif name in tables and not values.paired:
            _add_embedding(values, node, tables[name])
        else:
            _copy(values, node)
    return _finish(scaled, values, measure)


def _tables(integer: ir.Model) -> dict[str, ir.Node]:
    """Return the integer table look-ups by the name of the float value that they make."""
    found = (n for n in integer.graph if n.op_type == "Embedding")
    return {n.outputs[0].metadata_props["intcc.float"]: n for n in found}


def _add_embedding(values: Values, node: ir.Node, made: ir.Node) -> None:
    """Append a look-up of int8 rows; each row has a step of its own, which is looked up too."""
    out, name, ids = values.out, str(node.outputs[0].name), values.value(node.inputs[1])
    rows, mul = (np.asarray(constant(v)) for v in made.inputs[1:3])
    steps = mul * float(made.outputs[0].meta["scale"])
    row = out.node("Gather", [out.const(rows, f"{name}.table"), ids], f"{name}.row", axis=0)
    step = out.node("Gather", [out.real(steps, f"{name}.steps"), ids], f"{name}.step", axis=0)
    codes = out.node("Cast", [row], f"{name}.codes", to=TensorProto.FLOAT)
    values.names[name] = out.node("Mul", [codes, step], name)


def _copy(values: Values, node: ir.Node) -> None:
    """Append a float node as it is."""
    made = ir.to_proto(node)
    assert isinstance(made, onnx.NodeProto)
    made.ClearField("metadata_props")
    made.input[:] = ["" if v is None else values.value(v) for v in node.inputs]
    for index, value in enumerate(node.outputs):
        made.output[index] = values.names[str(value.name)] = values.out.fresh(str(value.name))
    values.out.nodes.append(made)


def _finish(scaled: ir.Model, values: Values, measure: Measure) -> onnx.ModelProto:
    """Return the model, without functions and without what no output needs."""
    graph, opset = scaled.graph, opset_of(values.int16)
    for value in graph.outputs:
        assert values.names[str(value.name)] == value.name
    functions = [ir.to_proto(f) for f in scaled.functions.values()]
    for function in functions:
        for imported in function.opset_import:
            imported.version = opset if imported.domain == "" else imported.version
    proto = helper.make_model(
        helper.make_graph(
            values.out.nodes, graph.name or "qdq",
            [ir.to_proto(v) for v in graph.inputs], [ir.to_proto(v) for v in graph.outputs],
            list(values.out.initializers.values()),
        ),
        functions=functions,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(FLOAT_DOMAIN, 1)],
        ir_version=10,
        producer_name="intcc",
    )  # fmt: skip
    flat = _cleaned(inliner.inline_local_functions(proto))
    flat.opset_imports.pop(FLOAT_DOMAIN, None)
    if values.paired:
        typed = ir.to_proto(flat)
        flat = _cleaned(pair_everything(typed, measure(flat), values.out.reach, values.scales))
    flat.metadata_props["intcc.scales"] = values.scales
    flat.metadata_props["intcc.int16"] = values.int16
    return ir.to_proto(flat)


def _cleaned(proto: onnx.ModelProto) -> ir.Model:
    """Return a flat model with the types of its values."""
    model = ir.from_proto(proto)
    constants_to_initializers(model.graph)
    remove_unused(model.graph)
    ShapeInferencePass()(model)
    return model
