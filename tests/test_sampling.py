"""Sampling: against float softmax, at its edges, and C against Python."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from intcc.backends.c.sampler import emit_sampler
from intcc.errors import DataError, SettingsError
from intcc.runtime.compiler import STRICT_FLAGS, find_compiler, shared_library
from intcc.sampling import MAX_VOCABULARY, WHOLE, Array, Sampler, SamplerConfig, SplitMix64, weights
from intcc.specs import Scale

SCALE = Scale(1, 10)
LOW, HIGH = -(2**31), 2**31 - 1

Draw = Callable[[Array, SamplerConfig, int, int], list[int]]


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


# -- C --------------------------------------------------------------------------------------------

PRESETS = {
    "default": SamplerConfig.create(SCALE, 0.8, 40, 0.9),
    "greedy": SamplerConfig.create(SCALE, 0),
}


class _Sampler(ctypes.Structure):
    _fields_ = (
        ("mul", ctypes.c_uint32), ("shift", ctypes.c_uint32), ("top_k", ctypes.c_uint32),
        ("top_p", ctypes.c_uint64),
    )  # fmt: skip


def _struct(config: SamplerConfig) -> _Sampler:
    return _Sampler(config.mul, config.shift, config.top_k, config.top_p)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    header, source = emit_sampler("toy", tmp_path_factory.mktemp("sampler"), PRESETS)
    loaded = shared_library([source], [header], find_compiler(), ("-O2",))
    loaded.toy_sample.restype = ctypes.c_int32
    return loaded


@pytest.fixture(scope="module")
def draw(library: ctypes.CDLL) -> Draw:
    def call(q: Array, config: SamplerConfig, seed: int, count: int) -> list[int]:
        state, figures = ctypes.c_uint64(seed), _struct(config)
        size, data = ctypes.c_uint32(q.size), q.ctypes.data_as(ctypes.c_void_p)
        return [
            library.toy_sample(data, size, ctypes.byref(figures), ctypes.byref(state))
            for _ in range(count)
        ]

    return call


@pytest.mark.parametrize("name", CASES)
def test_c_meets_the_edges(name: str, draw: Draw) -> None:
    q, config, _ = CASES[name]
    assert draw(q, config, 5, 40) == draws(q, config, 5, 40)


CONFIGS = st.builds(
    SamplerConfig,
    mul=st.integers(0, 2**31 - 1),
    shift=st.integers(2, 62),
    top_k=st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1)),
    top_p=st.one_of(st.just(WHOLE), st.integers(1, WHOLE)),
)
ROWS = st.one_of(
    stn.arrays(np.int32, st.integers(1, 60)),
    stn.arrays(np.int32, st.integers(1, 60), elements=st.integers(-4, 4)),
    stn.arrays(np.int32, st.integers(1, 60), elements=st.integers(-70_000, 70_000)),
)


@settings(max_examples=400, deadline=None)
@given(q=ROWS, config=CONFIGS, seed=st.integers(0, 2**64 - 1))
def test_c_draws_what_python_draws(draw: Draw, q: Array, config: SamplerConfig, seed: int) -> None:
    assert draw(q, config, seed, 5) == draws(q, config, seed, 5)


@settings(max_examples=200, deadline=None)
@given(
    q=ROWS,
    temperature=st.floats(0.01, 100),
    top_k=st.integers(0, 70),
    top_p=st.floats(0, 1),
    shift=st.integers(0, 30),
)
def test_c_draws_what_python_draws_at_real_settings(
    draw: Draw, q: Array, temperature: float, top_k: int, top_p: float, shift: int
) -> None:
    config = SamplerConfig.create(Scale(3, shift), temperature, top_k, top_p)
    assert draw(q, config, 11, 5) == draws(q, config, 11, 5)


@pytest.mark.parametrize("name", PRESETS)
def test_c_draws_from_a_large_vocabulary(name: str, draw: Draw) -> None:
    q = logits(300_000, spread=3.0)
    for config in (PRESETS[name], SamplerConfig.create(SCALE, 1.0, 0, 0.95)):
        assert draw(q, config, 2, 3) == draws(q, config, 2, 3)


def test_c_refuses_bad_arguments(library: ctypes.CDLL, draw: Draw) -> None:
    q = row(1, 2)
    assert draw(row(), SamplerConfig(1, 2), 0, 1) == [-1]
    for bad in (SamplerConfig(2**31, 2), SamplerConfig(1, 1), SamplerConfig(1, 63),
                SamplerConfig(1, 2, 0, 0), SamplerConfig(1, 2, 0, WHOLE + 1)):  # fmt: skip
        assert draw(q, bad, 0, 1) == [-1]
    size, figures, state = ctypes.c_uint32(2), _struct(SamplerConfig(1, 2)), ctypes.c_uint64()
    data = q.ctypes.data_as(ctypes.c_void_p)
    whole = (data, size, ctypes.byref(figures), ctypes.byref(state))
    for missing in (0, 2, 3):
        arguments = [None if i == missing else a for i, a in enumerate(whole)]
        assert library.toy_sample(*arguments) == -1
    assert library.toy_sample(data, ctypes.c_uint32(MAX_VOCABULARY + 1), *whole[2:]) == -1


DRIVER = """
#include "toy_sampler.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const toy_sampler presets[] = {TOY_SAMPLER_DEFAULT, TOY_SAMPLER_GREEDY};
    uint32_t n;
    (void)presets;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        int32_t *logits = malloc(n * sizeof *logits);
        toy_sampler sampler;
        toy_rng rng = {9};
        uint32_t f[5];
        if (fread(f, sizeof f, 1, stdin) != 1) return 90;
        if (fread(logits, sizeof *logits, n, stdin) != n) return 91;
        sampler.mul = f[0];
        sampler.shift = f[1];
        sampler.top_k = f[2];
        sampler.top_p = f[3] | (uint64_t)f[4] << 32;
        for (int i = 0; i < 4; i++) printf("%d\\n", (int)toy_sample(logits, n, &sampler, &rng));
        free(logits);
    }
    return 0;
}
"""


def test_c_is_clean_under_sanitizers(tmp_path: Path) -> None:
    _, source = emit_sampler("toy", tmp_path, PRESETS)
    driver, program = tmp_path / "driver.c", tmp_path / "driver"
    driver.write_text(DRIVER, encoding="utf-8")
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    build = [find_compiler(), *STRICT_FLAGS, *flags, str(source), str(driver), "-o", str(program)]
    subprocess.run(build, check=True)
    rng = np.random.default_rng(0)
    cases = [(q, config) for q, config, _ in CASES.values()]
    for _ in range(200):
        spread = 2 ** int(rng.integers(1, 32))
        q = rng.integers(-spread, spread, int(rng.integers(1, 90)), dtype=np.int64)
        mul, shift, top_k, top_p = map(int, rng.integers([0, 2, 0, 1], [2**31, 63, 99, WHOLE + 1]))
        config = SamplerConfig(mul, shift, top_k, top_p)
        cases.append((np.clip(q, LOW, HIGH).astype(np.int32), config))
    given_ = b"".join(
        np.array([q.size, c.mul, c.shift, c.top_k, c.top_p % WHOLE, c.top_p // WHOLE], np.uint32)
        .tobytes() + q.tobytes()
        for q, c in cases
    )  # fmt: skip
    done = subprocess.run([str(program)], input=given_, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[:1500]
    wanted = [token for q, config in cases for token in draws(q, config, 9, 4)]
    assert list(map(int, done.stdout.split())) == wanted


def test_presets_are_macros_and_bytes_repeat(tmp_path: Path) -> None:
    files = emit_sampler("toy", tmp_path / "a", PRESETS)
    again = emit_sampler("toy", tmp_path / "b", PRESETS)
    text = files[0].read_text(encoding="utf-8")
    assert "/* Drawn from the 40 best tokens, 0.9 of the probability */" in text
    assert "#define TOY_SAMPLER_GREEDY {0u, 2u, 1u, UINT64_C(4294967296)}" in text
    for one, other in zip(files, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert max(map(len, one.read_text(encoding="utf-8").splitlines())) <= 100
