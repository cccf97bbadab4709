"""Prove from the emitted C that no layer that an accelerator computes leaves its types.

Weights and parameters are those that the compiler reads, in the order that intcc_accel.h
specifies; inputs are any bytes.

    ..._u8s8_u8         bias + every partial sum in int32; 0 <= mul; 2 <= shift <= 62
    ..._u8s8_s32        every partial sum, sum * mul and sum * mul + bias in int32

for matmul, and for conv with x - zero in place of x: what lies outside of the image adds nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intcc.verification.emitted import Emitted
from intcc.verification.report import FailedError

__all__ = ["prove_accelerated"]

Array = npt.NDArray[np.object_]
BYTE = 255


def prove_accelerated(emitted: Emitted) -> tuple[int, int]:
    """Return the number of calls and of columns that were proved.

    Raises:
        FailedError: a value can leave its type.
    """
    calls = emitted.accelerated()
    for call in calls:
        n, what = call.columns, f"{call.name}({call.operands[0]})"
        weight = emitted.constant(call.operands[0])[: n * call.inner].reshape(n, call.inner)
        parts = weight.astype(np.int64)
        outside = call.zero * parts.sum(1).astype(object)
        ends = [
            BYTE * f(parts, 0).sum(1).astype(object) - outside for f in (np.minimum, np.maximum)
        ]
        count = 3 if call.narrow else 2
        numbers = [emitted.constant(a)[:n].astype(object) for a in call.operands[1 : 1 + count]]
        _require(what, "a sum", *ends)
        if call.narrow:
            bias, mul, shift = numbers
            _require(what, "sum and bias", *(e + bias for e in ends))
            if min(mul) < 0 or min(shift) < 2 or max(shift) > 62:
                raise FailedError(f"{what}: a multiplier or a shift is out of range")
        else:
            mul, bias = numbers
            scaled = [e * mul for e in ends]
            _require(what, "the scaled sum", *scaled)
            _require(what, "the scaled sum and bias", *(s + bias for s in scaled))
    return len(calls), sum(call.columns for call in calls)


def _require(what: str, name: str, *ends: Array) -> None:
    """Fail unless every number fits int32; -2**31 is not used."""
    worst = max(int(np.abs(e).max()) for e in ends)
    if worst >= 2**31:
        raise FailedError(f"{what}: {name} reaches {worst:,}, beyond {2**31 - 1:,}")
