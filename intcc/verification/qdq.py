"""The checks of model.qdq.onnx: what its scales promise, and how near it is to the integers.

Scales    of activations: one per tensor; powers of two with a zero point of 0 (pow2), or numbers
          of few bits (dyadic). Of weights: one per output channel, int8, zero point 0. Of biases:
          int32, the product of the two, exactly. Of what is int16 (`--int16`): one per tensor,
          zero point 0.
Pairs     see `qdq_pairs`.
Nearness  cosine of all results of the recorded inputs to the integer model's: at least BOUND.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from intcc.backends.onnx.qdq import opset_of
from intcc.backends.onnx.qdq_grid import (
    ALL,
    NONE,
    POW2,
    SIGNIFICANT,
    WEIGHT_BITS,
    WIDE,
    significant,
)
from intcc.report.metrics import cosine
from intcc.specs import TensorSpec
from intcc.verification.inputs import valid_positions
from intcc.verification.qdq_pairs import Constants, coverage_findings, halves_findings

__all__ = ["BOUND", "nearness", "scale_findings", "weight_findings"]

Array = npt.NDArray[Any]

#: Least cosine to the integer model by kind of scales: both lie about as far from the float model.
BOUND: Mapping[str, float] = {"dyadic": 0.99, "pow2": 0.98}
#: Types of activations by what has int16; uint8 with dyadic scales only.
_ACTIVATIONS: Mapping[str, frozenset[str]] = {
    NONE: frozenset({"int8", "uint8"}),
    WIDE: frozenset({"int8", "uint8", "int16"}),
    ALL: frozenset({"int16"}),
}


def scale_findings(model: onnx.ModelProto, scales: str, int16: str = NONE) -> list[str]:
    """Return one line for each scale, zero point, type or pair that breaks a promise.

    Args:
        model: the QDQ model.
        scales: "dyadic" or "pow2".
        int16: "none", "wide" or "all".
    """
    found = [*_findings(model, scales, int16), *halves_findings(model)]
    return found if int16 == NONE else [*found, *coverage_findings(model)]


def _findings(model: onnx.ModelProto, scales: str, int16: str) -> Iterator[str]:
    for opset in model.opset_import:
        if opset.domain or opset.version != opset_of(int16):
            yield f"opset {opset.domain or 'ai.onnx'} {opset.version}"
    constants = Constants(model)
    produced = {name: node for node in model.graph.node for name in node.output}
    biases = 0
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield from _pair_findings(node, constants, scales, int16)
        found = _bias_findings(node, produced, constants)
        if found is not None:
            biases += node.op_type != "LayerNormalization"
            yield from found
    stored = sum(
        a is not None and a.dtype == np.int8
        for n in model.graph.node
        if n.op_type == "DequantizeLinear"
        for a in [constants.get(n.input[0])]
    )
    if stored != biases:
        yield f"{stored} weights in 8 bits, {biases} biases in 32"


def _pair_findings(
    node: onnx.NodeProto, constants: Constants, scales: str, int16: str
) -> Iterator[str]:
    scale, zero = constants.get(node.input[1]), constants.get(node.input[2])
    stored = constants.get(node.input[0])
    if scale is None or zero is None:
        yield f"{node.name}: a computed scale or zero point"
        return
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        yield f"{node.name}: a scale that is no positive number"
        return
    kind = zero.dtype.name
    if stored is None:
        kinds = _ACTIVATIONS[int16] - ({"uint8"} if scales == POW2 else set())
        symmetric, bits = scales == POW2 or kind == "int16", SIGNIFICANT
    else:
        kinds = frozenset({"int8", "int32"} if int16 == NONE else {"int8", "int16", "int32"})
        symmetric, bits = True, WEIGHT_BITS + (SIGNIFICANT if stored.dtype == np.int32 else 0)
    if (stored is None or kind == "int16") and scale.size != 1:
        yield f"{node.name}: an activation with {scale.size} scales"
    if kind not in kinds or (stored is not None and stored.dtype != zero.dtype):
        yield f"{node.name}: stored as {kind}"
    if symmetric and zero.any():
        yield f"{node.name}: a zero point of {int(np.abs(zero).max())}"
    exact = 1 if scales == POW2 else bits
    if (significant(scale, exact) != scale).any():
        yield f"{node.name}: a scale of more than {exact} significant bits"


def _layer(
    node: onnx.NodeProto, produced: Mapping[str, onnx.NodeProto]
) -> list[onnx.NodeProto] | None:
    """Return the DequantizeLinear of input, weight and bias of a layer; None of other nodes."""
    names = list(node.input)
    if node.op_type not in ("Add", "Conv", "Gemm", "LayerNormalization"):
        return None
    if node.op_type == "Add":  # x @ weight + bias
        product = produced.get(names[0])
        if product is None or product.op_type != "MatMul":
            return None
        names = [*product.input, names[1]]
    found = []
    for name in names:
        source = produced.get(name)
        if source is not None and source.op_type == "Transpose":  # an image's channels to front
            source = produced.get(source.input[0])
        if source is None or source.op_type != "DequantizeLinear":
            return None
        found.append(source)
    return found


def _bias_findings(
    node: onnx.NodeProto, produced: Mapping[str, onnx.NodeProto], constants: Constants
) -> list[str] | None:
    """Check the bias of a layer; None where the node is none."""
    layer = _layer(node, produced)
    if layer is None or len(layer) < 3:
        return None
    bias = layer[2]
    stored = constants.get(bias.input[0])
    sizes = [constants.get(n.input[1]) for n in layer]
    if stored is None or any(s is None for s in sizes):
        return [f"{bias.name}: no constants"]
    x_scale, weight_scale, bias_scale = (np.asarray(s, np.float64) for s in sizes)
    if stored.dtype != np.int32 or (bias_scale != x_scale * weight_scale).any():
        return [f"{bias.name}: not int32 with the product of its layer's scales"]
    return []


def weight_findings(model: onnx.ModelProto, integer: onnx.ModelProto) -> list[str]:
    """Return what keeps the weights from being the integer model's; empty when they are."""
    theirs = {
        t.name: _channels_first(numpy_helper.to_array(t)).tobytes()
        for t in integer.graph.initializer
        if t.data_type == onnx.TensorProto.INT8
    }
    known = {
        theirs[name]
        for node in integer.graph.node
        if node.op_type.startswith(("Linear", "Conv"))
        for name in node.input
        if name in theirs
    }
    constants = Constants(model)
    found = []
    for node in model.graph.node:
        stored = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if stored is not None and stored.dtype == np.int8 and stored.tobytes() not in known:
            found.append(f"{node.input[0]}: no weight of the integer model")
    return found


def _channels_first(weight: Array) -> Array:
    """Return filters [N, KH, KW, C] as ONNX has them; matrices as they are."""
    return weight.transpose(0, 3, 1, 2) if weight.ndim == 4 else weight


def nearness(
    outputs: Sequence[TensorSpec],
    inputs: Sequence[Mapping[str, Array]],
    ours: Sequence[Mapping[str, Array]],
    integers: Sequence[Mapping[str, Array]],
) -> float:
    """Return the least cosine of an output's results, all inputs as one vector.

    Args:
        outputs: those without a scale, which hold indices, are left out.
        inputs: what was run.
        ours: results of the flavour, as integers.
        integers: those of the integer model.
    """
    found = []
    for spec in outputs:
        if spec.scale is None:
            continue
        a, b = (
            np.concatenate([
                valid_positions(
                    spec, spec.scale.dequantize(result[spec.name]), feeds.get("attention_mask")
                ).ravel()
                for feeds, result in zip(inputs, results, strict=True)
            ])
            for results in (ours, integers)
        )  # fmt: skip
        found.append(float(cosine(a[None], b[None])[0]))
    return min(found, default=1.0)
