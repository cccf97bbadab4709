"""Sampling: against float softmax and at its edges; tests/c/test_sampler.py holds the C to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intcc.errors import DataError, SettingsError
from intcc.sampling import MAX_VOCABULARY, WHOLE, Array, Sampler, SamplerConfig, SplitMix64, weights
from intcc.specs import Scale

SCALE = Scale(1, 10)
LOW, HIGH = -(2**31), 2**31 - 1


def row(*values: int) -> Array:
    return np.array(values, np.int32)


def logits(size: int, seed: int = 0, spread: float = 2.0) -> Array:
    """Return Gaussian logits of a standard deviation of `spread` nats."""
    real = np.random.default_rng(seed).normal(0, spread, size)
    return SCALE.quantize(real, LOW, HIGH).astype(np.int32)


def softmax(q: Array, temperature: float = 1.0) -> Array:
    x = SCALE.dequantize(q) / temperature
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())


def draws(q: Array, config: SamplerConfig, seed: int, count: int) -> list[int]:
    """Draw with the reference."""
    sampler = Sampler(SCALE, seed=seed)
    sampler.config = config
    return [sampler.pick(q) for _ in range(count)]


# -- against real numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 3.0])
def test_weights_are_within_the_documented_error(temperature: float) -> None:
    config = SamplerConfig.create(SCALE, temperature)
    d = np.arange(60_000, dtype=np.uint32)
    x = d / 1024 / temperature
    w = weights(d, config)
    bound = (1.3e-4 + 2.0**-31 * x) * np.exp(-x) + 2.0**-40
    assert (np.abs(w / 2.0**40 - np.exp(-x)) <= bound).all()
    assert (np.diff(w.astype(np.int64)) <= 0).all()
    assert w[0] == 65535 << 24


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_probabilities_are_those_of_softmax(temperature: float) -> None:
    q = logits(5000)
    tokens, w = Sampler(SCALE, temperature).kept(q)
    made, wanted = np.zeros(q.size), softmax(q, temperature)
    made[tokens] = w / w.sum()
    assert (np.abs(made - wanted) <= 3e-4 * wanted + 2.0**-39).all()


def test_frequencies_are_those_of_softmax() -> None:
    q, count = logits(12), 20_000
    seen = np.bincount(draws(q, SamplerConfig.create(SCALE, 0.9), 1, count), minlength=12)
    expected = softmax(q, 0.9) * count
    assert ((seen - expected) ** 2 / expected).sum() < 31.3  # 11 degrees of freedom, 0.1 %


@pytest.mark.parametrize("top_p", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("top_k", [None, 2, 40, 299, 300, 1000])
def test_kept_tokens_are_those_of_float(top_p: float, top_k: int | None) -> None:
    q = logits(300, seed=3)
    order = np.argsort(-q, kind="stable")[:top_k]
    p = softmax(q)[order] / softmax(q)[order].sum()
    sums = np.cumsum(p)
    assert np.abs(sums - top_p).min() > 1e-6, "too near to call"
    wanted = order[: np.searchsorted(sums, top_p) + 1]
    assert Sampler(SCALE, 1.0, top_k, top_p).kept(q)[0].tolist() == sorted(wanted.tolist())


# -- edges ----------------------------------------------------------------------------------------

CASES: dict[str, tuple[Array, SamplerConfig, list[int]]] = {
    "one token": (row(-5), SamplerConfig.create(SCALE), [0]),
    "ties, lower index first": (row(7, 9, 9, 9), SamplerConfig.create(SCALE, 1, 2), [1, 2]),
    "greedy": (row(7, 9, 9), SamplerConfig.create(SCALE, 0), [1]),
    "k = 1": (row(7, 9, 9), SamplerConfig.create(SCALE, 1, 1), [1]),
    "k above the vocabulary": (row(1, 1, 1), SamplerConfig.create(SCALE, 1, 9), [0, 1, 2]),
    "p = 0 keeps the best": (row(8, 9, 9), SamplerConfig.create(SCALE, 1, 0, 0), [1]),
    "p = 1 keeps all": (row(0, 1, 2), SamplerConfig.create(SCALE, 1, 0, 1), [0, 1, 2]),
    "p cuts through equals": (row(4, 4, 4, 4), SamplerConfig.create(SCALE, 1, 0, 0.5), [0, 1]),
    "p just above": (row(4, 4, 4, 4), SamplerConfig(1, 2, 0, WHOLE // 2 + 1), [0, 1, 2]),
    "p of what k keeps": (row(4, 4, 4, 4, 4), SamplerConfig.create(SCALE, 1, 4, 0.5), [0, 1]),
    "p met exactly": (row(1, 0, 0), SamplerConfig(4 * 4096, 2, 0, WHOLE // 2), [0]),
    "whole range": (row(LOW, HIGH, 0, LOW), SamplerConfig.create(SCALE, 1, 0, 0.9), [1]),
    "all lowest": (row(LOW, LOW), SamplerConfig.create(SCALE), [0, 1]),
    "all highest": (row(HIGH, HIGH), SamplerConfig.create(SCALE), [0, 1]),
    "far apart, nearly cold": (row(0, 1, 0), SamplerConfig.create(SCALE, 1e-300), [1]),
    "far apart, hot": (row(LOW, HIGH), SamplerConfig.create(SCALE, 1e300), [0, 1]),
    "largest multiplier": (row(LOW, HIGH), SamplerConfig(2**31 - 1, 2), [1]),
    "largest shift": (row(LOW, HIGH), SamplerConfig(2**31 - 1, 62), [0, 1]),
}


@pytest.mark.parametrize("name", CASES)
def test_edge(name: str) -> None:
    q, config, wanted = CASES[name]
    sampler = Sampler(SCALE)
    sampler.config = config
    tokens, w = sampler.kept(q)
    assert tokens[w > 0].tolist() == wanted
    assert set(draws(q, config, 5, 40)) == set(wanted)


def seed_of(bits: int) -> int:
    """Return the seed whose first random number is `bits`: the mixing function backwards."""
    x = bits
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        y = x
        for _ in range(64 // shift + 1):
            y = x ^ (y >> shift)
        x = y * pow(factor, -1, 2**64) % 2**64
    return (x - 0x9E3779B97F4A7C15) % 2**64


#: Exponents of a token next to the best one, up to the last whose weight is not nothing.
BESIDE = [1, 2, 77, 4096, 5000, 12345, 70001, 120011, 39 * 4096, 40 * 4096 - 1]
PLAIN = SamplerConfig(4, 2)


def boundary(z: int) -> tuple[Array, int]:
    """Return two tokens, and the least random number that draws the second."""
    q = row(z, 0)
    first, second = map(int, weights(row(0, z), PLAIN))
    assert second > 0
    return q, -(-(first << 64) // (first + second))


@pytest.mark.parametrize("z", BESIDE)
def test_border_between_two_tokens_is_exact(z: int) -> None:
    q, bits = boundary(z)
    assert draws(q, PLAIN, seed_of(bits), 1) == [1]
    assert draws(q, PLAIN, seed_of(bits - 1), 1) == [0]
    assert draws(q, PLAIN, seed_of(2**64 - 1), 1) == [1]


def share_just_above() -> tuple[Array, SamplerConfig]:
    """Return two tokens and a share that passes the first one's weight by less than one unit."""
    first = int(weights(row(0), PLAIN)[0])
    for z, second in enumerate(weights(np.arange(40_000), PLAIN).tolist()):
        total = first + int(second)
        share = -(-first * WHOLE // total)
        if total * share // WHOLE == first and total * share % WHOLE:
            return row(z, 0), SamplerConfig(4, 2, 0, share)
    raise AssertionError("no such pair")


def test_share_is_rounded_up() -> None:
    q, config = share_just_above()
    sampler = Sampler(SCALE)
    sampler.config = config
    assert sampler.kept(q)[0].tolist() == [0, 1]


def test_weight_ends_at_forty_powers() -> None:
    assert weights(np.array([40 * 4096 - 1, 40 * 4096, 2**32 - 1]), PLAIN).tolist() == [1, 0, 0]


def test_largest_vocabulary_does_not_overflow() -> None:
    total = MAX_VOCABULARY * int(weights(np.zeros(1), SamplerConfig(0, 2))[0])
    assert total < 2**64


def test_generator_meets_published_values() -> None:
    generator = SplitMix64(1234567)
    assert [generator.next() for _ in range(3)] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
    ]  # fmt: skip


