"""Kernel rules for decoders: caches of keys and values, and attention over them.

Caches are state: see `state`. The number of tokens in them, `position`, is an argument of the run
function, and kernels touch only the tokens that a query sees.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.backends.c.builder import Builder, unsupported
from intcc.backends.c.kernels_gate import HYPERBOLIC, POWER, POWERS
from intcc.backends.c.kernels_rows import SUMS
from intcc.backends.c.matmul import VECTOR
from intcc.backends.c.pairs import PAIR_OF_BYTES, pair_for
from intcc.backends.c.program import Argument, Kernel, View
from intcc.backends.c.shapes import TOKENS, Extent
from intcc.backends.c.state import Cache, is_cache, make_cache
from intcc.backends.c.words import words
from intcc.ops.cached import LARGEST, QUERY_BITS, WEIGHT_BITS
from intcc.ops.operator import WIDE

__all__ = ["cache_keys", "cache_values", "cached_attention", "cached_attention_capped"]

#: Keys whose weighted values fit int32: 127 * (2**14 - 1) * 1024 < 2**31.
_BLOCK = 1024
#: On x86, keys that lie side by side, and what the widths of keys and values are multiples of.
_SIDE_BY_SIDE, _KEY_UNIT, _VALUE_UNIT = 32, 4, 16
#: On x86, queries that take each step together, where they see so few keys that scores stay close.
_ROWS, _SHORT = 4, 256
#: Scores and weights in vectors, with 64 bits.
_SCORES = Kernel("kernels/vector_scores", "vector_scores", needs=(POWERS, SUMS))

#: Bytes of keys from which on they may lie outside the caches, for the weights in between.
_FAR = 2**16


def _x86(b: Builder) -> bool:
    return b.target.on_x86("ops/cached_attention")


def _context(b: Builder) -> int:
    """Return the tokens that a cache has room for."""
    context = b.program.context
    return -(-context // _SIDE_BY_SIDE) * _SIDE_BY_SIDE if _x86(b) else context


def _padded(b: Builder, dim: int, unit: int) -> int:
    """Return the bytes that a key or a value takes."""
    return -(-dim // unit) * unit if _x86(b) else dim


def _name(past: ir.Value) -> str:
    """Return a module path for the arrays of a cache: past_key.3 becomes layer.3.key."""
    stem, _, index = str(past.name).removeprefix("past_").rpartition(".")
    return f"layer.{index}.{stem}" if stem and index.isdigit() else str(past.name)


def _append(b: Builder, node: ir.Node, template: str) -> None:
    codes, m, k = (b.view(v) for v in node.inputs[:3])
    past = node.inputs[3]
    if past is None or not past.is_graph_input() or not is_cache(past) or past in b.caches:
        raise unsupported(node, "appends to what is no cache of its own")
    heads, dim = (d.coefficient for d in codes.dims[2:])
    context, keys = _context(b), template == "cache_keys"
    padded = _padded(b, dim, _KEY_UNIT if keys else _VALUE_UNIT)
    dtype = np.uint8 if keys and _x86(b) else np.int8
    cache = make_cache(b.program, _name(past), b.layer, heads, dim, context, padded, dtype)
    for value in (*node.inputs[3:], *node.outputs):
        assert value is not None
        b.caches[value] = cache
    parameters = {"heads": heads, "dim": dim, "padded": padded, "context": context}
    needs = (VECTOR,) if keys and _x86(b) else ()
    kernel = Kernel(f"ops/{template}", f"{template}_{heads}x{dim}", parameters, needs)
    arguments: list[Argument] = [codes.dims[1], "position", codes, m, k, *cache.views]
    note = f"[{codes.dims[1]}, {heads} x {dim}] to [{context}, {heads} x {dim}]"
    b.call(kernel, arguments, cache.views, note=note)


def cache_keys(b: Builder, node: ir.Node) -> None:
    """Write the codes and scales of new keys behind the earlier ones."""
    _append(b, node, "cache_keys")


def cache_values(b: Builder, node: ir.Node) -> None:
    """Write the codes and scales of new values behind the earlier ones."""
    _append(b, node, "cache_values")


def _cache(b: Builder, node: ir.Node, value: ir.Value | None) -> Cache:
    if value is None or value not in b.caches:
        raise unsupported(node, "reads what is no cache")
    return b.caches[value]


def _attention(
    b: Builder, node: ir.Node, template: str, more: list[Argument], needs: tuple[Kernel, ...]
) -> None:
    q, keys, values = b.view(node.inputs[0]), *(_cache(b, node, node.inputs[i]) for i in (1, 4))
    heads, groups = q.dims[2].coefficient, q.dims[2].coefficient // keys.heads
    mul, pre, shift, window = (b.scalar(v) for v in node.inputs[10:14])
    context, x86 = _context(b), _x86(b)
    room, rows = max(context, _ROWS * _SHORT), _ROWS if x86 else 1
    vectors = (_SCORES,) if x86 else ()
    value_padded = _padded(b, values.dim, _VALUE_UNIT)
    sums = words("cached_sums", 2, value_padded)
    sizes = f"{keys.dim}" if keys.dim == values.dim else f"{keys.dim}_{values.dim}"
    query = Kernel(
        "kernels/cached_query",
        f"cached_query_{keys.dim}",
        {
            "dim": keys.dim,
            "padded": _padded(b, keys.dim, _KEY_UNIT),
            "context": context,
            "vectors": keys.dim % _VALUE_UNIT == 0,
            "bits": QUERY_BITS,
            "dot": f"cached_dot_{keys.dim}",
            "pair": PAIR_OF_BYTES.name,
        },
        (*vectors, *pair_for(b, "kernels/cached_query", PAIR_OF_BYTES)),
        2 * keys.dim if x86 else 0,
    )
    mean = Kernel(
        "kernels/cached_mean",
        f"cached_mean_{values.dim}",
        {
            "dim": values.dim,
            "context": context,
            "largest": LARGEST,
            "bits": WEIGHT_BITS,
            "block": _BLOCK,
            "padded": value_padded,
            "vectors": values.dim % _VALUE_UNIT == 0,
            "wide": WIDE,
            "sums": sums.name,
            "pair": PAIR_OF_BYTES.name,
        },
        (POWER, *((sums,) if x86 else ()), *pair_for(b, "kernels/cached_mean", PAIR_OF_BYTES)),
        8 * value_padded,
    )
    ranges, span = b.ranged(heads, 1)
    parameters = {
        **ranges,
        "heads": heads,
        "groups": groups,
        "dim": keys.dim,
        "padded": _padded(b, keys.dim, _KEY_UNIT),
        "value_dim": values.dim,
        "value_padded": value_padded,
        "far": keys.codes.extent.at(1) >= _FAR,
        "context": context,
        "query": query.name,
        "mean": mean.name,
        "sums": sums.name,
        "rows": _ROWS,
        "room": room,
    }
    kernel = Kernel(
        f"ops/{template}",
        f"{template}_{heads}x{sizes}",
        parameters,
        (query, mean, *needs),
        rows * (2 * _padded(b, keys.dim, _KEY_UNIT) + mean.stack) + query.stack,
    )
    y = b.result(node.outputs[0])
    stem = str(node.outputs[0].name)
    arrays = [("score", "int64", context), ("weight", "int16", context)]
    if x86:
        # Weights in halves of seven bits.
        arrays = [("score", "int64", room), ("weight", "uint8", 2 * room), ("dots", "int32", room)]
        arrays += [("terms", "int32", room), ("key_scale", "uint32", 2 * context)]
        arrays += [("value_scale", "uint32", context)]
    scratch = [
        b.storage(f"{stem}.{what}", dtype, Extent(count), scratch=True)
        for what, dtype, count in arrays
    ]
    n = q.dims[1]
    # Queries may be the last rows of a call's tokens.
    first = "position" if n == Extent(1, 1) else f"position + {TOKENS} - {n}"
    arguments: list[Argument] = [
        *span, n, first, q, *keys.views, *values.views, f"{mul}u", pre, shift, window, *more,
        *(View(s, (s.extent,)) for s in scratch), y,
    ]  # fmt: skip
    b.call(
        kernel,
        arguments,
        [y],
        note=f"[{n}, {heads} x {sizes}] over {keys.heads} key heads",
        macs=n * (context * heads * (keys.dim + values.dim)),
        scratch=scratch,
    )


def cached_attention(b: Builder, node: ir.Node) -> None:
    """Emit causal attention of new tokens over the cache."""
    _attention(b, node, "cached_attention", [], ())


def cached_attention_capped(b: Builder, node: ir.Node) -> None:
    """Emit causal attention with capped scores."""
    tanh_mul, tanh_shift, gain, gain_shift = (b.scalar(v) for v in node.inputs[14:18])
    more: list[Argument] = [f"{tanh_mul}u", tanh_shift, gain, gain_shift]
    _attention(b, node, "cached_attention_capped", more, (HYPERBOLIC,))
