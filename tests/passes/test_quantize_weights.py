"""Weights: pair limit, range, and the worth of error compensation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intcc.passes.quantize_weights import (
    Metric,
    best_step,
    compensate,
    round_to_nearest,
    shrink,
)


def _layer(k: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4 * k + 8, k)) @ (np.eye(k) + 0.2 * rng.normal(size=(k, k)))
    return x, rng.standard_t(4, size=(k, n)) * 0.05, x.T @ x / len(x)


def _pairs(q: np.ndarray) -> int:
    a = np.abs(q.astype(int))
    if len(a) % 2:
        a = np.concatenate([a, np.zeros_like(a[:1])])
    return int((a[0::2] + a[1::2]).max())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 33), st.integers(1, 7), st.integers(0, 999), st.sampled_from([128, 200, 258]))
def test_pairs_stay_below_the_limit(k: int, n: int, seed: int, limit: int) -> None:
    _, w, moment = _layer(k, n, seed)
    step = best_step(w, np.diag(moment), limit)
    assert (step > 0).all()
    metric = Metric.of(shrink(moment, len(moment)))
    for q in (round_to_nearest(w, step, limit), compensate(w, step, metric, limit)):
        assert q.dtype == np.int8 and q.shape == w.shape
        assert _pairs(q) <= limit
        assert np.abs(q.astype(int)).max() <= 127


@pytest.mark.parametrize("limit", [128, 258])
def test_compensation_lowers_the_output_error(limit: int) -> None:
    x, w, moment = _layer(96, 24, 1)
    step = best_step(w, np.diag(moment), limit)
    nearest = np.linalg.norm(x @ (round_to_nearest(w, step, limit) * step - w))
    metric = Metric.of(shrink(moment, len(moment)))
    better = np.linalg.norm(x @ (compensate(w, step, metric, limit) * step - w))
    assert better < 0.8 * nearest


def test_zero_weights_stay_zero() -> None:
    w = np.zeros((5, 3))
    step = best_step(w, np.ones(5), 128)
    assert not compensate(w, step, Metric.of(shrink(np.eye(5), 9)), 128).any()
