"""The sampler's C draws what the reference draws."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from intcc.backends.c.sampler import emit_sampler
from intcc.runtime.compiler import STRICT_FLAGS, find_compiler, shared_library
from intcc.sampling import MAX_VOCABULARY, WHOLE, Array, SamplerConfig
from intcc.specs import Scale
from tests.test_sampling import (
    BESIDE,
    CASES,
    HIGH,
    LOW,
    PLAIN,
    SCALE,
    boundary,
    draws,
    logits,
    row,
    seed_of,
    share_just_above,
)

Draw = Callable[[Array, SamplerConfig, int, int], list[int]]
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


@pytest.mark.parametrize("z", BESIDE)
def test_c_has_the_same_border(z: int, draw: Draw) -> None:
    q, bits = boundary(z)
    assert draw(q, PLAIN, seed_of(bits), 1) == [1]
    assert draw(q, PLAIN, seed_of(bits - 1), 1) == [0]


def test_c_rounds_the_share_up(draw: Draw) -> None:
    q, config = share_just_above()
    assert draw(q, config, seed_of(2**64 - 1), 1) == [1]


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
    flags = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
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