def test_same_seed_same_stream() -> None:
    q, config = logits(50), SamplerConfig.create(SCALE)
    assert draws(q, config, 3, 50) == draws(q, config, 3, 50) != draws(q, config, 4, 50)
    assert draws(q, config, -1, 9) == draws(q, config, 2**64 - 1, 9)


def test_greedy_uses_no_random_number() -> None:
    sampler = Sampler(SCALE, None, seed=8)
    assert sampler.pick(logits(9)) == int(np.argmax(logits(9)))
    assert sampler.random.state == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "Temperature -1.0 is not a number from 0 up. 0 is greedy."),
        ({"temperature": float("nan")}, "Temperature nan is not a number from 0 up"),
        ({"top_p": 1.5}, "top_p 1.5 is not between 0 and 1. 1 keeps every token."),
        ({"top_k": -2}, "top_k -2 is not a count. 0 keeps every token."),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace(".", r"\.")):
        Sampler(SCALE, **options)


def test_scale_per_token_is_refused() -> None:
    with pytest.raises(SettingsError, match="Scale of the logits differs between tokens"):
        Sampler(Scale((1, 2), 3, axis=0))


def test_bad_logits_are_refused() -> None:
    with pytest.raises(DataError, match=r"Logits are int64 \[2\]\. Give one row of int32\."):
        Sampler(SCALE).pick(np.zeros(2, np.int64))
    with pytest.raises(DataError, match=r"Logits are 0 values\. 1 to 16777216 are taken\."):
        Sampler(SCALE, 0).pick(row())
