"""Calibrate: run the float graph on samples and keep streaming statistics of every value.

    before   canonical FLOAT graph
    after    the same graph; `Statistics` by value name

Samples are unpadded, one at a time, so padding never enters a range. The graph runs in pieces,
and memory does not grow with the number of samples: extremes, means, a histogram that doubles its
range, second moments of the inputs of linear layers, and a fixed number of rows for the searches
that need real data.

Exactness  the graph is not changed.
Order      after canonicalize, before assign_scales.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import CalibrationError
from intcc.passes.float_session import float_session, run_in_pieces

__all__ = ["Statistics", "calibrate", "probe"]

Float = npt.NDArray[np.float64]
ROWS_KEPT = 768
BINS = 2048
PENDING_ROWS = 1024
#: Extremes of fewer rows say little of what lies beyond them.
LEAST_PROBED = 4096
#: Elements that are worked on at a time: they stay in a processor's cache.
BLOCK = 2**17


@dataclass
class Statistics:
    """Streaming statistics of one float value, channels along the last axis.

    Attributes:
        low, high: extremes per channel.
        total, squares: sums per channel of the values and of their squares.
        rows: some rows [<= ROWS_KEPT, channels], only of values that a later search reads.
        second: upper triangle of X^T X by rows, only for inputs of linear layers.
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
    def mean_squares(self) -> Float | None:
        """Diagonal of `moment`."""
        self.finish()
        if self.second is None:
            return None
        rows = np.arange(len(self.low), 0, -1)
        return np.asarray(self.second[np.cumsum(rows) - rows] / self.count)

    @property
    def moment(self) -> Float | None:
        """X^T X / count in float64."""
        self.finish()
        if self.second is None:
            return None
        full = np.zeros((len(self.low), len(self.low)))
        full[np.tri(len(full), dtype=bool).T] = self.second
        lower = np.tri(len(full), k=-1, dtype=bool)
        full[lower] = full.T[lower]
        return full / self.count

    def finish(self) -> None:
        """Add the waiting rows to the second moment: one large product instead of many small."""
        if self.pending:
            rows = np.concatenate(self.pending)
            # Symmetric: half of it is kept.
            product = _upper(rows.T @ rows).astype(np.float64)
            self.second = product if self.second is None else self.second + product
            self.pending = []

    def forget_rows(self) -> None:
        """Let go of what only searches and the rounding of weights read: most of the memory."""
        self.rows = self.rows[:0].copy()
        self.second, self.pending = None, []

    def update(self, x: npt.NDArray[np.float32], quota: int, second: bool) -> None:
        """Take in a matrix of rows."""
        self.low = np.minimum(self.low, x.min(0))
        self.high = np.maximum(self.high, x.max(0))
        step = max(BLOCK // len(x), 64)
        for start in range(0, x.shape[1], step):
            part, here = x[:, start : start + step], slice(start, start + step)
            self.total[here] += part.sum(0, dtype=np.float64)
            self.squares[here] += np.square(part, dtype=np.float64).sum(0)
        self.count += len(x)
        free = min(quota, ROWS_KEPT - len(self.rows))
        if free > 0:
            pick = x if len(x) <= free else x[np.linspace(0, len(x) - 1, free).astype(int)]
            self.rows = np.concatenate([self.rows.reshape(-1, x.shape[1]), pick])
        if second:
            self.pending.append(x)
            if sum(map(len, self.pending)) >= PENDING_ROWS:
                self.finish()
        self._count_magnitudes(x)

    def _count_magnitudes(self, x: npt.NDArray[np.float32]) -> None:
        top = float(max(x.max(initial=0.0), -x.min(initial=0.0)))
        if self.reach == 0.0:
            self.reach = top or 1.0
        while top > self.reach:
            half = self.histogram.reshape(-1, 2).sum(1)
            self.histogram = np.concatenate([half, np.zeros(BINS - len(half), np.int64)])
            self.reach *= 2
        flat = x.reshape(-1)
        for start in range(0, len(flat), BLOCK):
            magnitude = np.abs(flat[start : start + BLOCK])
            bins = np.minimum(magnitude * (BINS / self.reach), BINS - 1).astype(np.int32)
            self.histogram += np.bincount(bins, minlength=BINS)

    def take(self, channels: npt.NDArray[np.int64]) -> Statistics:
        """Return the statistics of a value whose channels are picked from this one's."""
        moment = self.moment
        picked = None if moment is None else moment[np.ix_(channels, channels)] * self.count
        return Statistics(
            self.low[channels],
            self.high[channels],
            self.total[channels],
            self.squares[channels],
            self.count,
            self.rows[:, channels] if self.rows.size else self.rows,
            None if picked is None else _upper(picked),
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


def _linear_inputs(graph: ir.Graph) -> set[str]:
    return {
        str(node.inputs[0].name)
        for node in graph
        if node.op_type in ("MatMul", "Conv")
        and node.inputs[0] is not None
        and node.inputs[1] is not None
        and node.inputs[1].const_value is not None
    }


def _upper(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the upper triangle of a symmetric matrix, row by row."""
    return np.asarray(matrix[np.tri(len(matrix), dtype=bool).T])


def _searched(graph: ir.Graph) -> set[str]:
    """Names of the values whose rows a later search wants."""
    linear = [v for n in graph if n.op_type in ("MatMul", "Conv") for v in n.inputs[:1]]
    values = [v for n in graph if n.op_type == "Attention" for v in n.inputs[2:3]]
    # `balance` has searched already, and left its mark.
    return {str(v.name) for v in (*linear, *values) if v is not None and not v.meta.get("balanced")}


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
    """Record the extremes of what feeds GELU, of attention values and of linear inputs.

    Args:
        model: canonical float graph.
        statistics: from `calibrate`; `probed` is written.
        probes: feeds, each unpadded.
        advance: called once per probe.
    """
    position = {"Gelu": 0, "Attention": 2}
    operands = [n.inputs[position[n.op_type]] for n in model.graph if n.op_type in position]
    probed = {str(v.name) for v in operands if v is not None} | _linear_inputs(model.graph)
    names = sorted(probed & set(statistics))
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
    linear, searched = _linear_inputs(model.graph), _searched(model.graph)
    quota = max(1, ROWS_KEPT // len(samples))
    statistics: dict[str, Statistics] = {}
    for index, name, array in _values(model, samples, advance):
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
            record.update(rows, quota if name in searched else 0, moments and name in linear)
        if index + 1 == len(samples):
            record.finish()
    return statistics


def _values(
    model: ir.Model,
    samples: list[Mapping[str, npt.NDArray[Any]]],
    advance: Callable[[], None],
) -> Iterator[tuple[int, str, npt.NDArray[Any]]]:
    """Yield every float value of every sample, computed ones first."""
    yield from run_in_pieces(model, _activations(model.graph), samples, advance)
    for value in model.graph.inputs:
        if value.dtype == ir.DataType.FLOAT:
            for index, sample in enumerate(samples):
                yield index, str(value.name), sample[str(value.name)]
