"""Channels last: images lie as [B, H, W, C], as all that is per channel lies along the last axis.

    before   x [B,C,H,W] -> Conv -> Relu -> MaxPool -> ...
    after    Transpose(x) -> Conv -> Relu -> MaxPool -> ... -> Transpose

Each operator on windows is written with channels last between two Transposes. Element-wise
operators behind such a Transpose move in front of it, so that between two convolutions none is
left. What that leaves is:

    Conv of 1 x 1, no strides or pads     MatMul -> Add
    other Conv                            ai.intcc.float.Conv, weights [N, KH, KW, C / group]
    MaxPool                               ai.intcc.float.MaxPool
    AveragePool                           ai.intcc.float.Conv, depthwise, of equal weights
    GlobalAveragePool, ReduceMean(2, 3)   Reshape -> ai.intcc.float.MeanPool over all pixels
    Reshape to rows -> MatMul             the rows of the weights in the new order

Exactness  the same products and sums; float32 sums may run in another order.
Order      after split_gemm and unfold_patches, which take convolutions that read patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.float_functions import FLOAT_DOMAIN
from intcc.passes.canonicalize.geometry import static_image, windows_of
from intcc.passes.canonicalize.graph import (
    Array,
    add_initializer,
    constant,
    dims,
    fresh_name,
    insert_before,
    int_list,
    producer,
    replace,
)

__all__ = ["ChannelsLast"]

_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_ELEMENTWISE = frozenset("Relu Clip Add Sub Mul Div Sigmoid Tanh Gelu Concat".split())


class ChannelsLast(ir.passes.InPlacePass):
    """Rewrite what works on images, in order of execution."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Visit all nodes once."""
        changed = False
        for node in list(model.graph):
            rule = _RULES.get(node.op_type) if node.domain == "" else None
            if rule is not None and static_image(node.inputs[0]) is not None:
                changed |= rule(_Rewriter(model.graph, node))
        return ir.passes.PassResult(model, changed)


class _Rewriter:
    """Makes nodes in the place of one node."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph, self.node = graph, node
        self.name = str(node.outputs[0].name)
        self.batch = dims(node.inputs[0])[0]

    def emit(
        self, kind: str, inputs: Sequence[ir.Value], shape: Sequence[Any], domain: str = "",
        **attributes: Any,
    ) -> ir.Value:  # fmt: skip
        """Insert a node of one float result [batch, *shape]."""
        made = ir.node(kind, inputs, attributes, domain=domain)
        made.name = fresh_name(self.graph, f"{self.name}.{kind.lower()}")
        made.metadata_props.update(self.node.metadata_props)
        out = made.outputs[0]
        out.name, out.type = made.name, ir.TensorType(ir.DataType.FLOAT)
        out.shape = ir.Shape([self.batch, *shape])
        insert_before(self.node, [made])
        return out

    def constant(self, stem: str, array: Array) -> ir.Value:
        """Register a constant named after the node."""
        return add_initializer(self.graph, stem, array)

    def extents(self, *numbers: int) -> ir.Value:
        """Register the target of a Reshape."""
        return self.constant(f"{self.name}.extents", np.array(numbers, np.int64))

    def last(self, index: int = 0) -> ir.Value:
        """Return an input with channels last."""
        x = self.node.inputs[index]
        assert x is not None
        turn = producer(x, "Transpose")
        if turn is not None and tuple(turn.attributes.get_ints("perm", ())) == _TO_FIRST:
            assert turn.inputs[0] is not None
            return turn.inputs[0]
        image = static_image(x)
        assert image is not None
        return self.emit("Transpose", [x], [image[1], image[2], image[0]], perm=_TO_LAST)

    def finish(self, y: ir.Value) -> bool:
        """Put y, with channels last, in the place of the node's result."""
        old = self.node.outputs[0]
        shape = dims(old)[1:]
        first = self.emit("Transpose", [y], shape, perm=_TO_FIRST)
        return self.replace(first, y)

    def replace(self, new: ir.Value, named: ir.Value) -> bool:
        """Put `new` in the place of the node's result, and give its name to `named`."""
        old = self.node.outputs[0]
        output = old.is_graph_output()
        replace(self.graph, old, new)
        self.graph.remove(self.node, safe=True)
        if not output:
            old.name = None
            named.name = self.name
        return True


def _conv(r: _Rewriter) -> bool:
    node = r.node
    weight = constant(node.inputs[1])
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if weight is None or weight.ndim != 4 or (bias is None and len(node.inputs) > 2):
        return False
    geometry = windows_of(node, weight.shape[2:])
    made = static_image(node.outputs[0])
    if geometry is None or made is None:
        return False
    filters, height, width = made
    group = node.attributes.get_int("group", 1)
    bias = np.zeros(filters, np.float32) if bias is None else bias
    stem = str(node.inputs[1].name) if node.inputs[1] is not None else r.name
    term = r.constant(f"{r.name}.bias", bias)
    plain = not any(geometry["pads"]) and geometry["strides"] == [1, 1] and group == 1
    shape = [height, width, filters]
    if plain and weight.shape[2:] == (1, 1):
        matrix = r.constant(stem, np.ascontiguousarray(weight[:, :, 0, 0].T))
        y = r.emit("Add", [r.emit("MatMul", [r.last(), matrix], shape), term], shape)
    else:
        turned = r.constant(stem, np.ascontiguousarray(weight.transpose(0, 2, 3, 1)))
        inputs = [r.last(), turned, term]
        y = r.emit("Conv", inputs, shape, FLOAT_DOMAIN, **geometry, group=group)
    return r.finish(y)


