"""Every operator in every form that C tells apart, by the stem of its template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.ops import attention, gelu, l2_normalize, layer_norm, rms_norm
from tests.c.bench import MAX_TOKENS, Bench
from tests.c.cases_conv import CONV_CASES
from tests.c.cases_decoder import DECODER_CASES

Array = npt.NDArray[Any]
S = "sequence"


def i32(x: Any) -> Array:
    return np.asarray(x, np.int32)


def i64(x: Any) -> Array:
    return np.asarray(x, np.int64)


def weight(rng: np.random.Generator, k: int, n: int, limit: int = 64) -> Array:
    """Pair-safe weights: two neighbours never pass 128."""
    return rng.integers(-limit, limit, (k, n), endpoint=True).astype(np.int8)


def gelu_constants(step: Array, variant: str, *, twice: bool = True) -> list[Array]:
    """Return the constants of Gelu for inputs of these steps, up to gelu.HIGHEST.

    Results have twice the resolution where they fit, if `twice`.
    """
    knee = np.rint(gelu.fit(variant)[0] / step)
    factor = 1 + twice * (2 * (gelu.HIGHEST - knee) + gelu.output_zero(step / 2) <= 255)
    lift, divisor = gelu.parameters(step, factor, variant)
    return [i32(v) for v in (knee, lift, divisor, factor, gelu.output_zero(step / factor))]


def linear(b: Bench) -> None:
    rng = np.random.default_rng(1)
    shapes = [(1, 1), (3, 5), (4, 4), (31, 33), (60, 100), (64, 32), (96, 65)]
    for k, n in shapes:
        b.case(f"linear_{k}x{n}")
        x = b.input(np.uint8, ["batch", S, k], 0, 255)
        divisor = 2 * rng.integers(1, 300, n) + 1
        bias = rng.integers(-20000, 20000, n)
        b.output(*b.op("Linear", [x, weight(rng, k, n), i32(bias), i32(divisor), i32(0), i32(255)]))
    forms: list[tuple[str, Any, int, int]] = [
        ("one_divisor", [77], 0, 255),
        ("shift", [64], 1, 127),
        ("by_one", [1], 1, 255),
        ("large", [2**30 + 1, 2**31 - 1, 5, 2**20 + 1], 3, 200),
        ("mixed", [1, 3, 2**30 + 1, 2**12 + 1], 0, 255),
        ("narrow_range", [101, 103, 107, 109], 90, 91),
    ]
    for name, divisor, lo, hi in forms:
        b.case(f"linear_{name}")
        x = b.input(np.uint8, ["batch", S, 8], 0, 255)
        edges = [2**31 - 1 - 255 * 64 * 8, -(2**31) + 255 * 64 * 8, 0, 99999]
        b.output(
            *b.op("Linear", [x, weight(rng, 8, 4), i32(edges), i32(divisor), i32(lo), i32(hi)])
        )
    b.case("linear_row")
    x = b.input(np.uint8, ["batch", 20], 0, 255)
    b.output(*b.op("Linear", [x, weight(rng, 20, 6), i32([0] * 6), i32([9] * 6), i32(0), i32(255)]))


def linear_gelu(b: Bench) -> None:
    rng = np.random.default_rng(2)
    for name, step in (("one", np.array([0.04])), ("each", np.linspace(0.02543, 0.2, 37))):
        b.case(f"linear_gelu_{name}")
        x = b.input(np.uint8, ["batch", S, 24], 0, 255)
        divisor = 2 * rng.integers(20, 90, 37) + 1
        h = b.op(
            "Linear",
            [x, weight(rng, 24, 37), i32(128 * divisor), i32(divisor), i32(0), i32(gelu.HIGHEST)],
        )
        b.output(*b.op("Gelu", [h[0], *gelu_constants(step, "none")]))


def linear_wide(b: Bench) -> None:
    rng = np.random.default_rng(3)
    for k, n in ((1, 1), (20, 3), (33, 64), (64, 70)):
        b.case(f"linear_wide_{k}x{n}")
        x = b.input(np.uint8, ["batch", S, k], 0, 255)
        mul, bias = rng.integers(1, 1000, n), rng.integers(-(2**20), 2**20, n)
        b.output(*b.op("LinearWide", [x, weight(rng, k, n), i32(mul), i32(bias)]))
    b.case("linear_wide_onto")
    x = b.input(np.uint8, ["batch", S, 20], 0, 255)
    h = b.input(np.int32, ["batch", S, 20], -(2**20), 2**20)
    stream = b.op("Affine", [h, i32([3]), i32([5])])
    y = b.op("LinearWide", [x, weight(rng, 20, 20), i32([7]), i32(np.arange(20))])
    b.output(*b.op("Add", [stream[0], y[0]]))
    b.case("linear_wide_add")
    y = b.op("LinearWide", [x, weight(rng, 20, 20), i32([7]), i32(np.arange(20))])
    b.output(*b.op("Add", [y[0], h]))
    b.case("linear_wide_same")
    y = b.op("LinearWide", [x, weight(rng, 20, 20), i32([7]), i32(np.arange(20))])
    b.output(*b.op("Add", [y[0], y[0]]))
    b.case("linear_wide_one")
    one = b.input(np.uint8, ["batch", 16], 0, 255)
    b.output(*b.op("LinearWide", [one, weight(rng, 16, 2), i32([1, 2]), i32([3, 4])]))


def linear_dynamic(b: Bench) -> None:
    from intcc.ops import linear_dynamic as operator

    rng = np.random.default_rng(4)
    for n in (1, 40):
        b.case(f"linear_dynamic_{n}")
        x = b.input(np.int32, ["batch", S, 24], -(2**28), 2**28)
        q, m, k = b.op("DynamicQuantize", [x], outputs=3)
        w = weight(rng, 24, n)
        mul, shift = operator.parameters(rng.uniform(1e-5, 1e-3, n), w)
        bias = i32(rng.integers(-(2**20), 2**20, n))
        y = b.op("LinearDynamic", [q, m, k, w, mul, shift, bias])
        b.output(*y)
    b.case("linear_dynamic_onto")
    stream = b.op("Affine", [x, i32([1]), i32([0])])
    w = weight(rng, 24, 24)
    mul, shift = operator.parameters(np.full(24, 1e-5), w)
    y = b.op("LinearDynamic", [q, m, k, w, mul, shift, i32(np.arange(24))])
    b.output(*b.op("SaturatingAdd", [stream[0], y[0]]))


def dynamic_quantize(b: Bench) -> None:
    for reach in (0, 3, 40000, 2**30 - 2**16 - 1):
        b.case(f"dynamic_quantize_{reach}")
        x = b.input(np.int32, ["batch", S, 13], -reach, reach)
        b.output(*b.op("DynamicQuantize", [x], outputs=3))


def batch_matmul(b: Bench) -> None:
    forms: list[tuple[str, list[int | str], list[int | str]]] = [
        ("heads", ["batch", 3, S, 8], ["batch", 3, 8, S]),
        ("values", ["batch", 2, S, S], ["batch", 2, S, 5]),
        ("shared", [4, S, 6], [6, 7]),
    ]
    for name, left, right in forms:
        b.case(f"batch_matmul_{name}")
        x, y = b.input(np.uint8, left, 0, 127), b.input(np.uint8, right, 1, 255)
        b.output(*b.op("BatchMatMul", [x, np.asarray(64, np.uint8), y]))


def add(b: Bench) -> None:
    b.case("add")
    x = b.input(np.int32, ["batch", S, 12], -(2**29), 2**29)
    y = b.input(np.int32, ["batch", S, 12], -(2**29), 2**29)
    b.output(*b.op("Add", [x, y]))
    b.output(*b.op("Add", [x, x]))
    b.output(*b.op("Add", [x, i32(np.arange(12))]))
    b.output(*b.op("Add", [i32([7]), x]))
    b.output(*b.op("Add", [x, i32(np.zeros((1, 1, 1)))]))
    first = b.op("Affine", [x, i32([1]), i32([1])])
    second = b.op("Affine", [y, i32([1]), i32([2])])
    b.output(*b.op("Add", [first[0], second[0]]))


def quantize(b: Bench) -> None:
    rng = np.random.default_rng(5)
    forms: list[tuple[str, Any, Any, Any]] = [
        ("shift", rng.integers(-2000, 2000, 60), rng.integers(-(2**20), 2**20, 60), [2**10]),
        ("odd", rng.integers(-2000, 2000, 60), [12345], [1001]),
        ("scalar", [3], [7], [77]),
        ("each", [1000], rng.integers(0, 9999, 60), 2 * rng.integers(1, 3000, 60) + 1),
        ("powers", [1000], [512], 2 ** rng.integers(0, 20, 60)),
    ]
    for name, mul, bias, divisor in forms:
        b.case(f"quantize_{name}")
        x = b.input(np.int32, ["batch", S, 60], -(2**20), 2**20)
        b.output(*b.op("Quantize", [x, i32(mul), i32(bias), i32(divisor), i32(1), i32(255)]))


def affine(b: Bench) -> None:
    b.case("affine")
    x = b.input(np.int32, ["batch", S, 33], -(2**15), 2**15)
    y = b.op("Affine", [x, i32(np.arange(33) - 16), i32(np.arange(33) * 1000)])
    z = b.op("Affine", [y[0], i32([-3]), i32([11])])
    b.output(*z)
    b.output(*b.op("Affine", [x, i32([2**15]), i32([-1])]))


def widen(b: Bench) -> None:
    b.case("widen")
    x = b.input(np.uint8, ["batch", S, 17], 0, 255)
    b.output(*b.op("Widen", [x, i32(np.arange(17) * 15), i32(2 ** np.arange(17))]))
    b.output(*b.op("Widen", [x, i32([128]), i32([-1000])]))


def rescale(b: Bench) -> None:
    b.case("rescale")
    x = b.input(np.int32, ["batch", S, 6], -(2**31) + 1, 2**31 - 1)
    for mul, shift, lo, hi in (
        (2**31 - 1, 32, -(2**31), 2**31 - 1),
        (1, 2, -100, 100),
        (12345, 40, -(2**31) + 1, 2**31 - 1),
        (2**30, 61, -5, 5),
    ):
        b.output(*b.op("Rescale", [x, i64(mul), i64(shift), i32(lo), i32(hi)]))
    each = i64([1, -1, 2**30, -(2**30), 0, 77777])
    first = b.op("Rescale", [x, each, i64(33), i32(-(2**31)), i32(2**31 - 1)])
    b.output(*b.op("Rescale", [first[0], i64(3), i64(2), i32(-(2**20)), i32(2**20)]))


def relu(b: Bench) -> None:
    b.case("relu")
    x = b.input(np.int32, ["batch", S, 5], -(2**31), 2**31 - 1)
    b.output(*b.op("Relu", [x]))


def gates(kind: str) -> Callable[[Bench], None]:
    def build(b: Bench) -> None:
        for reach, mul, shift in (
            (5000, 4, 2),
            (2**31 - 1, 2**31 - 1, 50),
            (3, 1, 1),
            (2**24, 3, 12),
        ):
            b.case(f"{kind.lower()}_{reach}")
            x = b.input(np.int32, ["batch", S, 9], -reach, reach)
            b.output(*b.op(kind, [x, i64(mul), i64(shift)]))

    return build


def softmax(b: Bench) -> None:
    for reach, mul, shift in ((5000, 4, 2), (2**30 - 1, 2**31 - 1, 50), (3, 1, 1)):
        b.case(f"softmax_{reach}")
        x = b.input(np.int32, ["batch", 2, S, S], -reach, reach)
        b.output(*b.op("Softmax", [x, i64(mul), i64(shift)]))
    y = b.op("Affine", [x, i32([7]), i32([0])])
    b.output(*b.op("Softmax", [y[0], i64(4096), i64(2)]))


def norm(kind: str, module: Any) -> Callable[[Bench], None]:
    def build(b: Bench) -> None:
        for n, reach, epsilon in ((1, 9, 0.0), (3, 2, 1e-12), (60, 2**28, 1e-5), (64, 2000, 1e-5),
                                  (100, 40, 3.0)):  # fmt: skip
            b.case(f"{kind.lower()}_{n}")
            x = b.input(np.int32, ["batch", S, n], -reach, reach)
            b.output(*b.op(kind, [x, *module.parameters(n, epsilon, 2.0**-10)]))
        stream = b.op("Affine", [x, i32([3]), i32([1])])
        b.output(*b.op(kind, [stream[0], *module.parameters(n, epsilon, 2.0**-10)]))

    return build


def l2(b: Bench) -> None:
    for n, reach in ((1, 5), (2, 40000), (60, 2**29), (64, 1)):
        b.case(f"l2_{n}")
        x = b.input(np.int32, ["batch", n], -reach, reach)
        b.output(*b.op("L2Normalize", [x, *l2_normalize.parameters(n)]))


def mean_pool(b: Bench) -> None:
    b.case("mean_pool")
    mask = b.input(np.int64, ["batch", S], 1, 1, "attention_mask")
    for n, reach in ((1, 2**31 - 1), (60, 1000), (32, 2**30)):
        x = b.input(np.int32, ["batch", S, n], -reach, reach)
        b.output(*b.op("MeanPool", [x, mask]))


def embedding(b: Bench) -> None:
    rng = np.random.default_rng(6)
    for v, c in ((1, 1), (300, 60)):
        b.case(f"embedding_{v}")
        ids = b.input(np.int64, ["batch", S], 0, v - 1)
        table = rng.integers(-127, 127, (v, c), endpoint=True).astype(np.int8)
        b.output(*b.op("Embedding", [ids, table, i32(rng.integers(1, 2**24, (v, 1)))]))


def gelu_alone(b: Bench) -> None:
    for name, step in (("one", np.array([0.05])), ("each", np.linspace(0.02543, 0.3, 50))):
        b.case(f"gelu_{name}")
        x = b.input(np.uint8, ["batch", S, 50], 0, gelu.HIGHEST)
        b.output(*b.op("Gelu", [x, *gelu_constants(step, "tanh")]))


def attend(b: Bench) -> None:
    rng = np.random.default_rng(7)
    zero = i32(np.zeros((1, 1, 1, 1)))
    for heads, dim, unit in (
        (1, 4, 1e-3),
        (3, 20, 1e-2),
        (2, 7, 0.5),
        (4, 32, 3e-4),
        (1, 64, 20.0),
    ):
        b.case(f"attention_{heads}x{dim}")
        shape: list[int | str] = ["batch", S, heads * dim]
        q, k, v = (b.input(np.uint8, shape, lo, hi) for lo, hi in ((0, 127), (1, 255), (1, 255)))
        constants = attention.parameters(unit, MAX_TOKENS, heads, dim, heads)
        b.output(*b.op("Attention", [q, k, v, zero, *constants]))
    b.case("attention_masked")
    mask = b.input(np.int64, ["batch", S], 1, 1, "key_mask")
    masked = b.op("KeyMask", [mask])
    b.output(*b.op("Attention", [q, k, v, masked[0], *constants]))
    b.case("attention_bias")
    table = i32(rng.integers(-90000, 90000, (1, 2, 50, 50)))
    shape = ["batch", S, 40]
    q, k, v = (b.input(np.uint8, shape, lo, hi) for lo, hi in ((0, 127), (1, 255), (1, 255)))
    constants = attention.parameters(1e-4, MAX_TOKENS, 2, 20, 2)
    length = b.move("Shape", [mask], start=1, end=2)
    ends = b.move("Concat", [length[0], length[0]], axis=0)
    part = b.move("Slice", [table, i64([0, 0]), ends[0], i64([2, 3])])
    both = b.op("Add", [part[0], masked[0]])
    b.output(*b.op("Attention", [q, k, v, both[0], *constants]))


def movement(b: Bench) -> None:
    b.case("movement")
    x = b.input(np.int32, ["batch", S, 12], -99, 99)
    u = b.input(np.uint8, ["batch", S, 12], 0, 255)
    heads = b.move("Reshape", [x, i64([0, 0, 3, 4])])
    turned = b.move("Transpose", [heads[0]], perm=[0, 2, 3, 1])
    b.output(*turned)
    back = b.move("Transpose", [turned[0]], perm=[0, 3, 1, 2])
    b.output(*b.move("Reshape", [back[0], i64([0, 0, -1])]))
    picture = b.input(np.uint8, ["batch", 3, 8, 6], 0, 255)
    patches = b.move("Reshape", [picture, i64([0, 3, 4, 2, 2, 3])])
    b.output(*b.move("Transpose", [patches[0]], perm=[0, 2, 4, 1, 3, 5]))
    b.output(*b.move("Transpose", [u], perm=[2, 1, 0]))
    b.output(*b.move("Slice", [x, i64([3]), i64([9]), i64([2])]))
    b.output(*b.move("Slice", [u, i64([-5]), i64([2**31]), i64([-1]), i64([1])]))
    b.output(*b.move("Slice", [x, i64([0]), i64([1]), i64([1])]))
    b.output(*b.move("Gather", [x, i64(0)], axis=1))
    b.output(*b.move("Gather", [u, i64([7, 0, 7, -1])], axis=2))
    b.output(*b.move("Gather", [x, i64([2, 3, 4])], axis=2))
    b.output(*b.move("Split", [x, i64([4, 3, 5])], axis=-1, outputs=3))
    b.output(*b.move("Concat", [x, heads_flat(b, x), x], axis=2))
    b.output(*b.move("Concat", [u, u], axis=0))
    b.output(*b.move("ArgMax", [x], axis=2, keepdims=0))
    b.output(*b.move("ArgMax", [u], axis=-1, keepdims=1, select_last_index=1))
    b.output(*b.move("Cast", [u], to=ir_int32()))
    b.output(*b.move("Unsqueeze", [u, i64([0, 2])]))
    b.output(*b.move("Identity", [x]))
    table = i32(np.arange(50 * 6).reshape(1, 50, 6))
    length = b.move("Shape", [x], start=1, end=2)
    rows = b.move("Slice", [table, i64([0]), length[0], i64([1])])
    b.output(*b.op("Affine", [rows[0], i32([2]), i32([1])]))
    ids = b.input(np.int64, ["batch", S], 0, 9)
    b.output(*b.move("Gather", [i32(np.arange(80).reshape(10, 8)), ids], axis=0))
    static = b.input(np.int32, [1, 1, 6], -9, 9)
    b.output(*b.move("Expand", [static, i64([1, 4, 6])]))
    b.output(*b.move("Squeeze", [static, i64([1])]))


def heads_flat(b: Bench, x: Any) -> Any:
    """Return a computed operand for Concat."""
    return b.op("Affine", [x, i32([2]), i32([0])])[0]


def ir_int32() -> int:
    """ONNX's number of int32."""
    return 6


#: Cases by template stem; fused forms and movement stand under their own names.
CASES: Mapping[str, Callable[[Bench], None]] = {
    "add": add,
    "affine": affine,
    "attention": attend,
    "batch_matmul": batch_matmul,
    "dynamic_quantize": dynamic_quantize,
    "embedding": embedding,
    "gelu": gelu_alone,
    "l2_normalize": l2,
    "layer_norm": norm("LayerNorm", layer_norm),
    "linear": linear,
    "linear_dynamic": linear_dynamic,
    "linear_gelu": linear_gelu,
    "linear_wide": linear_wide,
    "mean_pool": mean_pool,
    "movement": movement,
    "quantize": quantize,
    "relu": relu,
    "rescale": rescale,
    "rms_norm": norm("RMSNorm", rms_norm),
    "sigmoid": gates("Sigmoid"),
    "silu": gates("Silu"),
    "softmax": softmax,
    "tanh": gates("Tanh"),
    "widen": widen,
    **CONV_CASES,
    **DECODER_CASES,
}


def full_bench() -> Bench:
    """Return all cases in one model."""
    bench = Bench("bench")
    for build in CASES.values():
        build(bench)
    bench.finish()
    return bench
