"""Quantize weights: int8 per output channel, symmetric, pair-safe, error-compensated.

    w[k, n] ~ q[k, n] * step[n]          -127 <= q <= 127
    |q[2i, n]| + |q[2i+1, n]| <= pair_limit        so that x86 kernels cannot saturate

Rounding to nearest treats each weight alone. Error compensation (GPTQ, Frantar et al., 2022)
rounds the weights of a channel one after the other and moves what each rounding costs into the
ones that are still free, in the metric H = X^T X of the layer's inputs. The pair limit is
part of the same loop: what a clamp costs is compensated too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["best_step", "compensate", "round_to_nearest", "shrink"]

Float = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
BLOCK = 64
DAMPING = 0.01
STEP_FACTORS = (0.75, 0.85, 0.92, 1.0, 1.08, 1.17, 1.26, 1.36, 1.48, 1.6, 1.75, 2.0)


def _clamp_pairs(q: npt.NDArray[Any], pair_limit: int) -> npt.NDArray[Any]:
    """Shrink the smaller weight of each pair that is over the limit."""
    n = q.shape[0] // 2 * 2
    first, second = q[0:n:2], q[1:n:2]
    over = np.maximum(np.abs(first) + np.abs(second) - pair_limit, 0)
    smaller_first = np.abs(first) <= np.abs(second)
    out = q.copy()
    out[0:n:2] = np.sign(first) * (np.abs(first) - np.where(smaller_first, over, 0))
    out[1:n:2] = np.sign(second) * (np.abs(second) - np.where(smaller_first, 0, over))
    return out


def round_to_nearest(weight: Float, step: Float, pair_limit: int) -> Int8:
    """Round each weight alone, then make the pairs safe."""
    q = np.clip(np.rint(weight / step), -127, 127)
    return _clamp_pairs(q, min(pair_limit, 254)).astype(np.int8)


def best_step(weight: Float, importance: Float, pair_limit: int) -> Float:
    """Return the step per output channel with the smallest weighted rounding error.

    Args:
        weight: [K, N].
        importance: [K], mean square of each input.
        pair_limit: largest |q| + |q'| of neighbours.
    """
    full = np.maximum(np.abs(weight).max(0), 1e-12) / 127
    best: Float = full
    best_error = np.full(weight.shape[1], np.inf)
    for factor in STEP_FACTORS:
        step = full * factor
        error = weight - round_to_nearest(weight, step, pair_limit) * step
        total = (importance[:, None] * error**2).sum(0)
        better = total < best_error
        best = np.asarray(np.where(better, step, best))
        best_error = np.where(better, total, best_error)
    return best


def shrink(moment: Float, rows: int) -> Float:
    """Return a second moment that can be trusted: shrunk by K / (K + rows) to mean(diagonal) * I.

    A moment of few rows has correlations that are accidents, and inputs that look silent because
    nothing woke them. Compensation would push the errors of all other weights into the weights of
    a silent input, which then pays on the first sentence that wakes it. In units of the stored
    integers every input has about the same reach, so the mean is a fair guess for the unseen part
    (Ledoit and Wolf, 2004).
    """
    k = len(moment)
    trust = rows / (k + rows)
    mean = float(np.diag(moment).mean())
    return np.asarray(trust * moment + ((1 - trust + DAMPING) * mean + 1e-12) * np.eye(k))


def compensate(weight: Float, step: Float, moment: Float, pair_limit: int) -> Int8:
    """Round with error compensation in the metric of `moment` ([K, K], positive definite)."""
    k = weight.shape[0]
    w = (weight / step).T.copy()  # [N, K], in steps
    h = moment
    order = np.argsort(-np.diag(h), kind="stable")
    w, h = w[:, order], h[np.ix_(order, order)]
    position = np.empty(k, np.int64)
    position[order] = np.arange(k)
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    q = np.zeros_like(w)
    done = np.zeros(k, bool)
    for start in range(0, k, BLOCK):
        stop = min(k, start + BLOCK)
        errors = np.zeros((w.shape[0], stop - start))
        for i in range(start, stop):
            partner = order[i] ^ 1
            limit: Any = 127.0
            if partner < k and done[position[partner]]:
                limit = np.minimum(127.0, pair_limit - np.abs(q[:, position[partner]]))
            q[:, i] = np.clip(np.rint(w[:, i]), -limit, limit)
            done[i] = True
            e = (w[:, i] - q[:, i]) / upper[i, i]
            errors[:, i - start] = e
            w[:, i + 1 : stop] -= np.outer(e, upper[i, i + 1 : stop])
        w[:, stop:] -= errors @ upper[start:stop, stop:]
    out = np.empty_like(q)
    out[:, order] = q
    return np.ascontiguousarray(out.T).astype(np.int8)
