"""Prove from the emitted C that no dense layer that an accelerator computes leaves its type.

Weights and parameters are those that the compiler reads, in the order that intcc_accel.h
specifies; inputs are any bytes.

    matmul_u8s8_u8      bias + every partial sum in int32; 0 <= mul; 2 <= shift <= 62
    matmul_u8s8_s32     every partial sum, sum * mul and sum * mul + bias in int32
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
    calls = columns = 0
    for kind, arguments in emitted.accelerated():
        inner, n = int(arguments[1]), int(arguments[2])
        weight = emitted.constant(arguments[4])[: n * inner].reshape(n, inner).astype(np.int64)
        ends = [BYTE * f(weight, 0).sum(1).astype(object) for f in (np.minimum, np.maximum)]
        count = 3 if kind == "matmul_u8s8_u8" else 2
        numbers = [emitted.constant(a)[:n].astype(object) for a in arguments[5 : 5 + count]]
        what = f"{kind}({arguments[4]})"
        _require(what, "a sum", *ends)
        if kind == "matmul_u8s8_u8":
            bias, mul, shift = numbers
            _require(what, "sum and bias", *(e + bias for e in ends))
            if min(mul) < 0 or min(shift) < 2 or max(shift) > 62:
                raise FailedError(f"{what}: a multiplier or a shift is out of range")
        else:
            mul, bias = numbers
            scaled = [e * mul for e in ends]
            _require(what, "the scaled sum", *scaled)
            _require(what, "the scaled sum and bias", *(s + bias for s in scaled))
        calls, columns = calls + 1, columns + n
    return calls, columns


def _require(what: str, name: str, *ends: Array) -> None:
    """Fail unless every number fits int32; -2**31 is not used."""
    worst = max(int(np.abs(e).max()) for e in ends)
    if worst >= 2**31:
        raise FailedError(f"{what}: {name} reaches {worst:,}, beyond {2**31 - 1:,}")
