"""Trace a torch model to a FLOAT graph with symbolic batch and sequence.

Attention leaves torch as one ONNX `Attention` node: transformers lets a caller register an
attention function, and ours calls `torch.onnx.ops.attention`. Pooling and normalisation of
sentence encoders leave as nodes of `ai.intcc.float`, the domain of the canonical grammar.
Everything swapped for the trace is put back, and the exporter's chatter is kept from the user.

torch and transformers are imported inside functions: compiling an ONNX file needs neither.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.frontends.names import name_by_module
from intcc.frontends.sentence_transformers import Pooling

__all__ = ["ATTENTION", "FLOAT_DOMAIN", "OPSET", "quiet", "registered_attention", "trace"]

#: Name under which our attention function is known to transformers during a trace.
ATTENTION = "intcc_onnx"
#: Domain of the model-local float functions MeanPool and L2Normalize.
FLOAT_DOMAIN = "ai.intcc.float"
#: Attention, RMSNormalization, LayerNormalization and Gelu are single nodes in exactly this one.
OPSET = 23
#: Example extents: unlike any usual width, so that no axis is mistaken for another.
EXAMPLE_BATCH, EXAMPLE_LENGTH = 3, 11


def _attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, **options: Any
) -> tuple[Any, None]:
    """Attention function for transformers: q, k, v [B, H, S, D] to [B, S, H, D]."""
    import torch

    scale = options.get("scaling")
    out = torch.onnx.ops.attention(
        query,
        key,
        value,
        attention_mask,
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
    )[0]
    return out.transpose(1, 2), None


@contextlib.contextmanager
def registered_attention() -> Iterator[None]:
    """Make ATTENTION selectable as `attn_implementation`; forget it afterwards."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    registries = (AttentionInterface, AttentionMaskInterface)
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    try:
        yield
    finally:
        for registry in registries:
            registry._global_mapping.pop(ATTENTION, None)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars, warnings and prints of torch and transformers."""
    from transformers.utils import logging as hf_logging

    names = ("torch.onnx", "torch.export", "transformers", "huggingface_hub", "onnxscript")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()


@contextlib.contextmanager
def tanh_gelu(model: Any) -> Iterator[None]:
    """Swap every spelled-out tanh GELU module for torch's own, which traces to one node."""
    import torch
    from transformers import activations

    names = ("NewGELUActivation", "FastGELUActivation", "GELUTanh", "AccurateGELUActivation")
    spelled = tuple(getattr(activations, name) for name in names if hasattr(activations, name))
    swapped: list[tuple[Any, str, Any]] = []
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if isinstance(child, spelled):
                swapped.append((parent, name, child))
                setattr(parent, name, torch.nn.GELU(approximate="tanh"))
    try:
        yield
    finally:
        for parent, name, child in swapped:
            setattr(parent, name, child)


def accepted(model: Any) -> set[str]:
    """Names of the arguments that the model takes."""
    return set(inspect.signature(model.forward).parameters)


def text_inputs(model: Any, task: str) -> tuple[str, ...]:
    """Names of the graph inputs; segment ids only where sentence pairs can matter."""
    names = ["input_ids", "attention_mask"]
    segments = int(getattr(model.config, "type_vocab_size", 0) or 0)
    if task == "text-classification" and segments > 1 and "token_type_ids" in accepted(model):
        names.append("token_type_ids")
    return tuple(names)


def first_position(model: Any) -> int:
    """Row of the position table that token 0 uses (RoBERTa and MPNet count from padding + 1)."""
    for module in model.modules():
        if hasattr(module, "create_position_ids_from_input_ids"):
            return int(module.padding_idx) + 1
        if type(module).__name__ == "MPNetEmbeddings":
            return int(module.padding_idx) + 1
    return 0


def max_positions(model: Any) -> int:
    """Longest sequence that the model's position table holds."""
    rows = int(getattr(model.config, "max_position_embeddings", 0) or 0)
    return rows - first_position(model) if rows else 0


