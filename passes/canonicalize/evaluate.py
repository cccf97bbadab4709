"""Run parts of a float graph at compile time, at chosen extents of batch and sequence.

Many spellings of one idea (a padding mask, a table of positions, the target of a Reshape) differ
in their nodes and agree in their values. So these are recognised by their values: the part of the
graph that computes them is run, for several extents and inputs, in numpy (onnx.reference).

A `Shape` node is a leaf here: its result follows from the symbolic shape of its operand, so a
value that depends on the data only through `Shape` can be computed without any data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from intcc.passes.canonicalize.graph import Array, constant, dims

__all__ = [
    "BINDINGS",
    "NotEvaluableError",
    "concrete_shape",
    "evaluate",
    "fit_dims",
    "run_node",
    "shape_only",
]

#: Extents at which shape values are observed: primes, so that products are told apart.
BINDINGS: tuple[dict[str, int], ...] = (
    {"batch": 2, "sequence": 7},
    {"batch": 3, "sequence": 11},
    {"batch": 5, "sequence": 7},
)
#: Longest chain of nodes that recognition follows.
MAX_NODES = 600
#: Elements of the largest value that is computed at compile time: 2 GiB of float32.
MAX_ELEMENTS = 2**29
#: Operators whose result is another one in each run.
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
_SHAPED = {"ConstantOfShape", "Expand", "Range", "Tile"}


class NotEvaluableError(Exception):
    """The value depends on data that were not given, or is too large to compute here."""


def concrete_shape(value: ir.Value, binding: Mapping[str, int]) -> tuple[int, ...] | None:
    """Return the extents of `value` under `binding`; None where a dimension is unknown."""
    if value.shape is None:
        return None
    extents = []
    for dim in value.shape:
        extent = dim if isinstance(dim, int) else _bind(dim, binding)
        if extent is None:
            return None
        extents.append(extent)
    return tuple(extents)


def _bind(dim: ir.SymbolicDim, binding: Mapping[str, int]) -> int | None:
    if dim.value is None:
        return None
    if dim.value in binding:
        return binding[dim.value]
    try:
        bound = dim.evaluate(dict(binding))
        return bound if isinstance(bound, int) else None
    except Exception:  # an expression in symbols that are not ours
        return None


def fit_dims(observed: Sequence[tuple[int, ...]]) -> list[int | str | None]:
    """Return each dimension as the number, "batch" or "sequence" that explains all BINDINGS."""
    fitted: list[int | str | None] = []
    for extents in zip(*observed, strict=True):
        names = [
            n
            for n in ("batch", "sequence")
            if all(e == b[n] for e, b in zip(extents, BINDINGS, strict=True))
        ]
        fitted.append(extents[0] if len(set(extents)) == 1 else (names[0] if names else None))
    return fitted


def run_node(node: ir.Node, inputs: list[Array | None]) -> list[Array]:
    """Execute one standard node in numpy.

    Raises:
        NotEvaluableError: not a pure standard operator, or its inputs do not fit it.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type in _RANDOM:
        raise NotEvaluableError(f"{node.domain}::{node.op_type}")
    _limit(node, inputs)
    given = tuple(x is not None for x in inputs)
    feeds = {f"i{k}": x for k, x in enumerate(inputs) if x is not None}
    try:
        evaluator = _evaluator(node, given)
        with np.errstate(all="ignore"):
            return [np.asarray(x) for x in evaluator.run(None, feeds)]
    except Exception as error:  # numpy's and the evaluator's own, of every class
        raise NotEvaluableError(f"{node.op_type}: {error}") from None


#: Evaluators by node; building one costs far more than running it.
_EVALUATORS: WeakKeyDictionary[ir.Node, tuple[str, ReferenceEvaluator]] = WeakKeyDictionary()


