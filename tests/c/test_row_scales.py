"""Layers with scales per row on x86: results within 2^28, those beyond, and those that saturate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intcc.ops import linear_dynamic as dynamic
from tests.c.bench import Bench
from tests.c.test_vector_forms import weights
from tests.c.test_x86_sets import SETS, check_set
from tests.ops.harness import i32

LIMIT = 2**29 - 2**16
COLUMNS = 128


@pytest.fixture(scope="module")
def layers() -> Bench:
    """Layers of whole tiles with and without a bias and a residual; rows have all magnitudes."""
    rng = np.random.default_rng(4)
    b = Bench("rows", max_tokens=64)
    for scale in (2.0**-6, 2.0**-9, 2.0**-15):
        for name in ("plain", "bias", "residual", "both"):
            b.case(f"{name}_{scale}")
            x = b.input(np.int32, ["batch", "sequence", 64], -(2**29), 2**29)
            codes = b.op("DynamicQuantize", [x], outputs=3)
            w = weights(rng, 64, COLUMNS, (-128, 127))
            short = dynamic.short_parameters(rng.uniform(scale, 2 * scale, COLUMNS), 64)
            assert short is not None
            mul, shift = short
            has_bias = name in ("bias", "both")
            bias = rng.integers(-(2**29), 2**29, COLUMNS) if has_bias else np.zeros(COLUMNS)
            y = b.op("LinearDynamic", [*codes, w, mul, shift, i32(bias)])
            if name in ("residual", "both"):
                residual = b.input(np.int32, ["batch", "sequence", COLUMNS], -LIMIT, LIMIT)
                y = b.op("SaturatingAdd", [*y, residual])
            b.output(*y)
    b.finish()
    return b


def test_rows_of_all_magnitudes_meet_all_cases(layers: Bench) -> None:
    expected = layers.expected(layers.feeds(64, "sizes"))
    plain = list(expected.values())[::4]
    largest = np.concatenate([np.abs(y.astype(np.int64)).max(-1).reshape(-1) for y in plain])
    assert (largest == LIMIT).any()
    assert ((largest > 2**28) & (largest < LIMIT)).any()
    assert (largest < 2**28).any()


@pytest.mark.parametrize("name", SETS)
def test_set(layers: Bench, name: str, tmp_path: Path) -> None:
    inputs = ((64, "sizes"), (9, "sizes"), (6, "high"), (12, "mix"), (31, "random"))
    check_set(layers, name, tmp_path, inputs)
