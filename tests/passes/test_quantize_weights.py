"""Weights: pair limit, range, and the worth of error compensation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

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
    """Return the largest magnitude of a sum of neighbours of one sign."""
    even, odd = q[: len(q) // 2 * 2 : 2].astype(int), q[1::2].astype(int)
    return int(np.where(even * odd > 0, np.abs(even + odd), 0).max(initial=0))


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


def test_neighbours_of_unlike_signs_keep_all_bits() -> None:
    w = np.array([[127.0, 127.0], [-127.0, 100.0]])
    assert round_to_nearest(w, np.ones(2), 128).tolist() == [[127, 127], [-127, 1]]
    metric = Metric.of(np.eye(2) + 1e-9)
    assert compensate(w, np.ones(2), metric, 128).tolist() == [[127, 127], [-127, 1]]


@pytest.mark.parametrize("limit", [128, 258])
def test_compensation_lowers_the_output_error(limit: int) -> None:
    x, w, moment = _layer(96, 24, 1)
    step = best_step(w, np.diag(moment), limit)
    nearest = np.linalg.norm(x @ (round_to_nearest(w, step, limit) * step - w))
    metric = Metric.of(shrink(moment, len(moment)))
    better = np.linalg.norm(x @ (compensate(w, step, metric, limit) * step - w))
    assert better < 0.85 * nearest


def test_zero_weights_stay_zero() -> None:
    w = np.zeros((5, 3))
    step = best_step(w, np.ones(5), 128)
    assert not compensate(w, step, Metric.of(shrink(np.eye(5), 9)), 128).any()


def test_silent_inputs_are_no_dump_for_errors() -> None:
    """Inputs that were nearly constant in a few rows must serve when they wake."""
    rng = np.random.default_rng(4)
    k, rows = 64, 80
    x = rng.normal(size=(rows, k)) * 40
    x[:, k // 2 :] = -2 + 0.1 * rng.normal(size=(rows, k // 2))
    w = rng.normal(size=(k, 16)) * 0.05
    moment = x.T @ x / rows
    step = best_step(w, np.diag(moment), 128)
    awake = rng.normal(size=(200, k)) * 40
    nearest = np.linalg.norm(awake @ (round_to_nearest(w, step, 128) * step - w))
    q = compensate(w, step, Metric.of(shrink(moment, rows)), 128)
    assert np.linalg.norm(awake @ (q * step - w)) < 1.1 * nearest


def test_shrinking_keeps_the_mean_of_the_diagonal() -> None:
    _, _, moment = _layer(32, 1, 7)
    metric = shrink(moment, 32)
    assert np.isclose(np.diag(metric).mean(), 1.01 * np.diag(moment).mean())
    off = ~np.eye(32, dtype=bool)
    np.testing.assert_allclose(metric[off], 0.5 * moment[off])


def test_probes_are_half_of_what_a_moment_shrinks_to() -> None:
    _, _, moment = _layer(32, 1, 7)
    _, _, probed = _layer(32, 1, 8)
    metric = shrink(moment, 32, 5 * probed)
    assert np.isclose(np.diag(metric).mean(), 1.01 * np.diag(moment).mean())
    off = ~np.eye(32, dtype=bool)
    size = np.diag(moment).mean() / np.diag(probed).mean()
    np.testing.assert_allclose(metric[off], (0.5 * moment + 0.25 * size * probed)[off])


def test_the_metric_does_not_depend_on_the_number_of_threads() -> None:
    rows = np.random.default_rng(0).normal(size=(800, 400))
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            made.append(Metric.of(rows.T @ rows / 800).upper)
    assert (made[0] == made[1]).all()
