"""Calibrate: run the float graph on samples and keep streaming statistics of every value.

    before   canonical FLOAT graph
    after    the same graph; `Statistics` by value name

Samples are unpadded, one at a time, so padding never enters a range. Memory does not grow with
the number of samples: extremes, means, a histogram that doubles its range, second moments of
the inputs of linear layers, and a fixed number of rows for the searches that need real data.

Exactness  the graph is not changed.
Order      after canonicalize, before assign_scales.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort

from intcc.errors import CalibrationError

__all__ = ["Statistics", "calibrate", "float_session", "probe"]

Float = npt.NDArray[np.float64]
ROWS_KEPT = 768
BINS = 2048
PENDING_ROWS = 1024
#: Extremes of fewer rows say little of what lies beyond them.
LEAST_PROBED = 4096


@dataclass
class Statistics:
    """Streaming statistics of one float value, channels along the last axis.

    Attributes:
        low, high: extremes per channel.
        total, squares: sums per channel of the values and of their squares.
        rows: some rows of the value as matrix [<= ROWS_KEPT, channels].
        moment: X^T X / count of all rows, only for inputs of linear layers.
        histogram, reach: counts of |x| over BINS equal bins of [0, reach].
        probed: extremes per channel, also on probes; None where there are too few of these.
    """

    low: Float
    high: Float
    total: Float
    squares: Float
    count: int = 0
    rows: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    second: Float | None = None
    pending: list[npt.NDArray[np.float32]] = field(default_factory=list)
    histogram: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    reach: float = 0.0
    probed: tuple[Float, Float] | None = None

    @property
    def mean(self) -> Float:
        """Mean per channel."""
        return self.total / max(self.count, 1)

    @property
    def deviation(self) -> Float:
        """Standard deviation per channel."""
        variance = self.squares / max(self.count, 1) - self.mean**2
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    @property
    def moment(self) -> Float | None:
        """X^T X / count in float64."""
        self._add_pending()
        return None if self.second is None else self.second / self.count

    def _add_pending(self) -> None:
        """Add the waiting rows to the second moment: one large product instead of many small."""
        if self.pending:
            rows = np.concatenate(self.pending)
            product = (rows.T @ rows).astype(np.float64)
            self.second = product if self.second is None else self.second + product
            self.pending = []

    def update(self, x: npt.NDArray[np.float32], quota: int, second: bool) -> None:
        """Take in a matrix of rows."""
        self.low = np.minimum(self.low, x.min(0))
        self.high = np.maximum(self.high, x.max(0))
        self.total = self.total + x.sum(0, dtype=np.float64)
        self.squares = self.squares + np.square(x, dtype=np.float64).sum(0)
        self.count += len(x)
        free = min(quota, ROWS_KEPT - len(self.rows))
        if free > 0:
            pick = x if len(x) <= free else x[np.linspace(0, len(x) - 1, free).astype(int)]
            self.rows = np.concatenate([self.rows.reshape(-1, x.shape[1]), pick])
        if second:
            self.pending.append(x)
            if sum(map(len, self.pending)) >= PENDING_ROWS:
                self._add_pending()
        self._count_magnitudes(np.abs(x))

    def _count_magnitudes(self, magnitude: npt.NDArray[np.float32]) -> None:
        top = float(magnitude.max(initial=0.0))
        if self.reach == 0.0:
            self.reach = top or 1.0
        while top > self.reach:
            half = self.histogram.reshape(-1, 2).sum(1)
            self.histogram = np.concatenate([half, np.zeros(BINS - len(half), np.int64)])
            self.reach *= 2
        bins = np.minimum(magnitude.ravel() * (BINS / self.reach), BINS - 1).astype(np.int32)
        self.histogram += np.bincount(bins, minlength=BINS)

    def take(self, channels: npt.NDArray[np.int64]) -> Statistics:
        """Return the statistics of a value whose channels are picked from this one's."""
        moment = self.moment
        return Statistics(
            self.low[channels],
            self.high[channels],
            self.total[channels],
            self.squares[channels],
            self.count,
            self.rows[:, channels],
            None if moment is None else moment[np.ix_(channels, channels)] * self.count,
            [],
            self.histogram,
            self.reach,
            None if self.probed is None else (self.probed[0][channels], self.probed[1][channels]),
        )

    def percentile(self, fraction: float) -> float:
        """Return the magnitude below which `fraction` of the elements lie."""
        cumulated = np.cumsum(self.histogram)
        index = int(np.searchsorted(cumulated, fraction * cumulated[-1]))
        return (min(index, BINS - 1) + 1) * self.reach / BINS

    def mse_range(self, bits: int = 8) -> float:
        """Return the magnitude whose clipping gives the smallest expected squared error."""
        centers = (np.arange(BINS) + 0.5) * self.reach / BINS
        best, best_error = self.reach, np.inf
        for limit in np.linspace(self.reach / 8, self.reach, 64):
            step = limit / (2 ** (bits - 1) - 1)
            over = np.maximum(centers - limit, 0.0)
            error = float((self.histogram * np.where(over > 0, over**2, step**2 / 12)).sum())
            if error < best_error:
                best, best_error = float(limit), error
        return best