def _evaluator(node: ir.Node, given: tuple[bool, ...]) -> ReferenceEvaluator:
    """Return a runner of `node` whose inputs are i0, i1, ... where `given`."""
    attributes = {name: str(a) for name, a in node.attributes.items()}
    key = f"{node.op_type} {given} {attributes}"
    known = _EVALUATORS.get(node)
    if known is not None and known[0] == key:
        return known[1]
    proto = ir.serde.serialize_node(node)
    del proto.input[:], proto.output[:]
    proto.input.extend(f"i{k}" if present else "" for k, present in enumerate(given))
    proto.output.extend(f"o{k}" for k in range(len(node.outputs)))
    proto.ClearField("metadata_props")
    graph = onnx.helper.make_graph(
        [proto],
        "node",
        [onnx.ValueInfoProto(name=name) for name in proto.input if name],
        [onnx.ValueInfoProto(name=name) for name in proto.output],
    )
    version = node.version or (node.graph.opset_imports.get("") if node.graph else None) or 23
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)])
    evaluator = ReferenceEvaluator(model)
    _EVALUATORS[node] = (key, evaluator)
    return evaluator


def _limit(node: ir.Node, inputs: list[Array | None]) -> None:
    """Refuse results that a few crafted integers could make arbitrarily large."""
    if node.op_type not in _SHAPED:
        return
    if node.op_type == "Range":
        start, limit, delta = (float(np.asarray(x)) if x is not None else 0.0 for x in inputs[:3])
        size = (limit - start) / delta if delta else np.inf
    else:
        last = inputs[-1]
        size = float(np.prod(np.abs(last.astype(np.float64)))) if last is not None else 0.0
        if node.op_type == "Tile" and inputs[0] is not None:
            size *= inputs[0].size
    if size > MAX_ELEMENTS:
        raise NotEvaluableError(f"{node.op_type} of {size:.3g} elements")


def evaluate(
    value: ir.Value,
    binding: Mapping[str, int],
    feeds: Mapping[str, Array] | None = None,
    cache: dict[ir.Value, Array] | None = None,
) -> Array:
    """Compute `value` from constants, `Shape` leaves under `binding`, and graph inputs in `feeds`.

    Raises:
        NotEvaluableError: something else is needed.
    """
    known: dict[ir.Value, Array] = {} if cache is None else cache
    pending = [value]
    steps = 0
    while pending:
        current = pending[-1]
        if current in known:
            pending.pop()
            continue
        leaf = _leaf(current, binding, feeds or {})
        if leaf is not None:
            known[current] = leaf
            continue
        node = current.producer()
        if node is None:
            raise NotEvaluableError(f"input {current.name}")
        missing = [x for x in node.inputs if x is not None and x not in known]
        if missing:
            pending.extend(missing)
            steps += 1
            if steps > MAX_NODES:
                raise NotEvaluableError("too many nodes")
            continue
        results = run_node(node, [None if x is None else known[x] for x in node.inputs])
        known.update(zip(node.outputs, results, strict=True))
    return known[value]


def _leaf(value: ir.Value, binding: Mapping[str, int], feeds: Mapping[str, Array]) -> Array | None:
    array = constant(value)
    if array is not None:
        return array
    if value.is_graph_input():
        return feeds.get(str(value.name))
    node = value.producer()
    if node is None or node.op_type != "Shape" or node.inputs[0] is None:
        return None
    shape = concrete_shape(node.inputs[0], binding)
    if shape is None:
        return None
    start = node.attributes.get_int("start", 0)
    end = node.attributes.get_int("end", len(shape))
    return np.array(shape[start:end], dtype=np.int64)


def shape_only(value: ir.Value, memo: dict[ir.Value, bool]) -> bool:
    """Tell whether `value` follows from constants and shapes alone; `memo` serves many calls."""
    stack = [value]
    while stack:
        current = stack[-1]
        if current in memo:
            stack.pop()
            continue
        node = current.producer()
        if constant(current) is not None or _known_shape(node):
            memo[current] = True
        elif node is None or current.is_graph_input() or node.domain not in ("", "ai.onnx"):
            memo[current] = False
        else:
            inputs = [x for x in node.inputs if x is not None]
            missing = [x for x in inputs if x not in memo]
            if missing:
                stack.extend(missing)
                continue
            memo[current] = node.op_type not in _RANDOM and all(memo[x] for x in inputs)
    return memo[value]


def _known_shape(node: ir.Node | None) -> bool:
    if node is None or node.op_type != "Shape":
        return False
    operand = node.inputs[0]
    return operand is not None and operand.shape is not None and None not in dims(operand)
