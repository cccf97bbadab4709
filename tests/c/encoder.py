"""A whole tiny encoder by hand: two layers, odd sizes, mean pooling; for tests of the emitter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.ops import attention, gelu, l2_normalize, layer_norm
from tests.c.bench import Bench
from tests.c.cases import i32, i64, weight

Array = npt.NDArray[Any]
VOCABULARY, WIDTH, HEADS, HIDDEN, LONGEST = 50, 20, 2, 28, 24


def _linear(b: Bench, rng: np.random.Generator, x: ir.Value, n: int, lo: int, hi: int) -> ir.Value:
    k = WIDTH
    divisor = 2 * rng.integers(20, 60, n) + 1
    bias = i32((lo + hi) // 2 * divisor)
    return b.op("Linear", [x, weight(rng, k, n), bias, i32(divisor), i32(lo), i32(hi)])[0]


def _norm(b: Bench, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    y = b.op("LayerNorm", [x, *layer_norm.parameters(WIDTH, 1e-5, 2.0**-10)])[0]
    scale, bias = i32(np.full(WIDTH, 40)), i32(np.full(WIDTH, 128 * 2**12))
    narrow = b.op("Quantize", [y, scale, bias, i32([2**12]), i32(0), i32(255)])[0]
    return narrow, b.op("Affine", [y, i32(np.arange(WIDTH) % 3 + 1), i32([0])])[0]


def encoder(*, pooled: bool = True, masked: bool = True) -> Bench:
    """Return the encoder; its output is a sentence embedding, or all tokens.

    Args:
        pooled: whether a mean over the tokens ends it.
        masked: whether attention sees the mask; without, it sees all tokens.
    """
    rng = np.random.default_rng(8)
    b = Bench("tiny", max_tokens=LONGEST)
    b.case("embeddings")
    ids = b.input(np.int64, ["batch", "sequence"], 0, VOCABULARY - 1, "input_ids")
    mask = b.input(np.int64, ["batch", "sequence"], 0, 1, "attention_mask")
    table = rng.integers(-127, 127, (VOCABULARY, WIDTH)).astype(np.int8)
    words = b.op("Embedding", [ids, table, i32(rng.integers(1, 90, (VOCABULARY, 1)))])[0]
    positions = i32(rng.integers(-999, 999, (1, 2 * LONGEST, WIDTH)))
    length = b.move("Shape", [ids], start=1, end=2)[0]
    rows = b.move("Slice", [positions, i64([0]), length, i64([1])])[0]
    narrow, stream = _norm(b, b.op("Add", [words, rows])[0])
    addend = b.op("KeyMask", [mask])[0] if masked else i32(np.zeros((1, 1, 1, 1)))
    constants = attention.parameters(1e-2, LONGEST, HEADS, WIDTH // HEADS, HEADS)
    step = np.linspace(0.03, 0.08, HIDDEN)
    knee = np.ceil(gelu.fit("none")[0] / step)
    for layer in range(2):
        b.case(f"encoder.layer.{layer}.attention")
        q = _linear(b, rng, narrow, WIDTH, 0, 127)
        k, v = (_linear(b, rng, narrow, WIDTH, 1, 255) for _ in range(2))
        context = b.op("Attention", [q, k, v, addend, *constants])[0]
        shift = i32(rng.integers(-99, 99, WIDTH))
        dense: list[ir.Value | Array]
        dense = [context, weight(rng, WIDTH, WIDTH), i32([3]), shift]
        narrow, stream = _norm(b, b.op("Add", [b.op("LinearWide", dense)[0], stream])[0])
        b.case(f"encoder.layer.{layer}.feed_forward")
        h = _linear(b, rng, narrow, HIDDEN, 0, 255)
        bends = [knee, *gelu.parameters(step, 1, "none"), [1], gelu.output_zero(step)]
        dense = [
            b.op("Gelu", [h, *map(i32, bends)])[0],
            weight(rng, HIDDEN, WIDTH),
            i32([2]),
            i32(np.zeros(WIDTH)),
        ]
        narrow, stream = _norm(b, b.op("Add", [b.op("LinearWide", dense)[0], stream])[0])
    if pooled:
        b.case("head")
        mean = b.op("MeanPool", [stream, mask])[0]
        result = b.op("L2Normalize", [mean, *l2_normalize.parameters(WIDTH)])[0]
        result.name = "sentence_embedding"
        result.metadata_props["intcc.scale"] = "1/2^20"
    else:
        result = stream
        result.name = "last_hidden_state"
    b.output(result)
    b.finish()
    result.shape = ir.Shape(["batch", WIDTH] if pooled else ["batch", "sequence", WIDTH])
    return b
