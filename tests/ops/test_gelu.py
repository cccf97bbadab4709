"""Gelu: all inputs of all knees, error against both float forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from intcc.ops.gelu import OPERATOR, fit, output_zero, parameters
from tests.ops.harness import Array, check, constants, i32, operand, proved, refuses

X = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 124, 1)
KNEE = np.arange(4, 128)


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
    return step, zero, (X, i32(KNEE), i32(parameters(step, variant)), i32(KNEE - zero))


@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_every_input_of_every_knee(variant: str) -> None:
    step, zero, inputs = case(variant)
    (y,) = check(OPERATOR, *inputs)
    proved(OPERATOR, [operand(0, 255, *X.shape), *constants(*inputs[1:])], inputs)
    real = (y.astype(np.float64) - zero) * step
    error = np.abs(real - exact((X - KNEE.astype(np.float64)) * step, variant))
    assert (error <= {"none": 0.0071, "tanh": 0.0066}[variant] + step / 2).all()


@pytest.mark.parametrize("variant", ["none", "tanh"])
def test_steps_whose_knee_is_rounded(variant: str) -> None:
    step = np.linspace(fit(variant)[0] / 127, 0.17, 400)
    knee = np.rint(fit(variant)[0] / step)
    zero = output_zero(step)
    x = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 400, 1)
    (y,) = check(OPERATOR, x, i32(knee), i32(parameters(step, variant)), i32(knee - zero))
    error = np.abs((y.astype(np.float64) - zero) * step - exact((x - knee) * step, variant))
    assert (error <= {"none": 0.0071, "tanh": 0.0066}[variant] + 0.6 * step).all()


def test_one_knee_for_all_channels() -> None:
    _, _, inputs = case("none")
    check(OPERATOR, X[None, :3], *(c[:1] for c in inputs[1:]))


@pytest.mark.parametrize(
    ("knee", "divisor", "offset", "message"),
    [
        (128, 2**20, 100, "Gelu knee is outside"),
        (127, 2**32 - 2**20, 100, "Gelu product ranges over"),
        (100, 2**22, 101, "Gelu result ranges over"),
        (100, 1, 0, "Gelu result ranges over"),
    ],
)
def test_violations_are_refused(knee: int, divisor: int, offset: int, message: str) -> None:
    inputs = constants(i32([knee]), np.array([divisor]), i32([offset]))
    refuses(OPERATOR, operand(0, 255, 1, 1), *inputs, match=message)
