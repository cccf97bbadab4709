"""Simulated W8A8: what 8-bit products cost by themselves, everything around them in float.

    y = sum_k  Q(x)[k] * Q(w)[k]        x: one scale per token, absmax / 127;  w: one per channel

Rounding is to nearest; this is the yardstick that integers are measured with: they may cost
nothing beyond the 8 bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["simulated_w8a8"]

STEPS = 127


def _rounded(x: Any, dim: int) -> Any:
    step = x.abs().amax(dim, keepdim=True).clamp(min=1e-30) / STEPS
    return (x / step).round().clamp(-STEPS, STEPS) * step


@contextlib.contextmanager
def simulated_w8a8(model: Any, ternary: bool = False) -> Iterator[None]:
    """Let every linear layer of a torch model round its weights and inputs to 8 bits.

    Args:
        model: a torch module.
        ternary: the projections of the layers keep their weights, which are exact already.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    linears = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
    ]

    def forward(x: Any, module: Any, exact: bool) -> Any:
        rows = module.weight if isinstance(module, torch.nn.Linear) else module.weight.T
        weight = rows if exact else _rounded(rows, 1)
        return torch.nn.functional.linear(_rounded(x, -1), weight, module.bias)

    for name, module in linears:
        exact = ternary and "proj" in name
        module.forward = lambda x, own=module, exact=exact: forward(x, own, exact)
    try:
        yield
    finally:
        for _, module in linears:
            del module.forward
