"""Quantize weights: int8 per output channel, symmetric, pair-safe, error-compensated.

    w[k, n] ~ q[k, n] * step[n]          -127 <= q <= 127
    |q[2i, n] + q[2i+1, n]| <= pair_limit where both have one sign, so that x86 kernels, which
                             multiply by unsigned activations, cannot saturate

Rounding to nearest treats each weight alone. Error compensation (GPTQ, Frantar et al., 2022)
rounds the weights of a channel one after the other and moves what each rounding costs into the
ones that are still free, in the metric H = X^T X of the layer's inputs. The pair limit is
part of the same loop: what a clamp costs is compensated too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

__all__ = ["Metric", "best_of", "best_step", "compensate", "round_to_nearest", "shrink"]

Float = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
BLOCK = 64
#: Output channels that are worked on at a time: few stay in a processor's cache, many make the
#: products of compensation worth several threads.
COLUMNS, COMPENSATED_COLUMNS = 512, 4096
DAMPING = 0.01
STEP_FACTORS = (0.75, 0.85, 0.92, 1.0, 1.08, 1.17, 1.26, 1.36, 1.48, 1.6, 1.75, 2.0)


def _clamp_pairs(q: npt.NDArray[Any], pair_limit: int) -> npt.NDArray[Any]:
    """Shrink the smaller weight of each pair of one sign that is over the limit."""
    n = q.shape[0] // 2 * 2
    # Few pairs are over the limit: all others are left alone.
    pair, column = np.nonzero(np.abs(q[0:n:2] + q[1:n:2]) > pair_limit)
    first, second = q[2 * pair, column], q[2 * pair + 1, column]
    over = np.where(first * second > 0, np.abs(first + second) - pair_limit, 0)
    smaller_first = np.abs(first) <= np.abs(second)
    out = q.copy()
    out[2 * pair, column] -= np.sign(first) * np.where(smaller_first, over, 0)
    out[2 * pair + 1, column] -= np.sign(second) * np.where(smaller_first, 0, over)
    return out


def round_to_nearest(weight: Float, step: Float, pair_limit: int) -> Int8:
    """Round each weight alone, then make the pairs safe."""
    return _by_columns(
        lambda w, s: _safe_pairs(_nearest(w, s), pair_limit).astype(np.int8), weight, step
    )


def _nearest(weight: Float, step: Float) -> Float:
    return np.asarray(np.clip(np.rint(weight / step), -127, 127))


def _safe_pairs(q: Float, pair_limit: int) -> Float:
    """Clamp the pairs, where any can be over the limit."""
    return q if pair_limit >= 2 * 127 else np.asarray(_clamp_pairs(q, pair_limit))


def _by_columns(
    work: Callable[..., Any], *arrays: npt.NDArray[Any], columns: int = COLUMNS
) -> npt.NDArray[Any]:
    """Return work(*arrays), some columns at a time: output channels know nothing of each other.

    So a language model's head needs no more memory than other layers do.
    """
    n = arrays[0].shape[-1]
    pieces = [
        work(*(np.ascontiguousarray(a[..., start : start + columns]) for a in arrays))
        for start in range(0, n, columns)
    ]
    return np.concatenate(pieces, axis=-1)


def best_step(weight: Float, importance: Float, pair_limit: int) -> Float:
    """Return the step per output channel with the smallest weighted rounding error.

    Args:
        weight: [K, N].
        importance: [K], mean square of each input.
        pair_limit: largest |q + q'| of neighbours of one sign.
    """
    return _by_columns(lambda w: _best_step(w, importance, pair_limit), weight)


def _best_step(weight: Float, importance: Float, pair_limit: int) -> Float:
    full = np.maximum(np.abs(weight).max(0), 1e-12) / 127
    steps = np.multiply.outer(STEP_FACTORS, full)
    found = _best_of(weight, steps, importance, pair_limit)
    return np.asarray(steps[found, np.arange(len(found))])


def best_of(
    weight: Float, steps: Float, importance: Float, pair_limit: int
) -> npt.NDArray[np.int64]:
    """Return which of several steps has the smallest weighted rounding error, per channel.

    Args:
        weight: [K, N].
        steps: [choices, N].
        importance: [K], mean square of each input.
        pair_limit: largest |q + q'| of neighbours of one sign.
    """
    return np.asarray(
        _by_columns(lambda w, s: _best_of(w, s, importance, pair_limit), weight, steps), np.int64
    )


def _best_of(
    weight: Float, steps: Float, importance: Float, pair_limit: int
) -> npt.NDArray[np.int64]:
    totals = []
    for step in steps:
        error = weight - _safe_pairs(_nearest(weight, step), pair_limit) * step
        totals.append((importance[:, None] * error**2).sum(0))
    return np.asarray(np.argmin(totals, axis=0), np.int64)


def shrink(moment: Float, rows: int, probed: Float | None = None) -> Float:
    """Return a second moment that can be trusted: shrunk by K / (K + rows) to mean(diagonal) * I.

    Args:
        moment: [K, K], mean of x x^T over calibration.
        rows: of calibration.
        probed: the same over probes: half of what it is shrunk to, at the size of `moment`.

    A moment of few rows has correlations that are accidents, and inputs that look silent because
    nothing woke them. Compensation would push the errors of all other weights into the weights of
    a silent input, which then pays on the first sentence that wakes it. In units of the stored
    integers every input has about the same reach, so the mean is a fair guess for the unseen part
    (Ledoit and Wolf, 2004). Rows of a shuffled vocabulary are another: no language, but what
    inputs have in common by the model's own weights they show.
    """
    k = len(moment)
    trust = rows / (k + rows)
    mean = float(np.diag(moment).mean())
    guess = mean * np.eye(k)
    if probed is not None:
        guess = (guess + probed * (mean / max(float(np.diag(probed).mean()), 1e-30))) / 2
    floor = (DAMPING * mean + 1e-12) * np.eye(k)
    return np.asarray(trust * moment + (1 - trust) * guess + floor)


@dataclass(frozen=True)
class Metric:
    """The order in which the inputs of a layer are rounded, and how errors are moved.

    Attributes:
        order: input of each step, the largest first.
        upper: transposed Cholesky factor of the inverse second moment, in that order.
    """

    order: npt.NDArray[np.int64]
    upper: Float

    @classmethod
    def of(cls, moment: Float) -> Metric:
        """Factorize a second moment ([K, K], positive definite).

        On one thread: LAPACK adds in another order on several, and the weights of an artifact must
        not depend on the number of processors.
        """
        order = np.argsort(-np.diag(moment), kind="stable")
        with threadpool_limits(1, user_api="blas"):
            inverse = np.linalg.inv(moment[np.ix_(order, order)])
            return cls(order, np.linalg.cholesky(inverse).T)


def compensate(weight: Float, step: Float, metric: Metric, pair_limit: int) -> Int8:
    """Round with error compensation in a metric."""
    return _by_columns(
        lambda w, s: _compensate(w / s, metric, pair_limit),
        weight,
        step,
        columns=COMPENSATED_COLUMNS,
    )


def _compensate(steps: Float, metric: Metric, pair_limit: int) -> Int8:
    """Round `steps` [K, N], weights in steps, row by row."""
    k, order, upper = len(steps), metric.order, metric.upper
    w = steps[order]
    position = np.empty(k, np.int64)
    position[order] = np.arange(k)
    q = np.zeros_like(w)
    done = np.zeros(k, bool)
    for start in range(0, k, BLOCK):
        stop = min(k, start + BLOCK)
        errors = np.zeros((stop - start, w.shape[1]))
        for i in range(start, stop):
            partner = order[i] ^ 1
            low: Any = -127.0
            high: Any = 127.0
            if partner < k and done[position[partner]]:
                other = q[position[partner]]
                low = np.maximum(low, -pair_limit - np.minimum(other, 0))
                high = np.minimum(high, pair_limit - np.maximum(other, 0))
            q[i] = np.clip(np.rint(w[i]), low, high)
            done[i] = True
            e = (w[i] - q[i]) / upper[i, i]
            errors[i - start] = e
            w[i + 1 : stop] -= np.outer(upper[i, i + 1 : stop], e)
        w[stop:] -= upper[start:stop, stop:].T @ errors
    out = np.empty(q.shape, np.int8)
    out[order] = q
    return out
