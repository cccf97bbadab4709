"""Measurement: the error of every integer value against its float counterpart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort

from intcc.passes.calibrate import Statistics
from intcc.passes.float_session import float_session
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


def measure(
    model: ir.Model,
    integer: ir.Model,
    statistics: Mapping[str, Statistics],
    samples: Sequence[Feeds],
    feeds: Sequence[Feeds],
    emit: Callable[[ir.Model], onnx.ModelProto],
) -> list[LayerRecord]:
    """Compare every integer value with its float counterpart on a few samples.

    Args:
        model: the canonical float graph.
        integer: the integer graph; its values know their counterparts.
        statistics: calibration figures by float value.
        samples: float feeds.
        feeds: the same samples as integers.
        emit: strict emission, to run the integer graph.
    """
    pairs = [
        (value, value.metadata_props["intcc.float"], node)
        for node in integer.graph
        for value in node.outputs
        if value.metadata_props.get("intcc.float") in statistics and "scale" in value.meta
    ]
    kept = list(integer.graph.outputs)
    extra = [value for value, _, _ in pairs if value not in kept]
    integer.graph.outputs.extend(extra)
    proto = emit(integer)
    integer.graph.outputs.clear()
    integer.graph.outputs.extend(kept)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    floats = float_session(model, {name for _, name, _ in pairs})
    signal = dict.fromkeys((str(v.name) for v, _, _ in pairs), 0.0)
    noise = dict(signal)
    cut = _begin if is_decoder(model.graph) else dict
    for sample, feed in zip(samples[:MEASURED], feeds[:MEASURED], strict=True):
        sample, feed = cut(sample), cut(feed)
        names = sorted({name for _, name, _ in pairs})
        wanted = {i.name for i in floats.get_inputs()}
        known = dict(
            zip(
                names,
                floats.run(names, {k: v for k, v in sample.items() if k in wanted}),
                strict=True,
            )
        )
        made = session.run([str(v.name) for v, _, _ in pairs], dict(feed))
        for (value, float_name, node), q in zip(pairs, made, strict=True):
            real = _real(value, q)
            exact = known[float_name]
            if real is None or real.shape != exact.shape or node.op_type.endswith("Norm"):
                continue
            signal[str(value.name)] += float((exact.astype(np.float64) ** 2).sum())
            noise[str(value.name)] += float(((real - exact) ** 2).sum())
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
