"""What the report says of the QLinear model: what it covers, and where its bits differ and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

if TYPE_CHECKING:
    from intcc.backends.onnx.qlinear import Coverage

__all__ = ["describe", "qlinear_report"]


def qlinear_report(
    coverage: Coverage,
    strict: onnx.ModelProto,
    qlinear: onnx.ModelProto,
    feeds: Sequence[Mapping[str, npt.NDArray[Any]]],
) -> dict[str, Any]:
    """Return the section of report.json.

    Args:
        coverage: what became of the operators.
        strict: the strict model, which is the yardstick.
        qlinear: the QLinear model.
        feeds: integer inputs on which both run.
    """
    from intcc.runtime.ort import open_session

    yardstick, other = (open_session(m.SerializeToString()) for m in (strict, qlinear))
    values = differing = 0
    for sample in feeds:
        for a, b in zip(yardstick.run(None, sample), other.run(None, sample), strict=True):
            values += a.size
            differing += int(np.count_nonzero(a != b))
    return {
        "operators": dict(sorted(Counter(layer.operator for layer in coverage.layers).items())),
        "kept": dict(coverage.kept),
        "proved_equal": coverage.proved,
        "summary": describe(coverage),
        "recorded": {"inputs": len(feeds), "values": values, "differing": differing},
        "layers": [asdict(layer) for layer in coverage.layers],
    }


def describe(coverage: Coverage) -> str:
    """Return one sentence: proved equal, or how many accumulators differ and why."""
    layers = coverage.layers
    bad = [layer for layer in layers if layer.differing]
    if not bad:
        return f"{len(layers)} layers proved equal to the strict model for every accumulator"
    count, of = sum(x.differing for x in bad), sum(x.accumulators for x in bad)
    reason = (
        "float32 rounds halves of powers of two to even, and integers round them up: --rescale "
        "dyadic leaves no halves"
        if any(x.ties for x in bad)
        else f"float32 cannot tell quotients by up to {max(x.divisor for x in bad)} from a half: "
        "--rounding half-even makes all equal"
    )
    return (
        f"{len(layers) - len(bad)} of {len(layers)} layers proved equal to the strict model; in "
        f"the others {count:,} of {of:,} accumulators differ by one, because {reason}"
    )
