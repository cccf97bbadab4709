"""Name the values of a traced graph after the modules that computed them.

    val_26, linear, val_25      become
    encoder.layer.0.attention.self.query.matmul, encoder.layer.0.attention.self.query,
    encoder.layer.0.attention.self.query.weight

The exporter records the scope of each node, and also stack traces with the paths of this
machine: all metadata are dropped once the names are taken, so that artifacts never hold them.
"""

from __future__ import annotations

import ast
import re

import onnx_ir as ir

__all__ = ["name_by_module"]

_SCOPES = "pkg.torch.onnx.name_scopes"
#: Attribute under which the traced wrapper holds the model.
_WRAPPER = "model."
_ANONYMOUS = re.compile(r"(val|const|lifted_tensor|_tensor_constant|c_)_?\d*\S*$")


def _scope(node: ir.Node) -> str:
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    path = scopes[-2] if len(scopes) > 1 else ""
    return "" if path == _WRAPPER[:-1] else str(path).removeprefix(_WRAPPER)


def name_by_module(model: ir.Model) -> None:
    """Rename nodes, values and anonymous constants; drop the exporter's metadata."""
    graph = model.graph
    used = {str(v.name) for v in (*graph.inputs, *graph.outputs)}
    nodes = list(graph)
    scopes = [_scope(node) for node in nodes]
    for value in list(graph.initializers.values()):
        name = str(value.name).removeprefix(_WRAPPER)
        if not _ANONYMOUS.match(name):
            value.name = _unique(name, used)
    parents = {scope.rsplit(".", 1)[0] for scope in scopes if "." in scope}
    for index, (node, scope) in enumerate(zip(nodes, scopes, strict=True)):
        last = index + 1 == len(nodes) or scopes[index + 1] != scope
        whole = scope and scope not in parents and last
        name = scope if whole else f"{scope}.{node.op_type.lower()}".lstrip(".")
        node.name = name
        for out in node.outputs:
            if not out.is_graph_output():
                out.name = _unique(name, used)
        for operand in node.inputs:
            if operand is None or not operand.is_initializer():
                continue
            if _ANONYMOUS.match(str(operand.name)):
                rank = 0 if operand.shape is None else len(operand.shape)
                kind = "weight" if node.op_type == "MatMul" and rank == 2 else "constant"
                operand.name = _unique(f"{scope}.{kind}".lstrip("."), used)
    for node in nodes:
        node.metadata_props.clear()
        for out in node.outputs:
            out.metadata_props.clear()
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.metadata_props.clear()
    model.metadata_props.clear()
    model.doc_string = graph.doc_string = None
    graph.name = "model"


def _unique(name: str, used: set[str]) -> str:
    candidate, count = name, 1
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    used.add(candidate)
    return candidate
