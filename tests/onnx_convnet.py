"""A small convolutional network as an .onnx file, written without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["images", "write_convnet"]

SIZE = (13, 11)


def write_convnet(path: Path, seed: int = 2) -> Path:
    """Write convolutions: strided, depthwise, pointwise, grouped, without padding; pools; Gemm."""
    random = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def const(array: npt.NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(array, f"c{len(constants)}"))
        return constants[-1].name

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(
            helper.make_node(kind, list(inputs), [f"v{len(nodes)}"], f"n{len(nodes)}", **attributes)
        )
        return str(nodes[-1].output[0])

    def conv(x: str, n: int, c: int, size: int, group: int = 1, **attributes: Any) -> str:
        fan = c // group * size * size
        weight = random.normal(0, (2 / fan) ** 0.5, (n, c // group, size, size))
        bias = random.normal(0, 0.2, n)
        return node(
            "Conv", x, const(weight.astype(np.float32)), const(bias.astype(np.float32)),
            group=group, **attributes,
        )  # fmt: skip

    around: dict[str, Any] = {"pads": [1, 1, 1, 1]}
    x = node("Relu", conv("pixel_values", 10, 3, 3, strides=[2, 2], **around))
    x = conv(x, 10, 10, 3, group=10, **around)
    x = node("Clip", x, const(np.array(0, np.float32)), const(np.array(6, np.float32)))
    x = node("Relu", conv(x, 12, 10, 1))
    x = node("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1])
    x = node("Add", x, conv(x, 12, 12, 3, group=2, **around))
    x = node("Relu", conv(x, 14, 12, 3))
    x = node("Flatten", node("GlobalAveragePool", x))
    weight, bias = random.normal(0, 0.3, (14, 9)), random.normal(0, 0.2, 9)
    node("Gemm", x, const(weight.astype(np.float32)), const(bias.astype(np.float32)))
    nodes[-1].output[0] = "scores"
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "convnet",
        [info("pixel_values", TensorProto.FLOAT, ["batch", 3, *SIZE])],
        [info("scores", TensorProto.FLOAT, ["batch", 9])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def images(seed: int, count: int) -> npt.NDArray[np.float32]:
    """Return smooth images of three channels with different means."""
    random = np.random.default_rng(seed)
    rough = random.normal(0, 1, (count, 3, *SIZE))
    smooth = rough + np.roll(rough, 1, 2) + np.roll(rough, 1, 3)
    return np.asarray(smooth + np.reshape([0.5, 0, -0.3], (3, 1, 1)), np.float32)
