"""Emit: the parts of a graph for an Ethos-U, and the C of what is left.

npu.json            the parts: files, inputs and outputs in the order of the hand-over
part0.tosa ...      each part as a TOSA graph
part0.npz ...       its command stream and weights, as Vela writes them
c/                  C whose parts are calls of NAME_npu_invoke
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from intcc.backends.c.state import is_cache
from intcc.backends.npu.accelerators import Accelerator
from intcc.backends.npu.capability import part_graph, refusals
from intcc.backends.npu.part import Part
from intcc.backends.npu.partition import Partition, partition
from intcc.backends.npu.vela import Estimate, compile_part
from intcc.backends.tosa.emit import Evaluate
from intcc.backends.tosa.serialize import serialize
from intcc.errors import RangeProofError, UnsupportedOperatorError
from intcc.interval import Interval
from intcc.macs import node_macs

__all__ = ["PARTS", "NpuReport", "emit_parts", "write_list"]

#: The list of parts.
PARTS = "npu.json"
#: How nodes are refused that each alone has a TOSA form: by Vela, or by a range of them together.
REFUSALS = (UnsupportedOperatorError, RangeProofError)


@dataclass(frozen=True)
class NpuReport:
    """What is placed where, and what Vela estimates.

    Attributes:
        accelerator: its name.
        length: tokens that every part is compiled for; 0 where there are none.
        partition: the placement.
        estimates: of every part.
    """

    accelerator: str
    length: int
    partition: Partition
    estimates: tuple[Estimate, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of report.json."""
        parts = zip(self.partition.parts, self.estimates, strict=True)
        total = sum(estimate.cycles for estimate in self.estimates)
        first = self.estimates[0]
        return {
            "accelerator": self.accelerator,
            "system": first.system,
            "memory_mode": first.memory_mode,
            "clock_hz": first.clock_hz,
            "length": self.length or None,
            "macs": self.partition.macs,
            "macs_share": round(self.partition.share, 6),
            "cycles": total,
            "milliseconds": round(1000 * total / first.clock_hz, 3),
            "parts": [_part_json(part, estimate) for part, estimate in parts],
            "elsewhere": [
                {
                    "operator": node.op_type,
                    "name": str(node.outputs[0].name),
                    "macs": node_macs(node, self.length),
                    "reason": reason,
                }
                for node, reason in self.partition.reasons.items()
            ],
        }


def _part_json(part: Part, estimate: Estimate) -> dict[str, Any]:
    return {
        "part": part.index,
        "operators": dict(sorted(Counter(n.op_type for n in part.nodes).items())),
        "macs": part.macs,
        "cycles": estimate.cycles,
        "memory_bytes": dict(estimate.memory_bytes),
        "on_cpu": list(estimate.on_cpu),
        "layers": [asdict(layer) for layer in estimate.layers],
    }


def emit_parts(
    model: ir.Model,
    folder: Path,
    accelerator: Accelerator,
    ranges: Mapping[str, Interval],
    evaluate: Evaluate,
) -> NpuReport:
    """Write every part and its command stream.

    Args:
        model: the integer graph, of a model without a state.
        folder: where the files go; it is created.
        accelerator: what to compile for.
        ranges: proved interval of every value by name.
        evaluate: runs a node whose operands are all known.

    Raises:
        UnsupportedOperatorError: the accelerator computes nothing of it.
        MissingToolError: Vela or the serializer is not there.
        ToolError: Vela fails.
    """
    assert not any(is_cache(value) for value in model.graph.inputs)
    name = model.metadata_props.get("intcc.name", "model")
    length = int(model.metadata_props.get("intcc.max_length", "0") or 0)
    extents = {"batch": 1, "sequence": length}
    refused = refusals(model, accelerator, ranges, extents, evaluate)
    against = {node: refused(node) for node in model.graph}
    folder.mkdir(parents=True, exist_ok=True)

    def compiled(nodes: tuple[ir.Node, ...], file: Path) -> Estimate:
        graph = part_graph(model, nodes, ranges, extents, evaluate, accelerator.without)
        file.write_bytes(serialize(graph))
        return compile_part(file, accelerator, file.with_suffix(".npz"))

    while True:
        placed = partition(model.graph, against.__getitem__, lambda node: node_macs(node, length))
        if not placed.parts:
            reasons = Counter(placed.reasons.values()).most_common(1)
            reason = reasons[0][0] if reasons else "it only moves data"
            raise UnsupportedOperatorError(
                f"Model '{name}'",
                f"has no part that {accelerator.name} computes ({reason})",
                "Compile without --emit vela",
            )
        estimates: list[Estimate] = []
        for part in placed.parts:
            try:
                estimates.append(compiled(part.nodes, folder / f"part{part.index}.tosa"))
            except REFUSALS as error:
                against.update(_culprits(part, compiled, folder, str(error)))
        if len(estimates) == len(placed.parts):
            break
        for file in folder.glob("part*"):
            file.unlink()
    write_list(folder / PARTS, placed, extents)
    return NpuReport(accelerator.name, length, placed, tuple(estimates))


def _culprits(
    part: Part,
    compiled: Callable[[tuple[ir.Node, ...], Path], Estimate],
    folder: Path,
    whole: str,
) -> dict[ir.Node, str]:
    """Return the nodes that Vela refuses on their own, or all where none is refused alone."""
    found: dict[ir.Node, str] = {}
    for node in part.nodes:
        try:
            compiled((node,), folder / "part.tosa")
        except REFUSALS as error:
            found[node] = str(error)
    return found or dict.fromkeys(part.nodes, whole)


def write_list(path: Path, placed: Partition, extents: Mapping[str, int]) -> None:
    """Write the list of parts: their files, inputs and outputs.

    Args:
        path: the file.
        placed: the parts.
        extents: of the symbolic dimensions.
    """

    def arrays(values: tuple[ir.Value, ...]) -> list[dict[str, Any]]:
        made = []
        for value in values:
            assert value.shape is not None and value.dtype is not None
            shape = [d if isinstance(d, int) else extents[str(d.value)] for d in value.shape]
            kind = str(value.dtype.numpy())
            made.append({"name": str(value.name), "dtype": kind, "shape": shape})
        return made

    parts = [
        {
            "tosa": f"part{p.index}.tosa",
            "stream": f"part{p.index}.npz",
            "inputs": arrays(p.inputs),
            "outputs": arrays(p.outputs),
        }
        for p in placed.parts
    ]
    path.write_text(json.dumps({"parts": parts}, indent=1) + "\n", encoding="utf-8")
