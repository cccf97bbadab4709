"""Raw .onnx files, opset 17 upwards, to a SourceModel.

A file is data from a stranger: it is parsed, its external data must lie inside its own folder,
sizes must agree, and onnx's checker must accept it, before any of it is used.

Names are brought to the usual ones: inputs input_ids, attention_mask, token_type_ids (int64
[batch, sequence]) or pixel_values, one output named after the task. A tokenizer beside the file
(or in the folder above, as in hub repositories with an onnx/ folder) is used; so are a pooling
and an image normalisation there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.errors import ModelError
from intcc.frontends.onnx_safety import read_checked
from intcc.frontends.sentence_transformers import Pooling, read_json, read_pooling
from intcc.frontends.source import (
    TASKS,
    SourceModel,
    file_digest,
    identifier,
    image_spec,
    resolve_max_length,
)
from intcc.frontends.tokenizer import TextTokenizer, tokenizer_files

__all__ = ["load_onnx"]

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
#: Names that exporters give, and what they mean.
INPUT_NAMES = {
    "input_mask": "attention_mask",
    "mask": "attention_mask",
    "segment_ids": "token_type_ids",
    "ids": "input_ids",
    "tokens": "input_ids",
    "images": "pixel_values",
    "image": "pixel_values",
    "input": "pixel_values",
}
#: Outputs by preference; the first that exists is kept.
OUTPUT_NAMES = ("sentence_embedding", "logits", "last_hidden_state", "token_embeddings")


def load_onnx(path: Path, *, task: str, max_length: int | None) -> SourceModel:
    """Read, check and normalise an ONNX file.

    Raises:
        ModelError: the file is missing, damaged, unsafe, or not of a supported kind.
    """
    model, files = read_checked(path)
    graph = model.graph
    folder = _metadata_folder(path)
    image = _name_inputs(graph)
    pooling = None if image else read_pooling(folder)
    output = _choose_output(graph)
    task = _task(task, output, pooling, image)
    notes = _float32_weights(graph)
    if not image:
        _drop_inputs(graph, task)
    if task == "sentence-embedding" and _rank(output) == 3:
        output = _pool(graph, output, pooling or Pooling("mean", False))
    del graph.outputs[:]
    graph.outputs.append(output)
    _rename(graph, output, TASKS[task])
    _forget_shapes(graph, image)
    tokens = folder / "tokenizer.json"
    tokenizer = TextTokenizer(tokens) if tokens.is_file() and not image else None
    own = tokenizer.own_length if tokenizer else None
    length = 0 if image else resolve_max_length(max_length, own, _longest(graph))
    name = identifier(path.stem if path.stem != "model" else folder.resolve().name)
    model.metadata_props.clear()
    model.metadata_props.update(
        {
            "intcc.task": task,
            "intcc.name": name,
            "intcc.max_length": str(length),
        }
    )
    config = folder / "config.json"
    return SourceModel(
        model=model,
        name=name,
        task=task,
        max_length=length,
        tokenizer_files=() if image else tokenizer_files(folder),
        source={"kind": "onnx", "files": {p.name: file_digest(p) for p in files}},
        image=_image(graph, folder, read_json(config) if config.is_file() else {})
        if image
        else None,
        notes=notes,
        tokenizer=tokenizer,
    )


def _metadata_folder(path: Path) -> Path:
    """Return the folder that holds tokenizer and configs: the file's own, or the one above."""
    for folder in (path.parent, path.resolve().parent.parent):
        if (folder / "tokenizer.json").is_file() or (folder / "config.json").is_file():
            return folder
    return path.parent


def _rename(graph: ir.Graph, value: ir.Value, name: str) -> None:
    """Rename, moving whatever else has that name out of the way."""
    others = [*graph.inputs, *graph.initializers.values()]
    others += [out for node in graph for out in node.outputs]
    for other in others:
        if other is not value and other.name == name:
            other.name = f"{name}_inner"
    value.name = name


