"""Attention: equal bits, numerators, error against float softmax, masks, proofs."""

from __future__ import annotations

import numpy as np
import pytest

from intcc.errors import RangeProofError
from intcc.interval import Operand
from intcc.ops.attention import OPERATOR, REACH, numerators, parameters
from intcc.ops.key_mask import MASKED
from tests.ops.harness import (
    Array,
    check,
    constants,
    generator,
    i32,
    operand,
    proved,
    refuses,
    u8,
)

UNITS = (1e-7, 1e-4, 8.4e-4, 5e-3, 0.02, 0.1, 1.0, 8.4, 100.0)


def case(batch: int, queries: int, keys: int, heads: int, dim: int) -> tuple[Array, ...]:
    rng = generator(batch, queries, keys, heads, dim)
    q = u8(rng.integers(0, 128, (batch, queries, heads * dim)))
    k, v = (u8(rng.integers(1, 256, (batch, keys, heads * dim))) for _ in range(2))
    addend = np.zeros((1, 1, 1, 1), np.int32)
    return (q, k, v, addend, *parameters(2e-4, keys, heads, dim, heads))


def operands(inputs: tuple[Array, ...]) -> list[Operand]:
    """Return what the proof knows of the inputs."""
    shapes = [x.shape for x in inputs[:3]]
    return [
        operand(0, 127, *shapes[0]),
        operand(1, 255, *shapes[1]),
        operand(1, 255, *shapes[2]),
        Operand.of_constant(inputs[3]),
        *constants(*inputs[4:]),
    ]


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1, 1), (2, 7, 7, 3, 20), (1, 5, 130, 3, 20), (3, 61, 61, 2, 32), (1, 3, 600, 1, 8)],
)
def test_onnxruntime_equals_reference_inside_the_bounds(
    shape: tuple[int, int, int, int, int],
) -> None:
    inputs = case(*shape)
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs), inputs)


@pytest.mark.parametrize("unit", UNITS)
def test_score_units(unit: float) -> None:
    inputs = case(1, 9, 33, 3, 20)
    check(OPERATOR, *inputs[:4], *parameters(unit, 33, 3, 20, 3))


