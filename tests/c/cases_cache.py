"""Cases of operators on a state: caches of keys and values, attention over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.ops import cached_attention, cached_attention_capped
from intcc.ops.phases import PHASE, UNITY, Phases
from tests.c.bench import Bench, Dims
from tests.ops.harness import Array, i32, i64

__all__ = ["CACHE_CASES", "FORMS", "Ranges", "cache_bench", "cached", "decoder", "over_caches"]

S = "sequence"
#: Query heads, key heads, width of keys, width of values, window.
FORMS = (
    (1, 1, 4, 4, 0),
    (2, 2, 20, 20, 0),
    (6, 2, 7, 13, 5),
    (4, 1, 33, 16, 1),
    (3, 1, 64, 64, 9),
)


@dataclass(frozen=True)
class Ranges:
    """What inputs lie in.

    Attributes:
        query: largest magnitude of queries.
        new: largest magnitude of new keys and values.
        mantissa: of earlier rows.
        exponent: of earlier rows.
    """

    query: int = 2**24
    new: int = 2**24
    mantissa: tuple[int, int] = (1, 2**15)
    exponent: tuple[int, int] = (0, 15)


USUAL = Ranges()
_PARTS = [(s, w) for s in ("key", "value") for w in ("", "_mantissa", "_exponent")]


def cached(
    b: Bench,
    index: int,
    kv_heads: int,
    dim: int,
    value_dim: int,
    rows_of: tuple[ir.Value, ir.Value] | None = None,
    ranges: Ranges = USUAL,
) -> list[ir.Value]:
    """Append keys and values, inputs by default, to a layer's caches; return all six caches."""
    rows: Dims = ["batch", kv_heads, 1, "past"]
    kinds: list[tuple[str, str, int, Dims]] = [
        ("key", "CacheKeys", dim, ["batch", kv_heads, dim, "past"]),
        ("value", "CacheValues", value_dim, ["batch", kv_heads, "past", value_dim]),
    ]
    made = []
    for (stem, kind, width, codes), given in zip(kinds, rows_of or (None, None), strict=True):
        shape: Dims = ["batch", S, kv_heads, width]
        x = given or b.input(np.int32, shape, -ranges.new, ranges.new)
        past = [
            b.input(np.int8, codes, -127, 127, f"past_{stem}.{index}"),
            b.input(np.int32, rows, *ranges.mantissa, f"past_{stem}_mantissa.{index}"),
            b.input(np.int32, rows, *ranges.exponent, f"past_{stem}_exponent.{index}"),
        ]
        made += b.op(kind, [*b.op("DynamicQuantize", [x], outputs=3), *past], outputs=3)
    for value, (stem, what) in zip(made, _PARTS, strict=True):
        value.name = f"present_{stem}{what}.{index}"
    b.output(*made)
    return made


def over_caches(
    b: Bench, kind: str, forms: Any, parameters: Callable[..., Any], ranges: Ranges = USUAL
) -> None:
    """Add attention for each form, with the constants that `parameters` makes of it."""
    start = sum(str(v.name).startswith("past_key.") for v in b.graph.inputs)
    for index, (heads, kv_heads, dim, value_dim, window) in enumerate(forms, start):
        b.case(f"{kind.lower()}_{index}")
        q = b.input(np.int32, ["batch", S, heads, dim], -ranges.query, ranges.query)
        caches = cached(b, index, kv_heads, dim, value_dim, ranges=ranges)
        shape = (heads, kv_heads, dim, value_dim, window)
        b.output(*b.op(kind, [q, *caches, *parameters(*shape)]))


def plain(b: Bench) -> None:
    for scale, forms in ((2.0**-20, FORMS), (2.0**-2, FORMS[2:4])):
        over_caches(
            b,
            "CachedAttention",
            forms,
            lambda *shape, s=scale: cached_attention.parameters(2.0**-12, 2.0**-12, s, *shape),
        )


def capped(b: Bench) -> None:
    for scale, softcap in ((2.0**-18, 30.0), (2.0**-2, 50.0)):
        over_caches(
            b,
            "CachedAttentionCapped",
            FORMS[2:4],
            lambda *shape, s=scale, c=softcap: cached_attention_capped.parameters(
                2.0**-12, 2.0**-12, s, c, *shape
            ),
        )


