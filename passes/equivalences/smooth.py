"""Smooth: per-channel activation scales that share the difficulty between inputs and weights.

    x @ W  =  (x / s) @ (s * W)          s_k = amax_k**strength / wmax_k**(1 - strength)

The idea is SmoothQuant's (Xiao et al., 2023). Here s needs no float rewrite: it is the
per-channel scale of the unsigned form, produced for free by whatever emits that form and
absorbed by the weights when these are quantized. The strength is searched: the one with the
smallest error of the layers' outputs on calibration rows wins. Clipping is not: rare large
activations carry meaning that a few calibration rows do not show.

Exactness  function-preserving before rounding.
Order      after calibrate, inside assign_scales.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.qparams import QParams

__all__ = ["balance", "divisors", "search", "search_rows", "without_quiet"]

Float = npt.NDArray[np.float64]
STRENGTHS = (0.0, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ROWS = 384
#: Output channels that are multiplied at a time.
COLUMNS = 8192
#: Share of the median below which a channel counts as quiet.
QUIET = 0.25


def divisors(amax: Float, wmax: Float, strength: float) -> Float:
    """Return s normalised to a geometric mean of one; dead channels get one."""
    if strength == 0.0:
        return np.ones_like(amax)
    a = np.maximum(amax, 1e-3 * max(float(amax.max()), 1e-30))
    w = np.maximum(wmax, 1e-3 * max(float(wmax.max()), 1e-30))
    s = a**strength / w ** (1 - strength)
    return np.asarray(s / np.exp(np.log(s).mean()))


def without_quiet(amax: Float) -> Float:
    """Raise the size of quiet channels to a quarter of the median.

    A unit that kept quiet during calibration may speak up later; had it been blown up to the size
    of the others, it would then drown them.
    """
    return np.asarray(np.maximum(amax, QUIET * np.median(amax)))


def _output_error(rows: Any, exact: Any, weight: Any, params: QParams) -> float:
    scaled = weight * np.broadcast_to(params.scale, (weight.shape[0],))[:, None].astype(np.float32)
    step = np.maximum(np.abs(scaled).max(0), 1e-30) / 127
    rounded = np.rint(scaled / step) * step
    q = params.quantize(rows).astype(np.float32) - params.zero.astype(np.float32)
    return float(((q @ rounded - exact) ** 2).mean())


def search(
    rows: npt.NDArray[np.float32], low: Float, high: Float, weight: Float, symmetric: bool = False
) -> QParams:
    """Return the unsigned form of x whose products with `weight` err least.

    Args:
        rows: sample of x [R, K].
        low: smallest value per channel.
        high: largest value per channel.
        weight: all consumers' weights side by side [K, N].
        symmetric: keep the zero point at 128 and the range at 1..255.
    """
    x = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(int)]
    w = weight.astype(np.float32)
    exact = x @ w
    amax, wmax = np.maximum(-low, high), np.abs(weight).max(1)

    def build(strength: float) -> QParams:
        s = divisors(amax, wmax, strength)
        lo, hi = float((low / s).min()), float((high / s).max())
        if symmetric:
            return QParams.of(s * max(-lo, hi, 1e-30) / 127, 128, 1, 255)
        return QParams.affine(lo, hi, s)

    forms = [build(strength) for strength in STRENGTHS]
    return min(forms, key=lambda form: _output_error(x, exact, w, form))


def balance(amax_query: Float, amax_key: Float) -> Float:
    """Return b with query / b and key * b of equal range per channel."""
    q = np.maximum(amax_query, 1e-3 * max(float(amax_query.max()), 1e-30))
    k = np.maximum(amax_key, 1e-3 * max(float(amax_key.max()), 1e-30))
    return np.asarray(np.sqrt(q / k))


def search_rows(
    rows: npt.NDArray[np.float32],
    weight: npt.NDArray[Any],
    choices: list[Float],
    gain: float = 0.1,
) -> int:
    """Return the index of the divisors with which per-row quantization errs least.

    Args:
        rows: sample of x [R, K].
        weight: all consumers' weights side by side [K, N].
        choices: divisors [K] of each choice.
        gain: share of the squared error that a choice must save to win against an earlier one.
    """
    x = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(int)].astype(np.float32)
    errors = np.zeros(len(choices))
    for start in range(0, weight.shape[1], COLUMNS):  # a language model's head is that wide
        w = weight[:, start : start + COLUMNS].astype(np.float32)
        share = w.shape[1] / weight.shape[1]
        exact = x @ w
        for index, choice in enumerate(choices):
            errors[index] += share * _row_error(x, w, exact, choice.astype(np.float32))
    best, best_error = 0, np.inf
    for index, error in enumerate(errors):
        if error < (1 - gain) * best_error:
            best, best_error = index, error
    return best


def _row_error(x: Any, w: Any, exact: Any, s: Any) -> float:
    """Mean squared error of the product of rows and columns rounded to 8 bits."""
    scaled, narrow = w * s[:, None], x / s
    w_step = np.maximum(np.abs(scaled).max(0), 1e-30) / 127
    x_step = np.maximum(np.abs(narrow).max(1, keepdims=True), 1e-30) / 127
    product = (np.rint(narrow / x_step) * x_step) @ (np.rint(scaled / w_step) * w_step)
    return float(((product - exact) ** 2).mean())
