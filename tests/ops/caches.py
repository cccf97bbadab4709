"""What the tests of cached attention share: caches made of numbers, float attention, sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort

from intcc.interval import Operand
from intcc.ops import OPERATORS
from intcc.ops.operator import Operator
from tests.ops.harness import Array, build, constants, i32, operand

#: Real size of one step of q, k and v in the tests.
UNIT = 2.0**-16
LEVELS = tuple(ort.GraphOptimizationLevel.__members__.values())


def empty(batch: int, heads: int, dim: int, *, values: bool = False) -> tuple[Array, Array, Array]:
    """Return a cache without tokens."""
    shape = (batch, heads, 0, dim) if values else (batch, heads, dim, 0)
    none = np.zeros((batch, heads, 1, 0), np.int32)
    return np.zeros(shape, np.int8), none, none


def append(x: Array, past: tuple[Array, ...], *, values: bool = False) -> tuple[Array, ...]:
    """Quantize int32 rows [batch, n, heads, D] and append them to a cache."""
    codes = OPERATORS["DynamicQuantize"].evaluate(x)
    return OPERATORS["CacheValues" if values else "CacheKeys"].evaluate(*codes, *past)


def caches(k: Array, v: Array) -> tuple[Array, ...]:
    """Return keys, km, kk, values, vm, vk of int32 rows [batch, total, heads, D]."""
    batch, _, heads, dim = k.shape
    return (
        *append(k, empty(batch, heads, dim)),
        *append(v, empty(batch, heads, v.shape[3], values=True), values=True),
    )


def steps(real: Array) -> Array:
    """Return real numbers in steps of UNIT."""
    return i32(np.rint(real / UNIT))


def float_attention(
    q: Array, cache: Sequence[Array], scale: float, *, window: int = 0, softcap: float = 0
) -> Array:
    """Return attention in float64 on what the cache holds, in steps of UNIT."""
    keys, km, kk, values, vm, vk = (x.astype(np.float64) for x in cache)
    groups, n, total = q.shape[2] // keys.shape[1], q.shape[1], keys.shape[3]
    k = np.repeat(keys * km * 2.0**kk / 127 * UNIT, groups, 1)
    v = np.repeat(values * (vm * 2.0**vk / 127).swapaxes(2, 3), groups, 1)
    scores = q.transpose(0, 2, 1, 3) * UNIT @ k * scale
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    distance = np.arange(total - n, total)[:, None] - np.arange(total)
    seen = (distance >= 0) & ((window == 0) | (distance < window))
    scores = np.where(seen, scores, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray((p / p.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3))


def relative_rms(got: Array, want: Array) -> float:
    """Return the error's RMS over the signal's."""
    return float(np.sqrt(((got - want) ** 2).mean() / (want**2).mean()))


def operands(inputs: Sequence[Array], q: int, m: int = 2**15, k: int = 15) -> list[Operand]:
    """Return what a proof knows: |q| <= q, scales up to m * 2**k."""
    shapes = [x.shape for x in inputs[:7]]
    ranges = [(-q, q), (-127, 127), (1, m), (0, k), (-127, 127), (1, m), (0, k)]
    return [
        *(operand(lo, hi, *shape) for (lo, hi), shape in zip(ranges, shapes, strict=True)),
        *constants(*inputs[7:]),
    ]


def at_all_levels(operator: Operator, computed: int, *inputs: Array) -> None:
    """Assert that onnxruntime equals the reference at every optimisation level.

    The inputs from `computed` on are constants of the model, as in an artifact.
    """
    (want,) = operator.evaluate(*inputs)
    model = build(operator, [(x.dtype, x.ndim) for x in inputs])
    for i, x in enumerate(inputs[computed:], computed):
        model.graph.initializer.append(onnx.numpy_helper.from_array(x, f"x{i}"))
    del model.graph.input[computed:]
    feeds = {f"x{i}": x for i, x in enumerate(inputs[:computed])}
    for level in LEVELS:
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (got,) = session.run(None, feeds)
        np.testing.assert_array_equal(got, want, err_msg=str(level))