@pytest.mark.parametrize("keys", [1, 512, 513, 1000, 8192])
@pytest.mark.parametrize("unit", UNITS)
def test_numerators_of_every_step(unit: float, keys: int) -> None:
    _, _, _, cap, up, down, *rest = (int(c) for c in parameters_scalars(unit, keys))
    cubic, rounding, shift = (rest[0], rest[1], rest[2]), rest[3], rest[4]
    steps = np.arange(cap * up // down + 1)
    e = numerators(steps, 1, 1, cubic, rounding, shift)
    assert (np.diff(e) <= 0).all()
    assert e[-1] == 0 and 0 < e[0] < 2**14
    assert 255.5 * int(e[0]) * keys < 2**31
    nats = steps * min(unit, 8.4) * down / up
    kept = nats <= REACH
    error = e[kept] / e[0] - np.exp(-nats[kept])
    assert np.abs(error).max() <= 2.8e-3 + 1 / e[0]


def parameters_scalars(unit: float, keys: int) -> tuple[Array, ...]:
    """Return the constants with the two shapes replaced by nothing of interest."""
    return (np.array(0), np.array(0), *parameters(unit, keys, 1, 64, 1)[2:])


@pytest.mark.parametrize("unit", [1e-4, 8.4e-4, 5e-3])
@pytest.mark.parametrize("spread", [0.01, 0.3, 1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize(("keys", "bound"), [(8, 6e-3), (60, 6e-3), (512, 6e-3), (2048, 8e-2)])
def test_error_before_the_last_rounding(
    unit: float, spread: float, keys: int, bound: float
) -> None:
    rng = generator(keys)
    half, cap, up, down, c0, c1, c2, rounding, shift = (
        int(c) for c in parameters(unit, keys, 1, 64, 1)[2:]
    )
    scores = np.rint(rng.normal(0, spread, (100, keys)) / unit).astype(np.int64)
    d = np.minimum(scores.max(-1, keepdims=True) + half - scores, cap)
    e = numerators(d, up, down, (c0, c1, c2), rounding, shift)
    v = rng.integers(1, 256, (keys, 64)) - 128.0
    exact = np.exp((scores - scores.max(-1, keepdims=True)) * unit)
    want = exact / exact.sum(-1, keepdims=True) @ v
    got = e / e.sum(-1, keepdims=True) @ v
    assert np.sqrt(((got - want) ** 2).mean() / (want**2).mean()) <= bound


@pytest.mark.parametrize("keys", [2, 31, 128])
def test_output_against_float(keys: int) -> None:
    unit = 6e-4
    inputs = case(2, 17, keys, 3, 20)
    inputs = (*inputs[:4], *parameters(unit, keys, 3, 20, 3))
    (y,) = check(OPERATOR, *inputs)

    def split(x: Array, zero: int) -> Array:
        return x.reshape(2, -1, 3, 20).transpose(0, 2, 1, 3).astype(np.float64) - zero

    scores = split(inputs[0], 64) @ split(inputs[1], 128).swapaxes(-1, -2) * unit
    e = np.exp(scores - scores.max(-1, keepdims=True))
    want = (e / e.sum(-1, keepdims=True)) @ split(inputs[2], 128)
    # Half a step of the output, and the error of the numerators times the reach of v.
    assert np.abs(split(y, 128) - want).max() <= 0.5 + 127 * 6e-3


def test_equal_scores_give_the_mean() -> None:
    v = u8(np.arange(1, 256)[None, :, None])
    q, k = u8(np.full((1, 1, 1), 64)), u8(np.full((1, 255, 1), 128))
    (y,) = check(
        OPERATOR, q, k, v, np.zeros((1, 1, 1, 1), np.int32), *parameters(1e-3, 255, 1, 1, 1)
    )
    assert y.tolist() == [[[128]]]


def test_masked_keys_change_nothing() -> None:
    q, k, v, _, *rest = case(1, 9, 12, 3, 20)
    (short,) = check(OPERATOR, q, k, v, np.zeros((1, 1, 1, 12), np.int32), *rest)
    padding = u8(np.full((1, 5, 60), 255))
    addend = i32(np.where(np.arange(17) < 12, 0, MASKED))[None, None, None]
    longer = [np.concatenate([x, padding], 1) for x in (k, v)]
    (long,) = check(OPERATOR, q, *longer, addend, *rest)
    assert (short == long).all()


def test_rows_of_masked_keys_alone_stay_in_range() -> None:
    q, k, v, _, *rest = case(2, 6, 6, 3, 20)
    addend = np.full((2, 1, 1, 6), MASKED, np.int32)
    inputs = (q, k, v, addend, *rest)
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs), inputs)


def test_position_bias_per_head() -> None:
    q, k, v, _, *rest = case(2, 7, 7, 3, 20)
    bias = i32(generator(3).integers(-30000, 30000, (1, 3, 7, 7)))
    inputs = (q, k, v, bias, *rest)
    check(OPERATOR, *inputs)
    proved(OPERATOR, operands(inputs), inputs)


def test_longest_flat_row_of_full_numerators() -> None:
    keys = 512
    q, k = u8(np.full((1, 1, 1), 64)), u8(np.full((1, keys, 1), 128))
    for value in (1, 255):
        v = u8(np.full((1, keys, 1), value))
        rest = parameters(1e-3, keys, 1, 1, 1)
        (y,) = check(OPERATOR, q, k, v, np.zeros((1, 1, 1, 1), np.int32), *rest)
        assert y.tolist() == [[[value]]]


@pytest.mark.parametrize("keys", [511, 513, 1021, 4085, 8191])
def test_flat_rows_at_the_edge_of_int32(keys: int) -> None:
    q, k = u8(np.full((1, 1, 1), 64)), u8(np.full((1, keys, 1), 128))
    v = u8(np.full((1, keys, 1), 255))
    rest = parameters(1e-3, keys, 1, 1, 1)
    (y,) = check(OPERATOR, q, k, v, np.zeros((1, 1, 1, 1), np.int32), *rest)
    assert y.tolist() == [[[255]]]


def test_too_many_keys_have_no_constants() -> None:
    with pytest.raises(RangeProofError, match="Attention over 40000 keys leaves fewer than 8 bits"):
        parameters(1e-3, 40000, 1, 64, 1)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, operand(0, 128, 1, 7, 60), "Attention query ranges over"),
        (1, operand(0, 255, 1, 7, 60), "Attention key ranges over"),
        (2, operand(0, 255, 1, 7, 60), "Attention value ranges over"),
        (1, operand(1, 255, 1, 4000, 60), "Attention over 4000 keys passes int32"),
        (3, operand(-(2**30), 0, 1, 1, 1, 7), "Attention scores ranges over"),
        (7, Operand.of_constant(i32(5)), "Attention constants break C3"),
        (7, Operand.of_constant(i32(2**31 - 1)), "Attention constants break C3"),
        (8, Operand.of_constant(i32(2**30)), "Attention constants break C3"),
        (14, Operand.of_constant(np.array(17, np.uint32)), "Attention constants break C3"),
    ],
)
def test_violations_are_refused(index: int, value: Operand, message: str) -> None:
    some = operands(case(1, 7, 7, 3, 20))
    some[index] = value
    refuses(OPERATOR, *some, match=message)
