"""A convolution alone: all of the arena is its scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.c.bench import Bench, differences


@pytest.mark.parametrize("threads", [False, True])
def test_convolution_alone(threads: bool, tmp_path: Path) -> None:
    bench = Bench("bench")
    bench.case("alone")
    x = bench.input(np.uint8, ["batch", 6, 5, 3], 0, 255)
    weight = np.random.default_rng(1).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    numbers = [np.asarray(v, np.int32) for v in ([9], [101], 0, 255)]
    attributes: dict[str, Any] = {
        "strides": (1, 1),
        "pads": (1, 1, 1, 1),
        "dilations": (1, 1),
        "group": 1,
    }
    operands: list[Any] = [x, np.asarray(7, np.uint8), weight, *numbers]
    bench.output(*bench.op("Conv", operands, **attributes))
    bench.finish()
    report = bench.emit(tmp_path, threads=threads)
    assert report.operators["Conv"].macs == 30 * 4 * 27
    assert [name for name, *_ in report.memory_map] == ["conv8_rows"]
    assert differences(bench, bench.native(tmp_path)) == []