def _name_inputs(graph: ir.Graph) -> bool:
    """Give the inputs their usual names; tell whether the model takes images."""
    real = [v for v in graph.inputs if str(v.name) not in graph.initializers]
    for value in list(graph.inputs):
        if value not in real:
            graph.inputs.remove(value)
    for value in real:
        wanted = INPUT_NAMES.get(str(value.name).lower())
        if wanted and wanted not in {v.name for v in graph.inputs}:
            _rename(graph, value, wanted)
    names = {str(v.name) for v in graph.inputs}
    if len(real) == 1 and real[0].dtype == ir.DataType.FLOAT and _rank(real[0]) == 4:
        _rename(graph, real[0], "pixel_values")
        return True
    unknown = sorted(names - set(TEXT_INPUTS))
    if unknown or "input_ids" not in names:
        listing = ", ".join(
            f"'{v.name}' {v.dtype.name if v.dtype else '?'} {_extents(v)}" for v in real
        )
        raise ModelError(
            "The ONNX model",
            f"has inputs that are no text or image encoder's: {listing or 'none'}",
            "Supported: input_ids with attention_mask, token_type_ids, position_ids; "
            "or one float image [batch, channels, height, width]",
        )
    for value in graph.inputs:
        if value.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or _rank(value) != 2:
            kind = value.dtype.name if value.dtype else "no type"
            raise ModelError(
                f"ONNX input '{value.name}'",
                f"has type {kind} and shape {_extents(value)}",
                "Token inputs are int64 [batch, sequence]",
            )
    return False


def _extents(value: ir.Value) -> str:
    return "of unknown shape" if value.shape is None else str(value.shape)


def _rank(value: ir.Value) -> int:
    return -1 if value.shape is None else len(value.shape)


def _choose_output(graph: ir.Graph) -> ir.Value:
    for name in OUTPUT_NAMES:
        for value in graph.outputs:
            if value.name == name:
                return value
    if not graph.outputs:
        raise ModelError("The ONNX model", "has no output", "Export it again")
    return graph.outputs[0]


def _task(task: str, output: ir.Value, pooling: Pooling | None, image: bool) -> str:
    """Resolve `auto` from names and ranks; check any other task."""
    if task not in ("auto", *TASKS):
        raise ModelError(f"Task '{task}'", "is not known", f"Tasks: auto, {', '.join(TASKS)}")
    if task == "auto":
        rank = _rank(output)
        if image:
            return "image-feature-extraction" if rank == 3 else "image-classification"
        if output.name == "sentence_embedding" or (pooling is not None and rank == 3):
            return "sentence-embedding"
        return "feature-extraction" if rank == 3 else "text-classification"
    if image and not task.startswith("image-") and f"image-{task}" in TASKS:
        task = f"image-{task}"
    if image != task.startswith("image-"):
        raise ModelError(
            f"Task '{task}'", "does not fit the inputs of the ONNX model", "Use --task auto"
        )
    return task


def _float32_weights(graph: ir.Graph) -> list[str]:
    """Refuse NaN weights; convert float64 (and narrow floats) to float32."""
    converted: set[str] = set()
    narrow = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
    for value in graph.initializers.values():
        tensor = value.const_value
        if tensor is None or not tensor.dtype.is_floating_point():
            continue
        array = np.asarray(tensor.numpy()).astype(np.float32)
        if not np.isfinite(array).all() and array.size > 1:
            low = np.isneginf(array)  # additive masks hold -inf by design
            if np.isnan(array).any() or not low[~np.isfinite(array)].all():
                raise ModelError(
                    f"Weight '{value.name}'",
                    f"holds {int((~np.isfinite(array)).sum())} NaN or infinite value(s)",
                    "The model is damaged: export it again",
                )
        if tensor.dtype in narrow:
            converted.add(tensor.dtype.name.lower())
            value.const_value = ir.tensor(array, name=value.name)
            value.dtype = ir.DataType.FLOAT
    if converted:
        for node in graph:
            to = node.attributes.get("to")
            if node.op_type == "Cast" and to is not None and ir.DataType(to.as_int()) in narrow:
                node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT))
        computed = [out for node in graph for out in node.outputs]
        for value in (*graph.inputs, *computed):
            if value.dtype in narrow:
                value.dtype = ir.DataType.FLOAT
    return [f"{name} weights converted to float32" for name in sorted(converted)]