def float_session(model: ir.Model, outputs: Iterable[str]) -> ort.InferenceSession:
    """Return a float32 onnxruntime session that also yields the named intermediate values."""
    copy = ir.from_proto(ir.to_proto(model))
    have = {value.name for value in copy.graph.outputs}
    produced = {v.name: v for node in copy.graph for v in node.outputs}
    for name in outputs:
        if name not in have:
            copy.graph.outputs.append(produced[name])
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(
        ir.to_proto(copy).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _linear_inputs(graph: ir.Graph) -> set[str]:
    return {
        str(node.inputs[0].name)
        for node in graph
        if node.op_type == "MatMul"
        and node.inputs[0] is not None
        and node.inputs[1] is not None
        and node.inputs[1].const_value is not None
    }


def _activations(graph: ir.Graph) -> list[str]:
    """Names of the float values that nodes produce from the model's inputs."""
    return [
        str(value.name)
        for node in graph
        for value in node.outputs
        if value.name and value.dtype == ir.DataType.FLOAT and value.const_value is None
    ]


def probe(
    model: ir.Model,
    statistics: Mapping[str, Statistics],
    probes: Sequence[Mapping[str, npt.NDArray[Any]]],
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Record the extremes of what feeds GELU and of attention values, where clipping hurts.

    Args:
        model: canonical float graph.
        statistics: from `calibrate`; `probed` is written.
        probes: feeds, each unpadded.
        advance: called once per probe.
    """
    position = {"Gelu": 0, "Attention": 2}
    operands = [n.inputs[position[n.op_type]] for n in model.graph if n.op_type in position]
    names = sorted({str(v.name) for v in operands if v is not None} & set(statistics))
    if not names or not probes:
        return
    session = float_session(model, names)
    wanted = {value.name for value in session.get_inputs()}
    extremes = {name: (statistics[name].low, statistics[name].high) for name in names}
    count = dict.fromkeys(names, 0)
    for feed in probes:
        results = session.run(names, {k: array for k, array in feed.items() if k in wanted})
        for name, array in zip(names, results, strict=True):
            rows = array.reshape(-1, array.shape[-1])
            low, high = extremes[name]
            if np.isfinite(rows).all() and low.shape == rows.shape[1:]:
                extremes[name] = np.minimum(low, rows.min(0)), np.maximum(high, rows.max(0))
                count[name] += len(rows)
        advance()
    for name in names:
        if count[name] >= LEAST_PROBED:
            statistics[name].probed = extremes[name]


def calibrate(
    model: ir.Model,
    samples: list[Mapping[str, npt.NDArray[Any]]],
    advance: Callable[[], None] = lambda: None,
    *,
    moments: bool = True,
) -> dict[str, Statistics]:
    """Run every sample and return the statistics by value name.

    Args:
        model: canonical float graph.
        samples: feeds, each unpadded.
        advance: called once per sample, for a progress bar.
        moments: take the second moments of linear inputs too.

    Raises:
        CalibrationError: there are no samples, or a value is not finite.
    """
    if not samples:
        raise CalibrationError("Calibration", "has no samples", "Give at least one")
    names = _activations(model.graph)
    linear = _linear_inputs(model.graph)
    session = float_session(model, names)
    wanted = {value.name for value in session.get_inputs()}
    quota = max(1, ROWS_KEPT // len(samples))
    statistics: dict[str, Statistics] = {}
    floats = [v.name for v in session.get_inputs() if v.type == "tensor(float)"]
    for index, sample in enumerate(samples):
        feeds = {key: array for key, array in sample.items() if key in wanted}
        results = session.run(names, feeds)
        pairs = list(zip(names, results, strict=True)) + [(n, feeds[n]) for n in floats]
        for name, array in pairs:
            rows = np.ascontiguousarray(array, np.float32)
            rows = rows.reshape(-1, rows.shape[-1] if rows.ndim else 1)
            if not np.isfinite(rows).all():
                raise CalibrationError(
                    f"Value {name!r}",
                    f"is not finite in float32 on calibration sample {index}",
                    "Check the weights and the sample",
                )
            if name not in statistics:
                width = rows.shape[1]
                statistics[name] = Statistics(
                    np.full(width, np.inf),
                    np.full(width, -np.inf),
                    np.zeros(width),
                    np.zeros(width),
                )
            record = statistics[name]
            if record.low.shape[0] == rows.shape[1]:
                record.update(rows, quota, moments and name in linear)
        advance()
    return statistics
