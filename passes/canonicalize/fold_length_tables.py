"""Fold length tables: what depends only on the sequence's length becomes rows of a constant.

    before   Gather(table, Unsqueeze(Range(0, S))) -> rows [1, sequence, C]
    after    Slice(table' [1, S_max, C], 0, S, axis 1) -> rows,  S = Shape(input_ids)[1:2]

Position embeddings, segment rows of all-zero segment ids, relative position biases and rotary
tables are all of this kind, in every spelling: they are recognised because they need no data.

    rows equal for every batch row        the batch axis becomes 1 (the readers broadcast)
    rows equal for every position         no Slice is left, only the constant
    read by a node that cannot broadcast  Expand(constant, Shape(input)) stays (class tokens)

Exactness  the same float32 values: computed once at the longest length, and compared with the
           original at two shorter ones.
Order      after resolve_shapes. Before recognize_masks, whose probing meets short expressions.
"""

from __future__ import annotations

import onnx_ir as ir

from intcc.errors import ModelError
from intcc.passes.canonicalize.evaluate import (
    BINDINGS,
    NotEvaluableError,
    evaluate,
    fit_dims,
    shape_only,
)
from intcc.passes.canonicalize.graph import (
    Array,
    as_shape,
    dims,
    replace,
)
from intcc.passes.canonicalize.tables import expand_to, is_table_rows, slice_rows

__all__ = ["FoldLengthTables"]

#: Readers that broadcast an axis of extent 1.
_BROADCASTING = {"Add", "Sub", "Mul", "Div", "Where", "And"}
#: Lengths that are compared; all differ from the longest one.
_CHECKED = (5, 9)
#: Longest table that is made where the model names no limit.
_LONGEST = 4096


class FoldLengthTables(ir.passes.InPlacePass):
    """Replace every float value that needs no data by a constant or rows of one."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Handle the last shape-only value of each chain: the one whose readers need data."""
        graph = model.graph
        memo: dict[ir.Value, bool] = {}
        frontier = [
            out
            for node in graph
            for out in node.outputs
            if out.dtype is not None
            and out.dtype.is_floating_point()
            and out.consumers()
            and not is_table_rows(out)
            and shape_only(out, memo)
            and any(not shape_only(o, memo) for user in out.consumers() for o in user.outputs)
        ]
        if frontier and _depends_on_length(frontier):
            longest = int(model.metadata_props.get("intcc.max_positions", "0") or 0)
            longest = longest or _longest_length(frontier)
            model.metadata_props["intcc.max_positions"] = str(longest)
            asked = int(model.metadata_props.get("intcc.max_length", "0") or 0)
            if asked > longest:
                raise ModelError(
                    f"--max-length {asked}",
                    f"is above the {longest} positions of the model's table",
                    f"Pass --max-length {longest} or less",
                )
        else:
            longest = max(_CHECKED) + 1
        for value in frontier:
            self._fold(graph, value, longest)
        return ir.passes.PassResult(model, bool(frontier))

    def _fold(self, graph: ir.Graph, value: ir.Value, longest: int) -> None:
        # Lengths are told apart at more tokens than the longest compared one; then rows are cut.
        computed = max(longest, max(_CHECKED) + 1)
        table = _at(value, 1, computed)
        short = [_at(value, b, s) for b, s in zip((2, 3), _CHECKED, strict=True)]
        axes = [a for a in range(table.ndim) if len({t.shape[a] for t in (table, *short)}) > 1]
        length_axes = [a for a in axes if table.shape[a] == computed]
        batch_axes = [a for a in axes if a not in length_axes]
        collapsed = [a for a in length_axes if bool((table == table.take([0], axis=a)).all())]
        for a in collapsed:
            table = table.take([0], axis=a)
        length_axes = [a for a in length_axes if a not in collapsed]
        for extent, observed in zip(_CHECKED, short, strict=True):
            rows = table
            for a in length_axes:
                rows = rows.take(range(extent), axis=a)
            if not _same_rows(rows, observed):
                raise ModelError(
                    f"Value '{value.name}'",
                    "depends on batch or length in a way that is no table of positions",
                    "Use a model of another family, or report the model to us",
                )
        for a in length_axes:
            table = table.take(range(longest), axis=a)
        if value.shape is None or None in dims(value):
            value.shape = as_shape(fit_dims([_at(value, **b).shape for b in BINDINGS]))
        self._emit(graph, value, table, length_axes, bool(batch_axes or collapsed))

    def _emit(
        self, graph: ir.Graph, value: ir.Value, table: Array, axes: list[int], broadcasts: bool
    ) -> None:
        anchor = value.producer()
        assert anchor is not None
        new = slice_rows(graph, anchor, str(value.name), table, axes)
        if broadcasts and any(u.op_type not in _BROADCASTING for u in value.consumers()):
            new = expand_to(graph, anchor, new, dims(value))
        replace(graph, value, new)


def _same_rows(rows: Array, observed: Array) -> bool:
    """Tell whether `rows` broadcast to what was observed, and nothing else."""
    pairs = zip(rows.shape, observed.shape, strict=True)
    return all(a in (1, b) for a, b in pairs) and bool((rows == observed).all())


def _at(value: ir.Value, batch: int, sequence: int) -> Array:
    try:
        return evaluate(value, {"batch": batch, "sequence": sequence})
    except NotEvaluableError as error:
        raise ModelError(
            f"Value '{value.name}'",
            f"cannot be computed for {sequence} tokens ({error})",
            "Report the model to us",
        ) from None


def _depends_on_length(values: list[ir.Value]) -> bool:
    return any(_at(v, 1, _CHECKED[0]).shape != _at(v, 1, _CHECKED[1]).shape for v in values)


def _longest_length(values: list[ir.Value]) -> int:
    """Find the largest length at which all `values` can be computed: their tables end there.

    Tables with two axes of that length (biases) come last, when the end is mostly known.
    """
    longest = _LONGEST
    small = min(_CHECKED)
    for value in sorted(values, key=lambda v: _at(v, 1, small).shape.count(small)):
        axes = [a for a, extent in enumerate(_at(value, 1, small).shape) if extent == small]

        def fits(length: int, value: ir.Value = value, axes: list[int] = axes) -> bool:
            try:
                shape = evaluate(value, {"batch": 1, "sequence": length}).shape
            except NotEvaluableError:
                return False
            return all(shape[a] in (small, length) for a in axes)

        if fits(longest):
            continue
        low, high = max(_CHECKED), longest
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        longest = low
    return longest
