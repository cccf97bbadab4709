"""Find every trace of floating point in an ONNX model.

Looked at: element types of inputs, outputs, initialisers (dense and sparse) and of *every* value
(by onnx's own shape and type inference, values without a type count as findings); attributes of
kind float, floats, tensor, sparse tensor, type and graph; casts; function bodies; subgraphs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx
import onnx.inliner
from onnx import AttributeProto, TensorProto

from intcc.backends.onnx.float_tail import TAIL_PREFIX

__all__ = ["INTEGER_TYPES", "float_findings", "without_tail"]

#: Element types that hold no fraction.
INTEGER_TYPES = frozenset(
    getattr(TensorProto, name)
    for name in ("BOOL", "INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32",
                 "INT64", "UINT64")
)  # fmt: skip
_FLOAT_KINDS = (AttributeProto.FLOAT, AttributeProto.FLOATS)


def without_tail(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without the nodes that `--float-io` added, float outputs included."""
    from intcc.runtime.ort import without_float_tail

    result = without_float_tail(model)
    assert not any(n.name.startswith(TAIL_PREFIX) for n in result.graph.node)
    return result


def float_findings(model: onnx.ModelProto, scales: Collection[str] = ()) -> list[str]:
    """Return one line for each trace of floating point; empty when there is none.

    Args:
        model: any ONNX model; ai.intcc functions may be kept.
        scales: names of initialisers that may be float.
    """
    return list(_model_findings(model, scales))


def count_tensors(model: onnx.ModelProto) -> int:
    """Return how many tensors `float_findings` looks at: values and initialisers."""
    graph = model.graph
    values = sum(len(node.output) for node in graph.node)
    return len(graph.input) + len(graph.initializer) + values


def _model_findings(model: onnx.ModelProto, scales: Collection[str]) -> Iterator[str]:
    yield from _graph_findings(model.graph, "graph", scales)
    for function in model.functions:
        where = f"function {function.domain}.{function.name}"
        for attribute in function.attribute_proto:
            yield from _attribute_findings(attribute, where)
        for node in function.node:
            yield from _node_findings(node, where)
    yield from _value_findings(model)


def _value_findings(model: onnx.ModelProto) -> Iterator[str]:
    """Infer the type of every value, with functions inlined, and look at each."""
    inlined = onnx.inliner.inline_local_functions(model) if model.functions else model
    try:
        typed = onnx.shape_inference.infer_shapes(inlined, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        yield f"types cannot be inferred: {str(error).splitlines()[0]}"
        return
    graph = typed.graph
    known = {i.name: i.data_type for i in graph.initializer}
    for info in (*graph.value_info, *graph.input, *graph.output):
        known[info.name] = info.type.tensor_type.elem_type
    for node in graph.node:
        for name in filter(None, node.output):
            if known.get(name, TensorProto.UNDEFINED) not in INTEGER_TYPES:
                yield f"value '{name}' of {node.op_type} is {_type_name(known.get(name, 0))}"


def _graph_findings(
    graph: onnx.GraphProto, where: str, scales: Collection[str] = ()
) -> Iterator[str]:
    for kind, infos in (
        ("input", graph.input),
        ("output", graph.output),
        ("value", graph.value_info),
    ):
        for info in infos:
            if kind != "value" or info.name not in scales:  # initialisers may be declared, too
                yield from _type_findings(info.type, f"{where}: {kind} '{info.name}'")
    for tensor in (i for i in graph.initializer if i.name not in scales):
        yield from _tensor_findings(tensor, f"{where}: initialiser '{tensor.name}'")
    for sparse in graph.sparse_initializer:
        yield from _tensor_findings(sparse.values, f"{where}: sparse initialiser")
    for node in graph.node:
        yield from _node_findings(node, where)


def _node_findings(node: onnx.NodeProto, where: str) -> Iterator[str]:
    subject = f"{where}: node '{node.name}' ({node.op_type})"
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i not in INTEGER_TYPES:
            yield f"{subject} casts to {_type_name(attribute.i)}"
        yield from _attribute_findings(attribute, subject)


def _attribute_findings(attribute: onnx.AttributeProto, subject: str) -> Iterator[str]:
    if attribute.type in _FLOAT_KINDS or attribute.floats:
        yield f"{subject} has float attribute '{attribute.name}'"
    tensors = [*attribute.tensors, *(s.values for s in attribute.sparse_tensors)]
    tensors += [attribute.t] if attribute.HasField("t") else []
    tensors += [attribute.sparse_tensor.values] if attribute.HasField("sparse_tensor") else []
    for tensor in tensors:
        yield from _tensor_findings(tensor, f"{subject}: attribute '{attribute.name}'")
    for kind in [*attribute.type_protos, *([attribute.tp] if attribute.HasField("tp") else [])]:
        yield from _type_findings(kind, f"{subject}: attribute '{attribute.name}'")
    for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
        yield from _graph_findings(graph, f"{subject}: subgraph '{attribute.name}'")


def _tensor_findings(tensor: onnx.TensorProto, subject: str) -> Iterator[str]:
    if tensor.data_type not in INTEGER_TYPES:
        yield f"{subject} is {_type_name(tensor.data_type)}"


def _type_findings(kind: onnx.TypeProto, subject: str) -> Iterator[str]:
    if kind.WhichOneof("value") != "tensor_type":
        yield f"{subject} is no tensor"
    elif kind.tensor_type.elem_type not in INTEGER_TYPES:
        yield f"{subject} is {_type_name(kind.tensor_type.elem_type)}"


def _type_name(number: int) -> str:
    try:
        return str(TensorProto.DataType.Name(number))
    except ValueError:
        return f"of unknown type {number}"
