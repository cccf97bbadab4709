"""Gelu: all inputs of all knees, error against both float forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from intcc.ops.gelu import HIGHEST, OPERATOR, fit, grid, output_zero, parameters
from tests.ops.harness import Array, check, constants, i32, operand, proved, refuses

X = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 172, 1)
KNEE = np.arange(4, 176)
BOUND = {"none": 0.0049, "tanh": 0.0044}


def exact(v: Array, variant: str) -> Array:
    if variant == "tanh":
        inner = math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)
        return np.asarray(0.5 * v * (1 + np.tanh(inner)))
    erf = np.vectorize(math.erf)(v / math.sqrt(2))
    return np.asarray(0.5 * v * (1 + erf))


def case(variant: str) -> tuple[Array, Array, tuple[Array, ...]]:
    """Return step, zero and the inputs of a call with one knee per channel."""
    step = fit(variant)[0] / KNEE
    zero = output_zero(step)
    return step, zero, (X, *map(i32, (KNEE, *parameters(step, 1, variant), [1], zero)))


@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_every_input_of_every_knee(variant: str) -> None:
    step, zero, inputs = case(variant)
    (y,) = check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(0, 255, *X.shape), *constants(*inputs[1:])], inputs)
    real = (y.astype(np.float64) - zero) * step
    error = np.abs(real - exact((X - KNEE.astype(np.float64)) * step, variant))
    assert (error <= BOUND[variant] + step / 2).all()


@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_steps_whose_knee_is_rounded(variant: str) -> None:
    step = np.linspace(fit(variant)[0] / 127, 0.17, 400)
    knee = np.rint(fit(variant)[0] / step)
    zero = output_zero(step)
    x = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 400, 1)
    constants = [knee, *parameters(step, 1, variant), [1], zero]
    (y,) = check(OPERATOR, x, *map(i32, constants))
    error = np.abs((y.astype(np.float64) - zero) * step - exact((x - knee) * step, variant))
    assert (error <= BOUND[variant] + 0.6 * step).all()


@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_grids_hold_what_they_should(variant: str) -> None:
    high = np.concatenate([np.linspace(-1, 6, 500), np.geomspace(6, 300, 100)])
    step, knee, factor = grid(high, variant)
    fine = step / factor
    assert ((HIGHEST - knee) * step >= np.maximum(high, 3)).all()
    assert (factor[high < 3] == 2).all() and (factor[high > 4] == 1).all()
    zero = output_zero(fine)
    x = np.repeat(np.arange(HIGHEST + 1, dtype=np.uint8)[:, None], len(high), 1)
    inputs = (x, *map(i32, (knee, *parameters(step, factor, variant), factor, zero)))
    (y,) = check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(0, HIGHEST, *x.shape), *constants(*inputs[1:])], inputs)
    error = np.abs((y.astype(np.float64) - zero) * fine - exact((x - knee) * step, variant))
    assert (error <= BOUND[variant] + 0.5 * fine + 0.1 * step).all()


def test_one_knee_for_all_channels() -> None:
    _, _, inputs = case("none")
    check(OPERATOR, X[None, :3], *(c[:1] for c in inputs[1:]))


@pytest.mark.parametrize(
    ("knee", "lift", "divisor", "factor", "zero", "message"),
    [
        (182, 0, 2**20, 1, 10, "Gelu knee breaks C1"),
        (181, 7, 2**20, 1, 10, "Gelu knee breaks C1"),
        (100, -1, 2**20, 1, 10, "Gelu knee breaks C1"),
        (127, 900, 2**32 - 2**20, 1, 10, "Gelu product ranges over"),
        (100, 500, 2**22, 2, 10, "Gelu result ranges over"),
        (100, 500, 2**22, 1, 101, "Gelu result ranges over"),
        (100, 500, 2**22, 1, 0, "Gelu minimum ranges over"),
    ],
)
def test_violations_are_refused(
    knee: int, lift: int, divisor: int, factor: int, zero: int, message: str
) -> None:
    inputs = (i32([knee]), i32([lift]), np.array([divisor]), i32([factor]), i32([zero]))
    refuses(OPERATOR, operand(0, 255, 1, 1), *constants(*inputs), match=message)
