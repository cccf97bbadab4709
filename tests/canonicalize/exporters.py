"""Export tiny models to ONNX files in the ways that users do."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

from tests.frontends.families import build, feeds
from tests.traces import read_torchlib_once

__all__ = ["export"]


def export(
    name: str, path: Path, *, attention: str, dynamo: bool, opset: int, static: bool, **wrap: bool
) -> Any:
    """Write an ONNX file of a family; return the wrapped torch model.

    Keyword `embed` appends the mean pooling and normalisation of sentence-transformers, written
    with torch operators.
    """
    import torch

    model = build(name, attention)
    given = feeds(name, 2, 13, False)

    class Wrapped(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            named = dict(zip(given, tensors, strict=True))
            out = self.model(**named)
            hidden = out.logits if "logits" in out else out.last_hidden_state
            if not wrap.get("embed"):
                return hidden
            weight = named["attention_mask"].unsqueeze(-1).expand(hidden.size()).float()
            mean = torch.sum(hidden * weight, 1) / torch.clamp(weight.sum(1), min=1e-9)
            return torch.nn.functional.normalize(mean, p=2, dim=1)

    wrapped = Wrapped().eval()
    options: dict[str, Any] = {}
    if not static:
        image = "pixel_values" in given
        axes = {0: "batch"} if image else {0: "batch", 1: "length"}
        if dynamo:
            free = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
            options["dynamic_shapes"] = (tuple(free for _ in given),)
        else:
            options["dynamic_axes"] = dict.fromkeys(given, axes)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        read_torchlib_once()
        torch.onnx.export(
            wrapped,
            tuple(torch.from_numpy(array) for array in given.values()),
            str(path),
            dynamo=dynamo,
            opset_version=opset,
            input_names=list(given),
            output_names=["out"],
            **options,
        )
    return wrapped
