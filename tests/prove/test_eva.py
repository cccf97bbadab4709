"""The proofs hold, and the analysis objects to kernels that were tampered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from intcc.errors import MissingToolError
from intcc.toolchain import find_program
from tests.prove.eva import PACKAGES, PROOFS, emit, prove

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def tool() -> None:
    try:
        find_program("frama-c", PACKAGES)
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", PROOFS)
def test_no_input_breaks_a_kernel(name: str, tmp_path: Path) -> None:
    assert prove(emit(name, tmp_path)) == []


DAMAGE = {
    "matmul": ("+ bias[n + j]", "+ bias[n + j + 1]", "out of bounds"),
    "rescale": ("(int64_t)x[", "(int32_t)x[", "signed overflow"),
    "softmax": ("sum / 2) / sum", "sum / 2) / (sum & 1u)", "division by zero"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_an_error_is_found(name: str, tmp_path: Path) -> None:
    sources = emit(name, tmp_path)
    path = tmp_path / f"{name}_kernels.h"
    right, wrong, words = DAMAGE[name]
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    assert words in " ".join(prove(sources))
