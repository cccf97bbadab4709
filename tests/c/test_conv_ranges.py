"""Ranges of convolutions, proved from the constants of their C alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intcc.verification.constant_ranges import prove
from intcc.verification.report import FailedError
from tests.c.bench import Bench
from tests.c.cases_conv import CONV_CASES

KINDS = [name for name in CONV_CASES if name.startswith("conv")]


def emitted(kind: str, folder: Path, target: str = "generic", offload: tuple[str, ...] = ()) -> int:
    """Write the C of a kind of convolution; return how many there are."""
    bench = Bench("bench")
    CONV_CASES[kind](bench)
    bench.finish()
    bench.emit(folder, target=target, offload=offload)
    return sum(node.op_type.startswith("Conv") for node in bench.graph)


@pytest.mark.parametrize("target", ["generic", "cortex-m4", "x86-64-v3"])
@pytest.mark.parametrize("kind", ["conv", "conv_wide"])
def test_layers_of_gathered_windows(kind: str, target: str, tmp_path: Path) -> None:
    count = emitted(kind, tmp_path, target)
    assert prove(tmp_path, "bench").calls == count


@pytest.mark.parametrize("offload", [(), ("conv",)], ids=["own", "offload"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bias_that_breaks_a_bound_is_found(
    kind: str, offload: tuple[str, ...], tmp_path: Path
) -> None:
    count = emitted(kind, tmp_path, offload=offload)
    assert prove(tmp_path, "bench").calls == count
    weights = tmp_path / "bench_weights.c"
    text, changed = re.subn(
        r"(const int32_t \w*bias\[\d+\] = \{\s*)-?\d+",
        r"\g<1>2147483647",
        weights.read_text(encoding="utf-8"),
    )
    assert changed
    weights.write_text(text, encoding="utf-8")
    with pytest.raises(FailedError, match=r"sum and bias.* reaches .* beyond 2,147,483,647"):
        prove(tmp_path, "bench")