def _drop_inputs(graph: ir.Graph, task: str) -> None:
    """Compute segment ids (all zero) and positions (0, 1, ...) inside the graph.

    Segment ids stay an input where a classifier reads sentence pairs.
    """
    inputs = {str(v.name): v for v in graph.inputs}
    ids = inputs["input_ids"]
    for name in ("token_type_ids", "position_ids"):
        value = inputs.get(name)
        if value is None or (name == "token_type_ids" and task == "text-classification"):
            continue
        zero = _initializer(graph, f"{name}_zero", np.array(0, np.int64))
        if name == "token_type_ids":
            shape = ir.node("Shape", [ids])
            made = [shape, ir.node("Expand", [zero, shape.outputs[0]])]
        else:
            one = _initializer(graph, "position_step", np.array(1, np.int64))
            axes = _initializer(graph, "position_axes", np.array([0], np.int64))
            shape = ir.node("Shape", [ids], {"start": 1, "end": 2})
            length = ir.node("Squeeze", [shape.outputs[0]])
            count = ir.node("Range", [zero, length.outputs[0], one])
            made = [shape, length, count, ir.node("Unsqueeze", [count.outputs[0], axes])]
        ir.convenience.replace_all_uses_with(value, made[-1].outputs[0])
        graph.insert_before(graph[0], made)
        graph.inputs.remove(value)


def _initializer(graph: ir.Graph, name: str, array: np.ndarray[Any, Any]) -> ir.Value:
    value = ir.Value(
        name=name,
        type=ir.TensorType(ir.DataType.INT64),
        shape=ir.Shape(array.shape),
        const_value=ir.tensor(array, name=name),
    )
    graph.register_initializer(value)
    return value


def _pool(graph: ir.Graph, hidden: ir.Value, pooling: Pooling) -> ir.Value:
    """Append the pooling that the sentence-transformers files beside the model ask for."""
    mask = next((v for v in graph.inputs if v.name == "attention_mask"), None)
    if pooling.mode == "cls":
        zero = _initializer(graph, "first_token", np.array(0, np.int64))
        node = ir.node("Gather", [hidden, zero], {"axis": 1})
    elif mask is None:
        raise ModelError(
            "The ONNX model",
            "has no attention_mask, which the mean over tokens needs",
            "Export it with an attention_mask, or use --task feature-extraction",
        )
    else:
        node = ir.node("MeanPool", [hidden, mask], domain="ai.intcc.float")
    graph.append(node)
    if pooling.normalize:
        node = ir.node("L2Normalize", [node.outputs[0]], domain="ai.intcc.float")
        graph.append(node)
    node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return node.outputs[0]


def _forget_shapes(graph: ir.Graph, image: bool) -> None:
    """Name the free dimensions batch and sequence, and drop all that were derived from others."""
    for value in graph.inputs:
        assert value.shape is not None
        names: list[str | None] = ["batch", None] if image else ["batch", "sequence"]
        extents: list[int | str | None] = []
        for axis, dim in enumerate(value.shape):
            extents.append(dim if isinstance(dim, int) else (*names, None, None)[axis])
        if image and None in extents[1:]:
            raise ModelError(
                f"ONNX input '{value.name}'",
                f"has shape {value.shape}",
                "Export with fixed channels, height and width",
            )
        value.shape = ir.Shape(extents)
    for node in graph:
        for out in node.outputs:
            out.shape = None


def _longest(graph: ir.Graph) -> int:
    """Return the length that a static export or a table of positions allows; 0 where free.

    A position table is as wide as the word table and not indexed by the ids. It may hold a few
    rows for padding; canonicalize finds its exact end, and checks the length that was asked for.
    """
    ids = next(v for v in graph.inputs if v.name == "input_ids")
    assert ids.shape is not None
    if isinstance(ids.shape[1], int):
        return ids.shape[1]
    tables: list[tuple[bool, ir.Shape]] = []
    for node in graph:
        table = node.inputs[0] if node.op_type == "Gather" else None
        if table is not None and table.is_initializer() and _rank(table) == 2:
            assert table.shape is not None
            tables.append((node.inputs[1] is ids, table.shape))
    widths = {shape[1] for words, shape in tables if words}
    rows = [int(str(s[0])) for words, s in tables if not words and s[1] in widths]
    counted = any(node.op_type == "CumSum" for node in graph)  # behind the padding's id, mostly 1
    return min((r - 2 * counted for r in rows if r > 4), default=0)


def _image(graph: ir.Graph, folder: Path, config: dict[str, Any]) -> Any:
    shape = graph.inputs[0].shape
    assert shape is not None
    channels, height, width = (int(str(d)) for d in list(shape)[1:])
    return image_spec(folder, channels, height, width)
