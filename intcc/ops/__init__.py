"""The integer dialect: one file per operator, one table of all of them."""

from __future__ import annotations

from intcc.ops import (
    add,
    affine,
    attention,
    batch_matmul,
    cache_keys,
    cache_values,
    cached_attention,
    cached_attention_capped,
    dynamic_quantize,
    embedding,
    gelu,
    gelu_wide,
    key_mask,
    l2_normalize,
    layer_norm,
    linear,
    linear_dynamic,
    linear_dynamic_full,
    linear_wide,
    mean_pool,
    product,
    quantize,
    relu,
    rescale,
    rms_norm,
    rotary,
    saturating_add,
    sigmoid,
    silu,
    softmax,
    tanh,
    widen,
)
from intcc.ops.operator import Operator

__all__ = ["OPERATORS"]

_MODULES = (
    add,
    affine,
    attention,
    batch_matmul,
    cache_keys,
    cache_values,
    cached_attention,
    cached_attention_capped,
    dynamic_quantize,
    embedding,
    gelu,
    gelu_wide,
    key_mask,
    l2_normalize,
    layer_norm,
    linear,
    linear_dynamic,
    linear_dynamic_full,
    linear_wide,
    mean_pool,
    product,
    quantize,
    relu,
    rescale,
    rms_norm,
    rotary,
    saturating_add,
    sigmoid,
    silu,
    softmax,
    tanh,
    widen,
)

#: All operators by their type in the graph.
OPERATORS: dict[str, Operator] = {m.OPERATOR.name: m.OPERATOR for m in _MODULES}