def _append(b: Bench) -> None:
    b.case("caches")
    start = sum(str(v.name).startswith("past_key.") for v in b.graph.inputs)
    cached(b, start, 3, 5, 7)


def _rows(b: Bench, table: Array, x: ir.Value) -> list[ir.Value]:
    """Return the rows of a table at the positions of x."""
    past = next(v for v in b.graph.inputs if str(v.name).startswith("past_key."))
    first = b.move("Shape", [past], start=3, end=4)
    length = b.move("Shape", [x], start=1, end=2)
    last = b.move("Add", [first[0], length[0]])
    return b.move("Slice", [table, first[0], last[0], i64([1])])


def positions(b: Bench) -> None:
    """Rows of a table by position, read in place; the count of rows may be a sum."""
    b.case("positions")
    x = b.input(np.int32, ["batch", S, 6], -(2**20), 2**20)
    rows = _rows(b, i32(np.arange(90 * 6).reshape(1, 90, 6) * 1000), x)
    b.output(*b.op("SaturatingAdd", [x, rows[0]]))
    turned = b.move("Reshape", [rows[0], i64([1, -1, 1, 6])])
    b.output(*b.op("Affine", [turned[0], i32([2]), i32([1])]))


def computed_positions(b: Bench) -> None:
    """Rows by position that C computes: quarters, the ends of the wave, any angle, two gains."""
    _append(b)
    b.case("computed_positions")
    turns = (0, 1, 2**30, 2**31 - 1, 2**32 - 1, 683565276, 123456789)
    x = b.input(np.int32, ["batch", S, 2, 15], -(2**31) + 1, 2**31 - 1)
    for gain in (UNITY, 75000):
        pair = []
        for start in (2**30, 0):
            phases = Phases(turns, start, gain)
            pair += _rows(b, phases.rows(90)[None, :, None], x)
            node = pair[-1].producer()
            assert node is not None
            node.metadata_props[PHASE] = phases.encode()
        b.output(*b.op("Rotary", [x, *pair]))


#: Cases by template stem.
CACHE_CASES: Mapping[str, Callable[[Bench], None]] = {
    "cache_keys": _append,
    "cache_values": _append,
    "cached_attention": plain,
    "cached_attention_capped": capped,
    "rotary_rows": computed_positions,
}


def decoder(max_tokens: int = 8, context: int = 30) -> Bench:
    """Return a decoder of two layers of attention and nothing else."""
    rng = np.random.default_rng(3)
    b = Bench("decoder", max_tokens=max_tokens)
    b.model.metadata_props["intcc.max_positions"] = str(context)
    b.case("embed")
    ids = b.input(np.int64, ["batch", S], 0, 49, "input_ids")
    table = rng.integers(-127, 127, (50, 40), endpoint=True).astype(np.int8)
    h = b.op("Embedding", [ids, table, i32(rng.integers(1, 999, (50, 1)))])[0]
    constants = cached_attention.parameters(2.0**-12, 2.0**-12, 0.25, 4, 2, 10, 10)
    for index in range(2):
        b.case(f"model.layers.{index}.attention")
        q = b.move("Reshape", [h, i64([0, 0, 4, 10])])[0]
        parts = b.move("Split", [h, i64([20, 20])], axis=-1, outputs=2)
        k, v = (b.move("Reshape", [x, i64([0, 0, 2, 10])])[0] for x in parts)
        caches = cached(b, index, 2, 10, 10, (k, v))
        y = b.op("CachedAttention", [q, *caches, *constants])[0]
        h = b.op("SaturatingAdd", [h, b.move("Reshape", [y, i64([0, 0, -1])])[0]])[0]
    h.name = "logits"
    b.output(h)
    b.finish()
    return b


def cache_bench(context: int = 70) -> Bench:
    """Return all cases in one model."""
    bench = Bench("caches")
    bench.model.metadata_props["intcc.max_positions"] = str(context)
    for build in (plain, capped, positions, computed_positions):
        build(bench)
    bench.finish()
    return bench