def _text_module(model: Any, task: str, pooling: Pooling | None) -> Any:
    import torch

    taken = accepted(model)
    start = first_position(model)
    fused = model.config._attn_implementation == ATTENTION

    class Text(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            keys = attention_mask.to(torch.bool)[:, None, None, :]
            lowest = torch.finfo(torch.float32).min
            extra: dict[str, Any] = {}
            if "position_ids" in taken:
                extra["position_ids"] = torch.arange(start, input_ids.shape[1] + start)[None]
            if "token_type_ids" in taken:
                zeros = torch.zeros_like(input_ids)
                extra["token_type_ids"] = zeros if token_type_ids is None else token_type_ids
            mask = keys if fused else torch.where(keys, 0.0, lowest)
            out = self.model(input_ids=input_ids, attention_mask=mask, **extra)
            if task == "text-classification":
                return out.logits
            hidden = out.last_hidden_state
            return hidden if pooling is None else pooling.apply(hidden, attention_mask)

    return Text().eval()


def _image_module(model: Any, task: str) -> Any:
    import torch

    class Image(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            out = self.model(pixel_values=pixel_values)
            return out.logits if task == "image-classification" else out.last_hidden_state

    return Image().eval()


def trace(
    model: Any,
    task: str,
    output_name: str,
    pooling: Pooling | None,
    image_shape: tuple[int, int, int] | None,
) -> ir.Model:
    """Export `model` (loaded inside `registered_attention`) to an onnx_ir FLOAT graph.

    Raises:
        ModelError: the model's code cannot be traced.
    """
    import torch

    batch = torch.export.Dim("batch")
    if image_shape is not None:
        module = _image_module(model, task)
        inputs: dict[str, Any] = {"pixel_values": torch.zeros(EXAMPLE_BATCH, *image_shape)}
        axes = {"pixel_values": {0: batch}}
        return export(module, axes, output_name, model, inputs)
    module = _text_module(model, task, pooling)
    axis = {0: batch, 1: torch.export.Dim("sequence", min=1, max=max_positions(model) or None)}
    return export(module, dict.fromkeys(text_inputs(model, task), axis), output_name, model)


def release(model: Any, graph: ir.Model) -> None:
    """Give the graph weights of its own and empty the torch model, which many things remember.

    What is mapped of a checkpoint counts as memory as long as a tensor refers to it.
    """
    import torch

    for value in graph.graph.initializers.values():
        if value.const_value is not None:
            array = np.array(value.const_value.numpy())
            value.const_value = ir.tensor(array, name=value.name)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = torch.empty(0, dtype=tensor.dtype)


@contextlib.contextmanager
def own_failures(model: Any, fact: str, remedy: str) -> Iterator[None]:
    """Turn whatever a model's own code raises into one message: its class, `fact`, `remedy`.

    Raises:
        ModelError: the code raised something.
    """
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        subject = f"Model class {type(model).__name__}"
        raise ModelError(subject, f"{fact} ({reason})", remedy) from error


def export(
    module: Any,
    axes: dict[str, Any],
    output_name: str,
    model: Any,
    inputs: dict[str, Any] | None = None,
) -> ir.Model:
    """Trace `module`, a wrapper around `model`, and name what comes out after its modules.

    Args:
        module: takes the inputs, returns one tensor.
        axes: the free axes of each input.
        output_name: name of the result.
        model: for messages.
        inputs: example inputs; None: token ids.

    Raises:
        ModelError: the model's code cannot be traced.
    """
    import torch

    if inputs is None:
        shape = (EXAMPLE_BATCH, EXAMPLE_LENGTH)
        # One tensor per input: the exporter takes an object given twice for a single input.
        inputs = {name: torch.ones(shape, dtype=torch.int64) for name in axes}
    advice = "Export it to ONNX yourself and compile the .onnx file, or report the model to us"
    failures = own_failures(model, "cannot be traced", advice)
    with failures, tanh_gelu(model), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output_name],
            dynamic_shapes=tuple(axes.values()),
            verbose=False,
        )
    result: ir.Model = program.model
    name_by_module(result)
    return result
