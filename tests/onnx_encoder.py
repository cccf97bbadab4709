"""A small transformer as an .onnx file, written without torch: for tests in any environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["LENGTH", "WORDS", "feeds", "write_encoder"]

WORDS, LENGTH = 40, 16


class _Graph:
    """Nodes and random constants under construction."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, array: npt.NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def normal(self, *shape: int, deviation: float = 0.2, mean: float = 0.0) -> str:
        return self.const(self.random.normal(mean, deviation, shape).astype(np.float32))

    def ints(self, *numbers: int) -> str:
        return self.const(np.array(numbers, np.int64))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def linear(self, x: str, k: int, n: int) -> str:
        product = self.node("MatMul", x, self.normal(k, n))
        return self.node("Add", product, self.normal(n))

    def norm(self, x: str, width: int, kind: str) -> str:
        gain = self.normal(width, deviation=0.2, mean=1.0)
        if kind == "layer":
            return self.node("LayerNormalization", x, gain, self.normal(width), epsilon=1e-6)
        mean = self.node("ReduceMean", self.node("Mul", x, x), self.ints(-1), keepdims=1)
        safe = self.node("Add", mean, self.const(np.array(1e-6, np.float32)))
        return self.node("Mul", self.node("Div", x, self.node("Sqrt", safe)), gain)

    def attention(self, x: str, mask: str, width: int, heads: int) -> str:
        depth = width // heads
        split = self.ints(0, 0, heads, depth)

        def head(perm: list[int]) -> str:
            rows = self.node("Reshape", self.linear(x, width, width), split)
            return self.node("Transpose", rows, perm=perm)

        q, k, v = head([0, 2, 1, 3]), head([0, 2, 3, 1]), head([0, 2, 1, 3])
        factor = self.const(np.array(depth**-0.5, np.float32))
        scores = self.node("Mul", self.node("MatMul", q, k), factor)
        weights = self.node("Softmax", self.node("Add", scores, mask), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", weights, v), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", mixed, self.ints(0, 0, width))
        return self.linear(joined, width, width)


def write_encoder(
    path: Path, width: int, heads: int, inner: int, *, norm: str = "layer", seed: int = 1
) -> Path:
    """Write two layers, norms before (rms) or behind (layer) their halves.

    Args:
        path: of the file.
        width: hidden size.
        heads: of attention.
        inner: hidden units of the feed-forward half.
        norm: "layer" or "rms".
        seed: of the weights.
    """
    g = _Graph(seed)
    real = g.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = g.node("Sub", g.const(np.array(1.0, np.float32)), real)
    low = g.node("Mul", absent, g.const(np.array(-1e9, np.float32)))
    mask = g.node("Unsqueeze", low, g.ints(1, 2))
    x = g.node("Gather", g.normal(WORDS, width, deviation=1.0), "input_ids")
    for _ in range(2):
        if norm == "layer":
            x = g.norm(g.node("Add", x, g.attention(x, mask, width, heads)), width, norm)
            up = g.node("Gelu", g.linear(x, width, inner))
            x = g.norm(g.node("Add", x, g.linear(up, inner, width)), width, norm)
        else:
            x = g.node("Add", x, g.attention(g.norm(x, width, norm), mask, width, heads))
            up = g.node("Gelu", g.linear(g.norm(x, width, norm), width, inner))
            x = g.node("Add", x, g.linear(up, inner, width))
    g.nodes[-1].output[0] = "hidden"
    info = helper.make_tensor_value_info
    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        g.nodes,
        "encoder",
        [info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
        [info("hidden", TensorProto.FLOAT, [*shape, width])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def feeds(seed: int, batch: int, length: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return random ids; rows behind the first end in padding."""
    random = np.random.default_rng(seed)
    rows = random.integers(1, length + 1, batch)
    rows[0] = length
    return {
        "input_ids": random.integers(0, WORDS, (batch, length)),
        "attention_mask": (np.arange(length) < rows[:, None]).astype(np.int64),
    }
