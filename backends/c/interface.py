"""Interface: the arguments of the run function, as the header and the self-test describe them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from intcc.backends.c.program import Parameter, Program
from intcc.backends.c.shapes import Extent
from intcc.dyadic import Dyadic
from intcc.specs import Scale

__all__ = ["Port", "ports", "scale_of"]


@dataclass(frozen=True)
class Port:
    """One array that the caller passes.

    Attributes:
        name: parameter name in C.
        macro: stem of its macros.
        c_type: element type.
        source: name in the integer graph.
        extent: number of elements.
        shape: extents as text.
        limit: elements lie in [0, limit); None where every value is legal.
        scale: meaning of the integers; None for indices.
    """

    name: str
    macro: str
    c_type: str
    source: str
    extent: Extent
    shape: str
    limit: int | None
    scale: Scale | None

    @property
    def elements(self) -> str:
        """Extent with the macro argument `n` in place of the token count."""
        return str(self.extent)


def scale_of(value: ir.Value) -> Scale | None:
    """Read the scale that lowering left on a value: metadata, or the pass's own record."""
    text = value.metadata_props.get("intcc.scale", "")
    if "/" in text:
        mul, power = text.split("/")
        return Scale(int(mul), int(power.removeprefix("2^")))
    record = json.loads(text) if text else {}
    if "mul" in record:
        return Scale.from_json(record)
    if len(record.get("scale", ())) == 1:
        dyadic = Dyadic.from_real(float(record["scale"][0]))
        return Scale(dyadic.mul, dyadic.shift, int(record["zero"][0]))
    unit: Any = value.meta.get("scale")
    if not isinstance(unit, float) or unit <= 0:
        return None
    numerator, denominator = unit.as_integer_ratio()
    return Scale(numerator, denominator.bit_length() - 1)


def ports(program: Program, graph: ir.Graph) -> tuple[list[Port], list[Port]]:
    """Return inputs and outputs in the order of the run function's parameters."""
    values = {str(v.name): v for v in (*graph.inputs, *graph.outputs)}

    def port(parameter: Parameter) -> Port:
        storage = parameter.view.storage
        return Port(
            storage.name,
            f"{program.name}_{storage.name}".upper(),
            storage.c_type,
            parameter.source,
            parameter.view.extent,
            ", ".join(map(str, parameter.view.dims)),
            parameter.limit,
            scale_of(values[parameter.source]),
        )

    return [port(p) for p in program.inputs], [port(p) for p in program.outputs]
