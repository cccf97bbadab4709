"""A graph from the tracer and the same graph from a file lead to the same integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from intcc.passes.canonicalize.round_attributes import RoundAttributes
from tests.canonicalize.helpers import TOKENS, parse


def traced() -> ir.Model:
    """Return a graph with attributes in double precision, as tracers leave them."""
    model = parse(
        TOKENS,
        "float[batch, sequence, 6]",
        "s = Constant<value_float = 1.0>() t = Constant<value_floats = [1.0, 2.0]>() "
        "y = LayerNormalization<epsilon = 1.0>(x, s)",
    )
    single, several, norm = model.graph
    single.attributes["value_float"] = ir.AttrFloat32("value_float", 20**-0.5)
    several.attributes["value_floats"] = ir.AttrFloat32s("value_floats", [0.1, 1e-12])
    norm.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-12)
    return model


def numbers(model: ir.Model) -> list[float]:
    single, several, norm = model.graph
    return [
        single.attributes["value_float"].as_float(),
        *several.attributes["value_floats"].as_floats(),
        norm.attributes["epsilon"].as_float(),
    ]


def test_attributes_are_those_of_the_file() -> None:
    model = traced()
    from_file = ir.from_proto(ir.to_proto(model))
    assert numbers(model) != numbers(from_file)
    RoundAttributes()(model)
    assert (
        numbers(model)
        == numbers(from_file)
        == [float(np.float32(v)) for v in (20**-0.5, 0.1, 1e-12, 1e-12)]
    )
    RoundAttributes()(from_file)
    assert numbers(from_file) == numbers(model)


def test_bodies_of_functions_are_visited() -> None:
    model = traced()
    model.functions[("test", "f", "")] = ir.Function(
        "test", "f", graph=traced().graph, attributes=()
    )
    RoundAttributes()(model)
    body = model.functions[("test", "f", "")]
    assert body[2].attributes["epsilon"].as_float() == float(np.float32(1e-12))
