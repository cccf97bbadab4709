"""Ternary layers: what a byte holds, equal bits in every packing, the flash they take."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from intcc.backends.c.emit import CReport
from intcc.backends.c.ternary import PACKINGS, Packing, is_ternary, pack
from intcc.errors import SettingsError
from intcc.ops import linear_dynamic
from tests.c.bench import Bench, differences
from tests.c.cases_decoder import ternary
from tests.ops.harness import i32

Int8 = npt.NDArray[np.int8]
EVERY = pytest.mark.parametrize("packing", PACKINGS.values(), ids=list(PACKINGS))
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


def unpacked(column: Int8, k: int, packing: Packing) -> list[int]:
    """Return k weights, digit by digit as the file's docstring says it."""
    found: list[int] = []
    at, count = 0, len(packing.factors)
    while len(found) < k:
        size = min(packing.chunk, k - len(found))
        width = -(-size // count)
        planes = np.zeros((count, width), np.int64)
        for i, byte in enumerate(column.view(np.uint8)[at : at + width].tolist()):
            for j in range(count):
                if count == 4:
                    planes[j, i] = (byte >> 2 * j) % 4 - 1
                else:
                    planes[j, i] = byte * 3 // 256 - 1
                    byte = byte * 3 % 256
        found += planes.reshape(-1)[:size].tolist()
        at += width
    return found


@EVERY
def test_every_byte(packing: Packing) -> None:
    count = len(packing.factors)
    weight = np.array(list(itertools.product((-1, 0, 1), repeat=count)), np.int8)
    packed = pack(weight, packing)
    assert packed.shape == (3**count, 1)
    assert [unpacked(row, count, packing) for row in packed] == weight.tolist()


@EVERY
@pytest.mark.parametrize("k", [1, 6, 959, 960, 961, 1024, 1027, 2100])
def test_columns(packing: Packing, k: int) -> None:
    weight = np.random.default_rng(k).integers(-1, 1, (3, k), endpoint=True).astype(np.int8)
    packed = pack(weight, packing)
    assert packed.shape == (3, packing.stride(k))
    assert [unpacked(row, k, packing) for row in packed] == weight.tolist()


def test_only_ternary_weights_are_packed() -> None:
    assert is_ternary(np.array([[-1, 0], [1, 1]], np.int8))
    assert not is_ternary(np.array([[-2, 0]], np.int8))
    assert not is_ternary(np.array([[2, 0]], np.int8))


@pytest.mark.parametrize("packing", ["int8", *PACKINGS])
def test_equal_to_reference(packing: str, tmp_path: Path) -> None:
    bench = Bench("bench")
    ternary(bench)
    bench.finish()
    bench.emit(tmp_path, ternary=packing)
    native = bench.native(tmp_path, (*UNDEFINED, "-Wsign-conversion"))
    assert differences(bench, native) == []
    assert native.selftest() == 0


def _layer(folder: Path, packing: str | None, largest: int = 1) -> CReport:
    bench = Bench("layer")
    x = bench.input(np.int32, ["batch", "sequence", 200], -(2**20), 2**20)
    rng = np.random.default_rng(1)
    weight = rng.integers(-largest, largest, (200, 100), endpoint=True).astype(np.int8)
    mul, shift = linear_dynamic.parameters(np.full(1, 1e-3), weight)
    q = bench.op("DynamicQuantize", [x], outputs=3)
    bench.output(*bench.op("LinearDynamic", [*q, weight, mul, shift, i32([0])]))
    bench.finish()
    return bench.emit(folder, ternary=packing)


def test_flash_shrinks(tmp_path: Path) -> None:
    wide = _layer(tmp_path, "int8").flash_bytes
    assert wide - _layer(tmp_path, "2bit").flash_bytes == 200 * 100 - 50 * 100
    assert wide - _layer(tmp_path, "trits").flash_bytes == 200 * 100 - 40 * 100
    assert _layer(tmp_path, None).flash_bytes == _layer(tmp_path, "2bit").flash_bytes
    assert _layer(tmp_path, "2bit", 2).flash_bytes == wide


def test_the_stack_holds_the_panel(tmp_path: Path) -> None:
    assert _layer(tmp_path, "2bit").stack_bytes >= 4 * 200 + 4 * 16 * 32


def test_unknown_packing(tmp_path: Path) -> None:
    message = r"Packing '3bit' of ternary weights does not exist.*Known: int8, 2bit, trits"
    with pytest.raises(SettingsError, match=message):
        _layer(tmp_path, "3bit")
