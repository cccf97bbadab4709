"""Trace a decoder language model: input_ids [batch, sequence] to logits [batch, sequence, V].

    CausalAttention(q [B,S,Hq,D], k [B,S,Hkv,D], v [B,S,Hkv,Dv], scale, softcap, window)
        softmax over the keys j <= i, and j > i - window where window > 0; a softcap c > 0 turns
        scores s into c * tanh(s / c); query head h reads key head h // (Hq / Hkv)

Attention and rotation leave torch as one node each, on [B,S,H,D]; positions are 0 .. S-1 and no
mask is left. What is swapped computes the same outside of a trace: before the trace the swapped
model is compared with its own code, so that a family with other rules is refused, not mistaken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from intcc.errors import ModelError
from intcc.frontends.rms_norms import rms_norms
from intcc.frontends.rotary import rotary_rotation, rotary_tables, rotates_by_halves
from intcc.frontends.tracing import FLOAT_DOMAIN, accepted, export, own_failures, tanh_gelu

__all__ = ["CAUSAL", "causal_attention", "registered_causal_attention", "trace_decoder"]

#: Name under which our causal attention is known to transformers. It is in no registry of masks,
#: and so transformers makes none.
CAUSAL = "intcc_causal"
#: Tables have at least as many rows, so that the lengths of the trace and of later probes fit.
_LEAST_ROWS = 16
#: Tokens of the comparison, and its largest relative difference of two float32 evaluations.
_PROBE, _TOLERANCE = (2, 11), 1e-3


def causal_attention(q: Any, k: Any, v: Any, scale: float, softcap: float, window: int) -> Any:
    """Attend from q [B,S,Hq,D] to k and v [B,S,Hkv,D]: one node in a trace."""
    import torch

    if torch.compiler.is_exporting():
        return torch.onnx.ops.symbolic(
            f"{FLOAT_DOMAIN}::CausalAttention",
            (q, k, v),
            attrs={"scale": float(scale), "softcap": float(softcap), "window": int(window)},
            dtype=q.dtype,
            shape=(*q.shape[:3], v.shape[-1]),
            version=1,
        )
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = q @ k.transpose(2, 3) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    row = torch.arange(q.shape[2])
    hidden = row[None, :] > row[:, None]
    if window:
        hidden |= row[None, :] <= row[:, None] - window
    weights = torch.softmax(scores.masked_fill(hidden, -torch.inf), dim=-1)
    return (weights @ v).transpose(1, 2)


def _attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, **options: Any
) -> tuple[Any, None]:
    """Attention function for transformers: q, k, v [B, H, S, D] to [B, S, H, D]."""
    scale = options.get("scaling")
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    softcap, window = options.get("softcap") or 0.0, options.get("sliding_window") or 0
    return causal_attention(q, k, v, scale, softcap, window), None


@contextlib.contextmanager
def registered_causal_attention() -> Iterator[None]:
    """Make CAUSAL selectable as `attn_implementation`; forget it afterwards."""
    from transformers import AttentionInterface

    AttentionInterface.register(CAUSAL, _attention)
    try:
        yield
    finally:
        AttentionInterface._global_mapping.pop(CAUSAL, None)


@contextlib.contextmanager
def _plain_linears(model: Any) -> Iterator[None]:
    """Let GPT-2's Conv1D multiply without flattening its rows first."""
    from transformers.pytorch_utils import Conv1D

    swapped = [module for module in model.modules() if isinstance(module, Conv1D)]
    for module in swapped:
        module.forward = lambda x, own=module: x @ own.weight + own.bias
    try:
        yield
    finally:
        for module in swapped:
            del module.forward


def _module(model: Any) -> Any:
    import torch

    takes_positions = "position_ids" in accepted(model)

    class Decoder(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any) -> Any:
            extra = {}
            if takes_positions:
                extra["position_ids"] = torch.arange(input_ids.shape[1])[None]
            return self.model(input_ids=input_ids, use_cache=False, **extra).logits

    return Decoder().eval()


def _require_same(model: Any, module: Any, context: int) -> None:
    """Compare the model's own attention and rotation with ours on a few random tokens."""
    import torch

    generator = torch.Generator().manual_seed(0)
    shape = (_PROBE[0], min(_PROBE[1], context))
    ids = torch.randint(0, int(model.config.vocab_size), shape, generator=generator)
    model.set_attn_implementation("eager")
    with own_failures(
        model, "fails on a few random tokens", "Look at its config.json, or use another family"
    ):
        expected = module(ids)
    model.set_attn_implementation(CAUSAL)
    advice = "Use a decoder of another family, or report the model to us"
    if not rotates_by_halves(model):
        raise ModelError(
            f"Model class {type(model).__name__}", "rotates other than by halves", advice
        )
    failures = own_failures(model, "does not run with attention and rotation of ours", advice)
    with rotary_rotation(model), failures:
        got = module(ids)
    gap = float((got - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
    if not gap <= _TOLERANCE:
        raise ModelError(
            f"Model class {type(model).__name__}",
            f"does not compute plain causal attention (relative difference {gap:.2g})",
            advice,
        )


def trace_decoder(
    model: Any, output_name: str, context: int, rope: str
) -> tuple[ir.Model, list[str]]:
    """Export `model` (loaded with CAUSAL attention) to an onnx_ir FLOAT graph, and notes on it.

    Args:
        model: a transformers model with a language modelling head.
        output_name: name of the logits.
        context: rows of the position tables.
        rope: angles in float32 as transformers computes them ("hf"), or in float64.

    Raises:
        ModelError: the model cannot be traced, or is no plain causal decoder.
    """
    import torch

    rows = max(context, _LEAST_ROWS)
    module = _module(model)
    with (
        torch.no_grad(),
        tanh_gelu(model),
        rms_norms(model),
        _plain_linears(model),
        rotary_tables(model, rows, rope) as notes,
    ):
        _require_same(model, module, context)
        with rotary_rotation(model):
            axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", min=1, max=rows)}
            graph = export(module, {"input_ids": axes}, output_name, model)
    for node in graph.graph:
        if node.op_type == "CausalAttention" and node.attributes["window"].as_int() >= context:
            node.attributes["window"] = ir.AttrInt64("window", 0)
    return graph, notes
