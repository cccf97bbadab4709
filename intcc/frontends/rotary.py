"""Rotary embeddings of a torch model: tables of cosines and sines, and the rotation as one node.

    cos, sin [1, T, R]       table rows of the positions 0 .. T-1, each half table twice
    RotaryEmbedding(x [B,S,H,D], cos [1,S,R], sin [1,S,R])
                             y1 = x1 * cos - x2 * sin,  y2 = x2 * cos + x1 * sin
                             on the halves x1, x2 of the first R elements of a head; the rest passes

A family brings a rotary module, which computes the tables, and a function that applies them. Both
are swapped for the time of a trace. The frequencies stay the module's own, so that every scaling
(linear, Llama 3, YaRN, LongRoPE) follows; those that change with the length are taken at T.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["rotary_rotation", "rotary_tables", "rotate", "rotates_by_halves"]

#: Largest difference of a table to transformers' own, beside the rounding of its angles.
_TOLERANCE = 1e-3
_LENGTH = (
    "Rotary frequencies depend on the length in this model: those of the full context are used "
    "at every length; --context chooses them"
)
#: The function that rotates, and how its parameters begin in families that rotate by halves.
_APPLY, _TAKES = "apply_rotary_pos_emb", ("q", "k", "cos", "sin")
Tables = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Rotate x [B, S, H, D]: one node in a trace, the same arithmetic outside."""
    import torch

    from intcc.frontends.tracing import FLOAT_DOMAIN

    if torch.compiler.is_exporting():
        return torch.onnx.ops.symbolic(
            f"{FLOAT_DOMAIN}::RotaryEmbedding",
            (x, cos, sin),
            dtype=x.dtype,
            shape=x.shape,
            version=1,
        )
    half = cos.shape[-1] // 2
    c, s = (table[:, :, None, :half] for table in (cos, sin))
    x1, x2 = x[..., :half], x[..., half : 2 * half]
    return torch.cat((x1 * c - x2 * s, x2 * c + x1 * s, x[..., 2 * half :]), dim=-1)


def _apply(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1, **_: Any) -> tuple[Any, Any]:
    """Stand in for `apply_rotary_pos_emb`; heads lie on axis 1 or 2, as unsqueeze_dim tells."""
    if unsqueeze_dim == 2:
        return rotate(q, cos, sin), rotate(k, cos, sin)
    rotated = (rotate(x.transpose(1, 2), cos, sin).transpose(1, 2) for x in (q, k))
    return next(rotated), next(rotated)


def _own_tables(forward: Callable[..., Any], layer_type: str | None, rows: int) -> Tables:
    """Return what transformers computes for the first positions: cos and sin [rows, R]."""
    import torch

    extra = () if layer_type is None else (layer_type,)
    cos, sin = forward(torch.zeros(1), torch.arange(rows)[None], *extra)
    return np.asarray(cos[0].float()), np.asarray(sin[0].float())


def _tables(
    forward: Callable[..., Any], module: Any, layer_type: str | None, rows: int, rope: str
) -> Tables:
    """Return cos and sin [rows, R] in float32.

    The float64 form is dropped for transformers' own where the two are not the same function: a
    module whose tables do not follow from its frequencies.
    """
    own = _own_tables(forward, layer_type, rows)
    prefix = "" if layer_type is None else f"{layer_type}_"
    frequencies = getattr(module, f"{prefix}inv_freq", None)
    if rope == "hf" or frequencies is None or 2 * len(frequencies) != own[0].shape[-1]:
        return own
    scaling = float(getattr(module, f"{prefix}attention_scaling", 1.0))
    half = np.arange(rows)[:, None] * np.asarray(frequencies.double())
    angles = np.concatenate((half, half), axis=1)
    exact = np.cos(angles) * scaling, np.sin(angles) * scaling
    # Angles of up to `rows` radians have been rounded to float32.
    allowed = scaling * (_TOLERANCE + rows * 2.0**-23)
    if max(float(np.abs(a - b).max()) for a, b in zip(exact, own, strict=True)) > allowed:
        return own
    return exact[0].astype(np.float32), exact[1].astype(np.float32)


@contextlib.contextmanager
def rotary_tables(model: Any, rows: int, rope: str) -> Iterator[list[str]]:
    """Let every rotary module return the first rows of constant tables of `rows` positions.

    Yields what a user should know about the tables.
    """
    import torch

    swapped, notes = [], []
    for module in model.modules():
        parameters = inspect.signature(module.forward).parameters
        if "RotaryEmbedding" not in type(module).__name__ or "position_ids" not in parameters:
            continue
        made: dict[str | None, tuple[Any, Any]] = {}
        own = module.forward

        def forward(
            x: Any,
            position_ids: Any = None,
            layer_type: str | None = None,
            *,
            made: dict[str | None, tuple[Any, Any]] = made,
        ) -> tuple[Any, Any]:
            cos, sin = made[layer_type]
            length = x.shape[1] if position_ids is None else position_ids.shape[1]
            return cos[:, :length], sin[:, :length]

        kinds = getattr(module, "layer_types", None) if "layer_type" in parameters else None
        for kind in kinds or (None,):
            if kind is not None and not hasattr(module, f"{kind}_inv_freq"):
                continue
            few = _own_tables(own, kind, 2)
            tables = _tables(own, module, kind, rows, rope)
            if np.abs(few[0] - tables[0][:2]).max() > _TOLERANCE and _LENGTH not in notes:
                notes.append(_LENGTH)
            cos, sin = (torch.from_numpy(np.ascontiguousarray(t))[None] for t in tables)
            made[kind] = cos, sin
        module.forward = forward
        swapped.append(module)
    try:
        yield notes
    finally:
        for module in swapped:
            del module.forward


def _rotations(model: Any) -> list[tuple[Any, Callable[..., Any]]]:
    """Return modules of modelling code with their functions that `rotate` can stand in for."""
    sources = {sys.modules[type(module).__module__] for module in model.modules()}
    found = [(source, getattr(source, _APPLY)) for source in sources if hasattr(source, _APPLY)]
    return [
        (source, own)
        for source, own in found
        if tuple(inspect.signature(own).parameters)[:4] == _TAKES
    ]


def rotates_by_halves(model: Any) -> bool:
    """Tell whether `rotate` computes what the model's code does, on random heads.

    Logits of a model alone do not tell: where attention is nearly uniform, rotations hardly matter.
    A function that wants other shapes is left to them.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 2, 3, 8, generator=generator)
    cos, sin = torch.randn(2, 1, 3, 4, generator=generator).repeat(1, 1, 1, 2)
    ours = torch.stack(_apply(q, k, cos, sin))
    for _, own in _rotations(model):
        try:
            theirs = torch.stack(tuple(own(q, k, cos, sin)))
        except (RuntimeError, TypeError, ValueError):
            continue
        if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=_TOLERANCE):
            return False
    return True


@contextlib.contextmanager
def rotary_rotation(model: Any) -> Iterator[None]:
    """Let the modelling code of `model` rotate with `rotate`.

    A function of other parameters, such as GPT-J's, stays as it is.
    """
    swapped = _rotations(model)
    for source, _ in swapped:
        setattr(source, _APPLY, _apply)
    try:
        yield
    finally:
        for source, own in swapped:
            setattr(source, _APPLY, own)
