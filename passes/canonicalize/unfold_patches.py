"""Unfold patches: a convolution whose windows do not overlap is a matrix product.

    before   pixels [B,C,H,W] -> Conv(W [N,C,p,q], stride (p,q)) -> [B,N,h,w]
             -> Reshape [B,N,h*w] -> Transpose [B,h*w,N]
    after    pixels -> Reshape [0,C,h,p,w,q] -> Transpose (0,2,4,1,3,5) -> Reshape [0,h*w,C*p*q]
             -> MatMul(W' [C*p*q,N]) -> Add(b) -> [B,h*w,N]

Where the reader is another node, a Transpose and a Reshape back to [B,N,h,w] follow.

Exactness  the same products; their float32 sums may run in another order.
Order      after shapes are known.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.graph import (
    add_initializer,
    constant,
    dims,
    fresh_name,
    insert_before,
    only_user,
    replace,
)

__all__ = ["UnfoldPatches"]


class UnfoldPatches(ir.passes.InPlacePass):
    """Rewrite every Conv whose stride equals its kernel."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once."""
        changed = False
        for node in list(model.graph):
            if node.op_type == "Conv":
                changed |= _rewrite(model.graph, node)
        return ir.passes.PassResult(model, changed)


def _geometry(node: ir.Node) -> tuple[int, int, int, int, int] | None:
    """Return C, p, q, h, w where the windows tile the image exactly."""
    weight, image = constant(node.inputs[1]), dims(node.inputs[0])
    if weight is None or weight.ndim != 4 or len(image) != 4:
        return None
    _, channels, p, q = weight.shape
    height, width = image[2], image[3]
    if not isinstance(height, int) or not isinstance(width, int) or image[1] != channels:
        return None
    strides = list(node.attributes.get_ints("strides", [1, 1]))
    plain = (
        strides == [p, q]
        and node.attributes.get_int("group", 1) == 1
        and not any(node.attributes.get_ints("pads", [0]))
        and set(node.attributes.get_ints("dilations", [1])) == {1}
        and node.attributes.get_string("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    )
    if not plain or height % p or width % q or p * q == 1:
        return None
    return channels, p, q, height // p, width // q


def _rewrite(graph: ir.Graph, node: ir.Node) -> bool:
    geometry = _geometry(node)
    weight = constant(node.inputs[1])
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if geometry is None or weight is None:
        return False
    channels, p, q, h, w = geometry
    filters = weight.shape[0]
    name = str(node.outputs[0].name)
    batch = dims(node.inputs[0])[0]
    made: list[ir.Node] = []

    def emit(
        op_type: str, inputs: list[ir.Value | None], shape: list[int], **attr: object
    ) -> ir.Value:
        new = ir.node(op_type, inputs, attr or None)  # type: ignore[arg-type]
        new.name = fresh_name(graph, f"{name}.{op_type.lower()}")
        if made and made[-1].name == new.name:
            new.name += "_2"
        out = new.outputs[0]
        out.name, out.type = new.name, ir.TensorType(ir.DataType.FLOAT)
        out.shape = ir.Shape([batch, *shape])
        insert_before(node, [new])
        made.append(new)
        return out

    def target(*extents: int) -> ir.Value:
        return add_initializer(graph, f"{name}.extents", np.array(extents, dtype=np.int64))

    x = emit("Reshape", [node.inputs[0], target(0, channels, h, p, w, q)], [channels, h, p, w, q])
    x = emit("Transpose", [x], [h, w, channels, p, q], perm=[0, 2, 4, 1, 3, 5])
    size = channels * p * q
    x = emit("Reshape", [x, target(0, h * w, size)], [h * w, size])
    stem = str(node.inputs[1].name) if node.inputs[1] is not None else name
    matrix = add_initializer(graph, stem, weight.reshape(filters, size).T)
    x = emit("MatMul", [x, matrix], [h * w, filters])
    if bias is not None:
        x = emit("Add", [x, add_initializer(graph, f"{name}.bias", bias)], [h * w, filters])
    flat = only_user(node.outputs[0])
    turn = only_user(flat.outputs[0]) if flat is not None and flat.op_type == "Reshape" else None
    if (
        turn is not None
        and turn.op_type == "Transpose"
        and list(turn.attributes.get_ints("perm", [])) == [0, 2, 1]
        and dims(turn.outputs[0])[1:] == [h * w, filters]
    ):
        replace(graph, turn.outputs[0], x)
        return True
    x = emit("Transpose", [x], [filters, h * w], perm=[0, 2, 1])
    x = emit("Reshape", [x, target(0, filters, h, w)], [filters, h, w])
    replace(graph, node.outputs[0], x)
    return True
