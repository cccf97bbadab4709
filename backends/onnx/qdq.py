"""QDQ ONNX: float operators between QuantizeLinear and DequantizeLinear, for other toolchains.

    before   the SCALED float graph, and the INTEGER graph that was made of it
    after    the float graph in standard operators, with pairs of Q and DQ where the integer model
             has products of 8 bits

Quantized are the inputs of linear layers and convolutions, their weights (per output channel) and
biases, and the queries and keys of attention. What lies between stays float32: norms, GELU,
softmax and its product with the values, residual sums.

Exactness  weights are the integers of the integer model (dyadic) or rounded anew (pow2); float
           operators stand where that has polynomials: results agree by cosine, not by bits.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, inliner
from onnx_ir.passes.common import ShapeInferencePass

from intcc.backends.onnx.clean import constants_to_initializers, remove_unused
from intcc.backends.onnx.qdq_attention import add_attention
from intcc.backends.onnx.qdq_grid import DYADIC
from intcc.backends.onnx.qdq_linear import add_linear, add_product
from intcc.backends.onnx.qdq_values import Values
from intcc.sites import FLOAT_DOMAIN, constant

__all__ = ["OPSET", "emit_qdq"]

#: Not 21: onnxruntime 1.32 then mixes up the types of int8 pairs that it moves on x86.
OPSET = 20


def emit_qdq(scaled: ir.Model, integer: ir.Model, scales: str = DYADIC) -> onnx.ModelProto:
    """Return the QDQ model.

    Args:
        scaled: canonical float graph of an encoder, with forms.
        integer: what it was lowered to, with static scales.
        scales: "dyadic" or "pow2", see `qdq_grid`.

    Raises:
        UnsupportedOperatorError: a layer of the integer model has no QDQ form.
    """
    values = Values(scaled.graph, integer, scales)
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
            _add_norm(values, node)
        elif node.op_type == "MeanPool" and _all_ones(node.inputs[1]):
            _add_mean(values, node)
        elif name in tables:
            _add_embedding(values, node, tables[name])
        else:
            _copy(values, node)
    return _finish(scaled, values)


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


def _all_ones(mask: ir.Value | None) -> bool:
    array = constant(mask)
    return array is not None and bool((array == 1).all())


def _add_mean(values: Values, node: ir.Node) -> None:
    """Append the mean over all pixels [B, P, C], as a product with a row of 1 / P.

    OpenVINO 2026.4 computes a reduction wrongly where a quantization is fused to it.
    """
    name, x, mask = str(node.outputs[0].name), node.inputs[0], constant(node.inputs[1])
    assert mask is not None
    row = values.out.real(np.full((1, mask.size), 1 / mask.size), f"{name}.row")
    rows = values.out.node("MatMul", [row, values.value(x)], f"{name}.rows")
    axis = values.out.const(np.array([1], np.int64), "pixel_axis")
    values.names[name] = values.out.node("Squeeze", [rows, axis], name)


def _add_norm(values: Values, node: ir.Node) -> None:
    """Append a norm over the last axis; RMSNormalization, which opset 20 lacks, in its parts."""
    out, x, name = values.out, values.value(node.inputs[0]), str(node.outputs[0].name)
    gain = np.asarray(constant(node.inputs[1]), np.float64)
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    target = values.fold(node.outputs[0])
    gain = gain * target.factor
    shift = target.offset + (0 if bias is None else bias * target.factor)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    if node.op_type == "LayerNormalization":
        inputs = [x, out.real(gain, f"{name}.gain")]
        if shift.any():
            shift = np.broadcast_to(shift, gain.shape)
            inputs.append(out.real(shift, f"{name}.shift"))
        values.names[name] = out.node(node.op_type, inputs, name, axis=-1, epsilon=epsilon)
        return
    last = out.const(np.array([-1], np.int64), "last_axis")
    square = out.node("Mul", [x, x], f"{name}.square")
    mean = out.node("ReduceMean", [square, last], f"{name}.mean", keepdims=1)
    safe = out.node("Add", [mean, out.real(epsilon, f"{name}.epsilon")], f"{name}.safe")
    unit = out.node("Div", [x, out.node("Sqrt", [safe], f"{name}.root")], f"{name}.unit")
    values.names[name] = out.affine(unit, gain, np.asarray(shift), name)


def _copy(values: Values, node: ir.Node) -> None:
    """Append a float node as it is."""
    made = ir.to_proto(node)
    assert isinstance(made, onnx.NodeProto)
    made.ClearField("metadata_props")
    made.input[:] = ["" if v is None else values.value(v) for v in node.inputs]
    for index, value in enumerate(node.outputs):
        made.output[index] = values.names[str(value.name)] = values.out.fresh(str(value.name))
    values.out.nodes.append(made)


def _finish(scaled: ir.Model, values: Values) -> onnx.ModelProto:
    """Return the model, without functions and without what no output needs."""
    graph = scaled.graph
    for value in graph.outputs:
        assert values.names[str(value.name)] == value.name
    functions = [ir.to_proto(f) for f in scaled.functions.values()]
    for function in functions:
        for opset in function.opset_import:
            opset.version = OPSET if opset.domain == "" else opset.version
    proto = helper.make_model(
        helper.make_graph(
            values.out.nodes, graph.name or "qdq",
            [ir.to_proto(v) for v in graph.inputs], [ir.to_proto(v) for v in graph.outputs],
            list(values.out.initializers.values()),
        ),
        functions=functions,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(FLOAT_DOMAIN, 1)],
        ir_version=10,
        producer_name="intcc",
    )  # fmt: skip
    flat = ir.from_proto(inliner.inline_local_functions(proto))
    constants_to_initializers(flat.graph)
    remove_unused(flat.graph)
    ShapeInferencePass()(flat)
    flat.opset_imports.pop(FLOAT_DOMAIN, None)
    flat.metadata_props["intcc.scales"] = values.scales
    return ir.to_proto(flat)
