"""Run an artifact's model.onnx in onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from intcc.errors import ArtifactError, ToolError
from intcc.specs import INTEGER_SUFFIX, TensorSpec

__all__ = ["LEVELS", "OrtModel", "open_session", "without_float_tail"]

Array = npt.NDArray[Any]

#: Graph optimisation levels of onnxruntime, least first.
LEVELS = ("disable", "basic", "extended", "all")


def open_session(
    model: bytes | str, threads: int = 1, level: str = "all", *, spin: bool = True
) -> Any:
    """Return an onnxruntime session on the CPU.

    Args:
        model: a path, or the bytes of a file.
        threads: that share a call.
        level: one of LEVELS.
        spin: let waiting threads spin, which is faster unless processors are scarce.

    Raises:
        ToolError: onnxruntime is not installed.
        ArtifactError: onnxruntime refuses the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ToolError(
            "onnxruntime", "is not installed", "Run `pip install onnxruntime`"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    name = f"ORT_{level.upper()}_ALL" if level == "disable" else f"ORT_ENABLE_{level.upper()}"
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, name)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class but Exception
        raise ArtifactError(
            "The ONNX model", f"is refused by onnxruntime: {_first_line(error)}",
            "Compile it again with this version of intcc",
        ) from error  # fmt: skip


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def without_float_tail(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the integers behind its float outputs as outputs.

    before   ... -> y_integer -> Cast -> Mul -> y         y is an output
    after    ... -> y_integer                             y_integer is an output
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    types = {v.name: v for v in graph.value_info}
    produced = {name for node in graph.node for name in node.output}
    for index, output in enumerate(list(graph.output)):
        name = output.name + INTEGER_SUFFIX
        if name in produced and name in types:
            graph.output[index].CopyFrom(types[name])
    # Keep what the remaining outputs need, walking backwards.
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in reversed(kept)]
    constants = [i for i in graph.initializer if i.name in needed]
    constants = [onnx.TensorProto.FromString(i.SerializeToString()) for i in constants]
    for field, items in (("node", nodes), ("initializer", constants)):
        graph.ClearField(field)
        getattr(graph, field).extend(items)
    return result


class OrtModel:
    """Runs model.onnx; integers in, integers out, also where the model ends in floats."""

    def __init__(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        float_io: bool = False,
        threads: int = 1,
        level: str = "all",
        spin: bool = True,
    ) -> None:
        """Open a session; see `open_session`."""
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._fetch = [
            s.name + (INTEGER_SUFFIX if float_io and s.scale is not None else "") for s in outputs
        ]
        model: bytes | str = str(path)
        if float_io:
            model = without_float_tail(onnx.load(path)).SerializeToString()
        self.session = open_session(model, threads, level, spin=spin)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name."""
        results = self.session.run(self._fetch, dict(feeds))
        return {
            spec.name: np.asarray(array) for spec, array in zip(self.outputs, results, strict=True)
        }
