"""Write small graphs as ONNX text, run them before and after canonicalize."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

from intcc.passes.canonicalize import canonicalize

__all__ = ["IDS", "MASKED", "TOKENS", "canonical", "kinds", "run"]

Array = npt.NDArray[Any]

TOKENS = "float[batch, sequence, 6] x"
IDS = "int64[batch, sequence] input_ids"
MASKED = f"{IDS}, int64[batch, sequence] attention_mask"


def parse(inputs: str, output: str, body: str, opset: int = 18) -> ir.Model:
    """Build a model of one output `y` from statements in ONNX text."""
    header = f'<ir_version: 10, opset_import: ["" : {opset}]>'
    proto = onnx.parser.parse_model(f"{header} test ({inputs}) => ({output} y) {{ {body} }}")
    for index, node in enumerate(proto.graph.node):
        node.name = f"n{index}"
    return ir.serde.deserialize_model(proto)


def run(model: ir.Model, feeds: dict[str, Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return np.asarray(session.run(None, {v.name: feeds[v.name] for v in session.get_inputs()})[0])


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def canonical(
    inputs: str, output: str, body: str, *feeds: dict[str, Array], opset: int = 18
) -> ir.Model:
    """Canonicalize, and compare the results on `feeds` to those of the original."""
    before, after = parse(inputs, output, body, opset), parse(inputs, output, body, opset)
    canonicalize(after)
    for given in feeds:
        expected, got = run(before, given), run(after, given)
        assert got.shape == expected.shape
        assert np.abs(got - expected).max(initial=0) <= 1e-5
    return after


def tokens(batch: int = 2, length: int = 5, width: int = 6) -> dict[str, Array]:
    random = np.random.default_rng(length)
    return {"x": random.normal(0.2, 2, (batch, length, width)).astype(np.float32)}


def masked(batch: int = 3, length: int = 7) -> dict[str, Array]:
    random = np.random.default_rng(length)
    mask = np.ones((batch, length), np.int64)
    for row in range(1, batch):
        mask[row, max(1, length - 2 * row) :] = 0
    return {"input_ids": random.integers(5, 9, (batch, length)), "attention_mask": mask}
