"""Read an ONNX file that nobody vouches for: refuse damage, tricks and absurd sizes.

parsed           the whole file must be a ModelProto with a graph
external data    relative, inside the file's folder (links resolved), and long enough
sizes            every tensor's bytes agree with its type and shape
order            no node reads a value that a later one computes (so no cycles)
types            onnx's checker and its strict type inference accept the model
"""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import onnx_ir as ir

from intcc.errors import ModelError

__all__ = ["MAX_EXTENT", "MAX_TENSOR_BYTES", "read_checked"]

#: A dimension of an input above this is taken for damage.
MAX_EXTENT = 2**20
#: A single tensor above this is taken for damage.
MAX_TENSOR_BYTES = 2**36
_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2, "STRING": 0}


def read_checked(path: Path) -> tuple[ir.Model, list[Path]]:
    """Return the model and the files it consists of.

    Raises:
        ModelError: says which of the conditions above does not hold.
    """
    if not path.is_file():
        raise ModelError(f"Model '{path}'", "does not exist", "Check the path")
    if path.stat().st_size == 0:
        raise ModelError(f"Model '{path}'", "is an empty file", "Export it again")
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
    except Exception:  # protobuf's own class, which has moved between its versions
        raise ModelError(
            f"Model '{path}'",
            "is not ONNX, or is truncated",
            "Export or download it again",
        ) from None
    if not proto.HasField("graph") or not proto.graph.node:
        raise ModelError(f"Model '{path}'", "holds no graph", "Export or download it again")
    files = [path, *_check_tensors(proto, path)]
    _check_inputs(proto.graph)
    _check_order(proto.graph)
    _check_types(proto, path)
    try:
        return ir.external_data.load_to_model(ir.load(path)), files
    except Exception as error:  # whatever a field out of place makes the reader raise
        raise ModelError(
            f"Model '{path}'", f"cannot be read ({_first_line(error)})", "Export it again"
        ) from None


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            found.extend(attribute.tensors)
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                found.extend(_tensors(inner))
    return found


def _check_tensors(proto: onnx.ModelProto, path: Path) -> list[Path]:
    """Check sizes and places; return the external files."""
    external: dict[Path, None] = {}
    tensors = _tensors(proto.graph)
    for function in proto.functions:
        tensors += [a.t for n in function.node for a in n.attribute if a.HasField("t")]
    for tensor in tensors:
        subject = f"Tensor '{tensor.name}'"
        extents = list(tensor.dims)
        types = onnx.TensorProto.DataType
        if tensor.data_type not in types.values() or tensor.data_type == 0:
            raise ModelError(
                subject, f"has the unknown element type {tensor.data_type}", "Export it again"
            )
        kind = types.Name(tensor.data_type)
        bits = _BITS.get(kind)
        if bits is None:
            bits = 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        size = (math.prod(extents) * bits + 7) // 8
        if any(d < 0 for d in extents) or size > MAX_TENSOR_BYTES:
            raise ModelError(
                subject, f"has the absurd shape {extents}", "The file is damaged: export it again"
            )
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            external[_external_file(tensor, path, size)] = None
        elif tensor.HasField("raw_data") and bits and len(tensor.raw_data) != size:
            raise ModelError(
                subject,
                f"holds {len(tensor.raw_data)} bytes, and its shape {extents} needs {size}",
                "The file is damaged: export it again",
            )
    return list(external)


def _external_file(tensor: onnx.TensorProto, path: Path, size: int) -> Path:
    """Return the file with a tensor's data, which must not lead out of the model's folder."""
    subject = f"External data of tensor '{tensor.name}'"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder: Path = path.resolve().parent
    target: Path = (folder / location).resolve()
    outside = not location or Path(location).is_absolute() or not target.is_relative_to(folder)
    if outside or "\\" in location:
        raise ModelError(
            subject,
            f"lie outside the model's folder ('{location}')",
            "Put the data file beside the model; such a file may also be an attack",
        )
    if not target.is_file():
        raise ModelError(
            subject, f"are missing ('{location}')", "Put the data file beside the model"
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        offset, length = -1, -1
    if offset < 0 or length != size or offset + length > target.stat().st_size:
        raise ModelError(
            subject,
            f"do not fit the file '{location}' of {target.stat().st_size} bytes "
            f"(offset {entries.get('offset', 0)}, length {entries.get('length', size)}, "
            f"needed {size})",
            "The file is truncated: export or download it again",
        )
    return target


def _check_inputs(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and not 0 < dim.dim_value <= MAX_EXTENT:
                extents = [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
                raise ModelError(
                    f"ONNX value '{value.name}'",
                    f"has the absurd shape {extents}",
                    "Export with a free or a sensible size",
                )


def _check_order(graph: onnx.GraphProto) -> None:
    """Every value is computed before it is read; a cycle cannot be so."""
    made = {v.name for v in (*graph.input, *graph.initializer)} | {""}
    made |= {s.values.name for s in graph.sparse_initializer}
    everything = made | {name for node in graph.node for name in node.output}
    for node in graph.node:
        for name in node.input:
            if name not in made:
                fact = ", which nothing computes"
                if name in everything:
                    fact = " before it is computed: the graph has a cycle or is out of order"
                raise ModelError(
                    f"ONNX node '{node.name or node.op_type}'",
                    f"reads '{name}'{fact}",
                    "Export it again",
                )
        made.update(node.output)


def _check_types(proto: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # checker and inference raise classes of their own
        raise ModelError(
            f"Model '{path}'",
            f"is not valid ONNX ({_first_line(error)})",
            "Export it again with a current exporter",
        ) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:300]