def _max_pool(r: _Rewriter) -> bool:
    kernel = list(r.node.attributes.get_ints("kernel_shape", []))
    geometry, made = windows_of(r.node, kernel), static_image(r.node.outputs[0])
    if geometry is None or made is None or len(r.node.outputs) > 1:
        return False
    y = r.emit(
        "MaxPool", [r.last()], [*made[1:], made[0]], FLOAT_DOMAIN, kernel_shape=kernel, **geometry
    )
    return r.finish(y)


def _average_pool(r: _Rewriter) -> bool:
    kernel = list(r.node.attributes.get_ints("kernel_shape", []))
    geometry, made = windows_of(r.node, kernel), static_image(r.node.outputs[0])
    if geometry is None or made is None:
        return False
    counted = r.node.attributes.get_int("count_include_pad", 0) == 1
    ragged = r.node.attributes.get_int("ceil_mode", 0) == 1
    if any(geometry["pads"]) and (ragged or not counted):
        return False
    channels, height, width = made
    weight = np.full((channels, *kernel, 1), 1 / (kernel[0] * kernel[1]), np.float32)
    inputs = [
        r.last(),
        r.constant(f"{r.name}.weight", weight),
        r.constant(f"{r.name}.bias", np.zeros(channels, np.float32)),
    ]
    y = r.emit("Conv", inputs, [height, width, channels], FLOAT_DOMAIN, **geometry, group=channels)
    return r.finish(y)


def _global_average(r: _Rewriter) -> bool:
    node = r.node
    if node.op_type == "ReduceMean":
        axes = int_list(node.inputs[1]) if len(node.inputs) > 1 else None
        if axes is None or sorted(a % 4 for a in axes) != [2, 3]:
            return False
    image = static_image(node.inputs[0])
    assert image is not None
    channels, height, width = image
    x = r.last()
    pixels = r.emit(
        "Reshape", [x, r.extents(0, height * width, channels)], [height * width, channels]
    )
    mask = r.constant(f"{r.name}.pixels", np.ones((1, height * width), np.int64))
    mean = r.emit("MeanPool", [pixels, mask], [channels], FLOAT_DOMAIN)
    if node.op_type == "ReduceMean" and not node.attributes.get_int("keepdims", True):
        return r.replace(mean, mean)
    return r.finish(r.emit("Reshape", [mean, r.extents(0, 1, 1, channels)], [1, 1, channels]))


def _elementwise(r: _Rewriter) -> bool:
    """Move an operator in front of the Transposes that its inputs come from."""
    node = r.node
    computed = [i for i, v in enumerate(node.inputs) if v is not None and constant(v) is None]
    turned = [producer(node.inputs[i], "Transpose") for i in computed]
    if not any(t and tuple(t.attributes.get_ints("perm", ())) == _TO_FIRST for t in turned):
        return False
    made = static_image(node.outputs[0])
    if made is None or any(static_image(node.inputs[i]) is None for i in computed):
        return False
    attributes = {k: a.value for k, a in node.attributes.items()}
    if node.op_type == "Concat":
        if len(computed) != len(node.inputs) or node.attributes.get_int("axis", 1) % 4 != 1:
            return False
        attributes["axis"] = 3
    inputs: list[ir.Value] = []
    for index, value in enumerate(node.inputs):
        assert value is not None, "element-wise operators have no empty inputs"
        array = constant(value)
        if array is None:
            inputs.append(r.last(index))
        elif array.ndim == 0 or array.size == 1:
            inputs.append(value)
        else:
            wide = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(_TO_LAST)
            shaped = wide.reshape(-1) if wide.size == wide.shape[-1] else wide
            inputs.append(r.constant(str(value.name), np.ascontiguousarray(shaped)))
    y = r.emit(node.op_type, inputs, [*made[1:], made[0]], **attributes)
    return r.finish(y)


def _flatten(r: _Rewriter) -> bool:
    """Let products that read all pixels as one row take them with channels last."""
    node, out = r.node, r.node.outputs[0]
    image = static_image(node.inputs[0])
    turn = producer(node.inputs[0], "Transpose")
    assert image is not None
    size = image[0] * image[1] * image[2]
    if turn is None or tuple(turn.attributes.get_ints("perm", ())) != _TO_FIRST:
        return False
    if dims(out)[1:] != [size]:
        return False
    if image[1] * image[2] > 1 and not _turn_rows(r, out, image):
        return False
    flat = r.emit("Reshape", [r.last(), r.extents(0, size)], [size])
    return r.replace(flat, flat)


def _turn_rows(r: _Rewriter, out: ir.Value, image: tuple[int, int, int]) -> bool:
    """Order the weights of all readers as pixels with channels last lie."""
    readers = out.consumers()
    weights = [constant(reader.inputs[1]) for reader in readers if reader.op_type == "MatMul"]
    if out.is_graph_output() or len(weights) != len(readers):
        return False
    if any(w is None or w.ndim != 2 for w in weights):
        return False
    for reader, weight in zip(readers, weights, strict=True):
        assert weight is not None
        rows = weight.reshape(*image, -1).transpose(1, 2, 0, 3).reshape(weight.shape)
        stem = str(reader.inputs[1].name) if reader.inputs[1] is not None else r.name
        reader.replace_input_with(1, r.constant(stem, np.ascontiguousarray(rows)))
    return True


_RULES: dict[str, Callable[[_Rewriter], bool]] = {
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "ReduceMean": _global_average,
    "Flatten": _flatten,
    "Reshape": _flatten,
    **dict.fromkeys(sorted(_ELEMENTWISE), _elementwise),
}
