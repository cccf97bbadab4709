"""Measurement: the error of every integer value against its float counterpart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc.passes.calibrate import Statistics
from intcc.passes.float_session import PIECE_BYTES, run_in_pieces
from intcc.qparams import QParams
from intcc.sites import is_decoder

__all__ = ["LayerRecord", "measure"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
#: Samples that the error report runs on, and the most tokens of each in a decoder.
MEASURED, MEASURED_TOKENS = 8, 128


@dataclass(frozen=True)
class LayerRecord:
    """Accuracy of one integer value against its float counterpart on calibration samples.

    Attributes:
        name: the integer value.
        float_name: its counterpart in the float graph.
        layer: module path.
        operator: what produced it.
        dtype: integer type.
        sqnr_db: signal to quantization noise in decibels.
        low, high: real range seen in calibration.
        histogram, reach: counts of |x| in equal bins of [0, reach].
    """

    name: str
    float_name: str
    layer: str
    operator: str
    dtype: str
    sqnr_db: float
    low: float
    high: float
    histogram: list[int] = field(default_factory=list)
    reach: float = 0.0


def _real(value: ir.Value, q: Array) -> Array | None:
    scale = value.meta.get("scale")
    if isinstance(scale, QParams):
        return scale.dequantize(q)
    return None if scale is None else q.astype(np.float64) * float(scale)


def _begin(feeds: Feeds) -> dict[str, Array]:
    """Cut a decoder's sample: what came earlier does not know what follows."""
    return {k: v[:, :MEASURED_TOKENS] if k == "input_ids" else v for k, v in feeds.items()}


class _Exact:
    """Float values in the order in which the integer graph asks for them, each kept until then.

    Inputs are among them: a value may be an input on another grid.
    """

    def __init__(self, model: ir.Model, names: Sequence[str], samples: Sequence[Feeds]) -> None:
        self.samples = samples
        given = {str(value.name) for value in model.graph.inputs}
        self.uses = Counter(name for name in names if name not in given)
        self.values = run_in_pieces(model, self.uses, samples)
        self.waiting: dict[tuple[int, str], tuple[Array, int]] = {}

    def take(self, index: int, name: str) -> Array:
        """Return a value of a sample; the last one who asks for it takes it along."""
        if name not in self.uses:
            return self.samples[index][name]
        while (index, name) not in self.waiting:
            number, made, array = next(self.values)
            self.waiting[number, made] = array, self.uses[made]
        array, uses = self.waiting.pop((index, name))
        if uses > 1:
            self.waiting[index, name] = array, uses - 1
        return array


def measure(
    model: ir.Model,
    integer: ir.Model,
    statistics: Mapping[str, Statistics],
    samples: Sequence[Feeds],
    feeds: Sequence[Feeds],
    functions: Sequence[onnx.FunctionProto],
) -> list[LayerRecord]:
    """Compare every integer value with its float counterpart on a few samples.

    Args:
        model: the canonical float graph.
        integer: the integer graph; its values know their counterparts.
        statistics: calibration figures by float value.
        samples: float feeds.
        feeds: the same samples as integers.
        functions: bodies of the integer operators, to run the integer graph.
    """
    pairs = [
        (value, value.metadata_props["intcc.float"], node)
        for node in integer.graph
        for value in node.outputs
        if value.metadata_props.get("intcc.float") in statistics and "scale" in value.meta
    ]
    cut = _begin if is_decoder(model.graph) else dict
    exact = _Exact(model, [name for _, name, _ in pairs], [cut(s) for s in samples[:MEASURED]])
    signal = dict.fromkeys((str(v.name) for v, _, _ in pairs), 0.0)
    noise = dict(signal)
    # onnxruntime widens int8 weights when it loads a piece.
    known = {str(value.name): (value, name, node) for value, name, node in pairs}
    shown = run_in_pieces(
        integer,
        known,
        [cut(f) for f in feeds[:MEASURED]],
        functions=functions,
        limit=PIECE_BYTES // 8,
    )
    for index, name, q in shown:
        value, float_name, node = known[name]
        real, y = _real(value, q), exact.take(index, float_name)
        if real is None or real.shape != y.shape or node.op_type.endswith("Norm"):
            continue
        signal[name] += float((y.astype(np.float64) ** 2).sum())
        noise[name] += float(((real - y) ** 2).sum())
    records = []
    for value, float_name, node in pairs:
        name, record = str(value.name), statistics[float_name]
        if signal[name] == 0.0:
            continue
        assert value.dtype is not None
        decibel = 10 * float(np.log10(signal[name] / max(noise[name], 1e-30)))
        records.append(
            LayerRecord(
                name,
                float_name,
                node.metadata_props.get("intcc.layer", ""),
                node.op_type,
                value.dtype.numpy().name,
                round(decibel, 2),
                float(record.low.min()),
                float(record.high.max()),
                [int(n) for n in record.histogram.reshape(64, -1).sum(1)],
                record.reach,
            )
        )
    return records
