"""Sessions: onnxruntime on the float graph, whole or in pieces that bound the memory.

    graph    n1 n2 | n3 n4 n5 | n6        cut where few bytes pass from piece to piece
    pieces   weights of one piece and the activations of one sample are held at a time

A piece is a session of its own: what passes to later pieces is kept for all samples. Weights
are handed over beside the serialized graph, which protobuf limits to 2 GB.

Exactness  the same kernels on the same numbers as in one session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper

__all__ = ["PIECE_BYTES", "Piece", "float_session", "piece_of", "piece_session", "run_in_pieces"]

Array = npt.NDArray[Any]
#: Weights and activations of one piece, where the graph can be cut so small.
PIECE_BYTES = 2**27
#: Constants from here on are handed over beside the graph; smaller ones may be shapes.
_BESIDE = 2**12


@dataclass(frozen=True)
class Piece:
    """Consecutive nodes, the computed values that they read and those that later nodes read."""

    nodes: list[ir.Node]
    reads: list[ir.Value]
    leaves: list[ir.Value]


def float_session(model: ir.Model, outputs: Iterable[str]) -> ort.InferenceSession:
    """Return a float32 onnxruntime session that also yields the named intermediate values."""
    produced = {str(v.name): v for node in model.graph for v in node.outputs}
    wanted = dict.fromkeys([*model.graph.outputs, *(produced[name] for name in outputs)])
    whole = Piece(list(model.graph), list(model.graph.inputs), [])
    return piece_session(model, whole, list(wanted))


def piece_session(
    model: ir.Model,
    piece: Piece,
    outputs: Sequence[ir.Value],
    functions: Sequence[onnx.FunctionProto] = (),
) -> ort.InferenceSession:
    """Return a session of the nodes of one piece.

    Args:
        model: the model that the piece belongs to.
        piece: its nodes, and the values that they read from elsewhere.
        outputs: values of its nodes to compute.
        functions: bodies of operators that the model itself does not hold.
    """
    nodes, inputs = piece.nodes, piece.reads
    constants = dict.fromkeys(
        v for n in nodes for v in n.inputs if v is not None and v.const_value is not None
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Waiting threads sleep: spinning would take time from the next library's threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    initializers, names, arrays = [], [], []
    for value in constants:
        assert value.const_value is not None
        if value.const_value.nbytes < _BESIDE:
            initializers.append(ir.to_proto(value.const_value))
            initializers[-1].name = str(value.name)
            continue
        array = np.ascontiguousarray(value.const_value.numpy())
        names.append(str(value.name))
        arrays.append(ort.OrtValue.ortvalue_from_numpy(array))
        place = onnx.StringStringEntryProto(key="location", value="beside")
        initializers.append(
            TensorProto(
                name=value.name,
                data_type=value.const_value.dtype.value,
                dims=array.shape,
                data_location=TensorProto.EXTERNAL,
                external_data=[place],
            )
        )
    if names:
        options.add_external_initializers(names, arrays)
    graph = helper.make_graph(
        [ir.to_proto(node) for node in nodes],
        "piece",
        [ir.to_proto(v) for v in inputs],
        [ir.to_proto(v) for v in outputs],
        initializers,
        value_info=[ir.to_proto(v) for n in nodes for v in n.outputs if v not in set(outputs)],
    )
    proto = helper.make_model(
        graph,
        functions=[*(ir.to_proto(f) for f in model.functions.values()), *functions],
        opset_imports=[helper.make_opsetid(d, v) for d, v in model.opset_imports.items()],
        ir_version=model.ir_version,
    )
    return ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _bytes(value: ir.Value, extents: Mapping[str, int]) -> int:
    if value.shape is None or value.dtype is None:
        return 0
    dims = [d if isinstance(d, int) else extents.get(str(d), 1) for d in value.shape]
    return math.prod(dims) * int(value.dtype.itemsize)


def _cuts(nodes: list[ir.Node], extents: Mapping[str, int], limit: int) -> list[int]:
    """Return the positions where pieces begin: the last of the cheapest ones within the limit."""
    position = {node: index for index, node in enumerate(nodes)}
    last = {
        v: max((position[u.node] for u in v.uses() if u.node in position), default=-1)
        for n in nodes
        for v in n.outputs
    }
    passing: dict[ir.Value, int] = {}
    starts, held, best = [0], 0, (math.inf, 0)
    costs: list[int] = []
    seen: set[ir.Value] = set()
    for index, node in enumerate(nodes):
        weights = {v for v in node.inputs if v is not None and v.const_value is not None} - seen
        seen |= weights
        cost = sum(v.const_value.nbytes for v in weights if v.const_value is not None)
        cost += sum(_bytes(v, extents) for v in node.outputs)
        costs.append(cost)
        if held + cost > limit and best[1] > starts[-1]:
            starts.append(best[1])
            held = sum(costs[best[1] : index])
            best = (math.inf, best[1])
        held += cost
        passing = {v: b for v, b in passing.items() if last[v] > index}
        passing.update({v: _bytes(v, extents) for v in node.outputs if last[v] > index})
        alive = sum(passing.values())
        if alive <= best[0]:
            best = (alive, index + 1)
    return starts


def piece_of(nodes: Sequence[ir.Node], start: int, stop: int) -> Piece:
    """Return the piece nodes[start:stop] of the nodes of a graph in order."""
    inside = list(nodes[start:stop])
    made = {v for n in inside for v in n.outputs}
    later = set(nodes[stop:])
    reads = dict.fromkeys(
        v
        for n in inside
        for v in n.inputs
        if v is not None and v.const_value is None and v not in made
    )
    leaves = [v for n in inside for v in n.outputs if any(u.node in later for u in v.uses())]
    return Piece(inside, list(reads), leaves)


def _pieces(model: ir.Model, extents: Mapping[str, int], limit: int) -> Iterator[Piece]:
    nodes = list(model.graph)
    starts = _cuts(nodes, extents, limit)
    for start, stop in zip(starts, [*starts[1:], len(nodes)], strict=True):
        yield piece_of(nodes, start, stop)


def run_in_pieces(
    model: ir.Model,
    names: Iterable[str],
    samples: Sequence[Mapping[str, Array]],
    advance: Callable[[], None] = lambda: None,
    *,
    functions: Sequence[onnx.FunctionProto] = (),
    limit: int = PIECE_BYTES,
) -> Iterator[tuple[int, str, Array]]:
    """Yield (sample, name, elements) of every named value: node by node, sample by sample.

    Args:
        model: canonical float graph, or an integer one; its nodes in order.
        names: values that nodes produce.
        samples: feeds; inputs that the graph lacks are ignored.
        advance: called as often as there are samples, in even steps.
        functions: bodies of operators that the model itself does not hold.
        limit: bytes of the weights and activations of one piece.
    """
    wanted = set(names)
    extents = {"sequence": max(_length(sample) for sample in samples), "batch": 1}
    pieces = list(_pieces(model, extents, limit))
    given = {str(v.name) for v in model.graph.inputs}
    kept = [{k: v for k, v in sample.items() if k in given} for sample in samples]
    done = 0
    for number, piece in enumerate(pieces):
        shown = [v for n in piece.nodes for v in n.outputs if str(v.name) in wanted]
        outputs = list(dict.fromkeys([*shown, *piece.leaves]))
        still = {str(v.name) for later in pieces[number + 1 :] for v in later.reads}
        if not outputs:
            done += len(samples)
            continue
        session = piece_session(model, piece, outputs, functions)
        read = [str(v.name) for v in piece.reads]
        for index, values in enumerate(kept):
            results = session.run([v.name for v in outputs], {name: values[name] for name in read})
            arrays = dict(zip(map(str, (v.name for v in outputs)), results, strict=True))
            del results
            kept[index] = {k: v for k, v in {**values, **arrays}.items() if k in still}
            for value in shown:
                yield index, str(value.name), arrays[str(value.name)]
            done += 1
            for _ in range(done // len(pieces) - (done - 1) // len(pieces)):
                advance()
        del session


def _length(sample: Mapping[str, Array]) -> int:
    ids = sample.get("input_ids")
    return 1 if ids is None else int(ids.shape[-1])
