"""Grids of wide values: the largest magnitude that a node can make."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from intcc.passes.assign_units import _Magnitudes


@pytest.mark.parametrize(
    ("low", "high", "largest"),
    [(0, 6, 2), (-1, 1, 1), (-1e30, 1, 2), (3, 6, 3), (-9, -5, 5), (0.5, 6, 2)],
)
def test_limits_may_lift_a_value(low: float, high: float, largest: float) -> None:
    """Of |x| <= 2: Clip(x, 3, 6) is 3 everywhere."""
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 20]> net (float[n] x) => (float[n] y) '
        f"<float low = {{{low:e}}}, float high = {{{high:e}}}> {{ y = Clip(x, low, high) }}"
    )
    graph = ir.from_proto(model).graph
    magnitudes = _Magnitudes(graph, dynamic=False)
    magnitudes.table["x"] = 2.0
    (node,) = graph
    assert magnitudes.node(node) == pytest.approx(largest)
