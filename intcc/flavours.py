"""Flavours: what each backend writes into an artifact, and what the report tells of it.

onnx      model.onnx              c       c/
qlinear   model.qlinear.onnx      tosa    npu/model.tosa
qdq       model.qdq.onnx          vela    npu/, and the C around the parts in npu/c/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc.errors import ModelError, SettingsError
from intcc.progress import Progress
from intcc.settings import Settings
from intcc.specs import LOGITS

if TYPE_CHECKING:
    from intcc.backends.c.emit import CReport
    from intcc.backends.c.generator import Generation
    from intcc.build import Built

__all__ = ["Written", "qdq_model", "require_task", "require_tools", "write_flavours"]

Feeds = Sequence[Mapping[str, npt.NDArray[Any]]]
#: Backends that take no language model, each with the reason.
NO_LANGUAGE_MODELS = {
    "qdq": "QDQ has no form for keys and values that are kept, each with a scale of its own",
    "vela": "parts of an NPU keep no keys and values from call to call",
}


@dataclass(frozen=True)
class Written:
    """What is known once the flavours are written.

    Attributes:
        sections: of the report, by flavour.
        c: what the C backend planned; None where it was not asked for.
    """

    sections: Mapping[str, Any]
    c: CReport | None


def require_tools(settings: Settings) -> None:
    """Find the tools of the backends before the work begins, which takes minutes.

    Raises:
        MissingToolError: one is not installed.
    """
    if {"tosa", "vela"} & set(settings.emit):
        from intcc.backends.tosa.serialize import require_serializer

        require_serializer()
    if "vela" in settings.emit:
        from intcc.backends.npu.vela import find_vela

        find_vela()


def require_task(name: str, task: str, settings: Settings) -> None:
    """Refuse what a language model has no form for, before calibration.

    Raises:
        SettingsError: a backend does not take it.
    """
    if task != "text-generation":
        return
    for backend in settings.emit:
        reason, remedy = NO_LANGUAGE_MODELS.get(backend), "Use --emit onnx, c or tosa"
        if backend == "qlinear" and settings.per_token(decoder=True):
            reason = "QLinear operators have no scales per token"
            remedy += ", or --activations static where layers end in 8 bits, as before a Relu"
        if reason is not None:
            raise SettingsError(
                f"--emit {backend}", f"does not take the language model '{name}': {reason}", remedy
            )


def write_flavours(
    built: Built, folder: Path, settings: Settings, feeds: Feeds, progress: Progress
) -> Written:
    """Write every flavour that was asked for.

    Args:
        built: what was compiled.
        folder: of the artifact.
        settings: which flavours, and how.
        feeds: integer inputs on which flavours are compared.
        progress: told of each flavour.

    Raises:
        IntccError: a flavour cannot say what the model computes.
    """
    sections: dict[str, Any] = {}
    c_report: CReport | None = None
    if "onnx" in settings.emit:
        progress.stage("emit ONNX")
        _write_onnx(built, folder / "model.onnx", settings)
    if "qlinear" in settings.emit:
        progress.stage("emit QLinear ONNX")
        path = folder / "model.qlinear.onnx"
        sections["qlinear"] = _write_qlinear(built, path, settings, feeds)
    if "qdq" in settings.emit:
        progress.stage("emit QDQ")
        sections["qdq"] = _write_qdq(built, folder / "model.qdq.onnx", settings)
    if "c" in settings.emit:
        progress.stage("emit C")
        c_report = _write_c(built, folder / "c", settings)
        for note in c_report.notes:
            progress.note(note)
    if "tosa" in settings.emit:
        progress.stage("emit TOSA")
        sections["tosa"] = _write_tosa(built.graph.integer, folder / "npu")
    if "vela" in settings.emit:
        progress.stage("emit NPU parts")
        sections["npu"] = _write_npu(built, folder / "npu", settings)
    return Written(sections, c_report)


def _write_onnx(built: Built, path: Path, settings: Settings) -> None:
    from intcc.backends.onnx.float_tail import add_float_tail
    from intcc.backends.onnx.strict import emit

    graph = built.graph
    model = emit(graph.integer, graph.intervals, keep_functions=settings.keep_functions)
    if settings.float_io:
        add_float_tail(model, {s.name: s.scale for s in built.graph.outputs})
    onnx.save(model, str(path))


def _write_qlinear(built: Built, path: Path, settings: Settings, feeds: Feeds) -> dict[str, Any]:
    """Write the QLinear model and return its section of the report.

    Raises:
        ModelError: there is nothing in the model that operators of quantized numbers can say.
    """
    from intcc.backends.onnx.qlinear import emit
    from intcc.backends.onnx.strict import emit as emit_strict
    from intcc.report.qlinear import qlinear_report

    integer = built.graph.integer
    model, coverage = emit(integer, built.graph.intervals)
    if not coverage.layers:
        raise ModelError(
            f"Model '{built.source.name}'",
            "has no layer with 8-bit results and scales fixed at compile time, which is what "
            "QLinear operators are",
            "Use --activations static" if settings.activations == "dynamic" else "Use --emit onnx",
        )
    onnx.save(model, str(path))
    return qlinear_report(coverage, emit_strict(integer), model, feeds)


def _write_qdq(built: Built, path: Path, settings: Settings) -> dict[str, Any]:
    """Write the QDQ model; return its section of the report."""
    from intcc.report.qdq import qdq_report

    model = qdq_model(built, settings)
    onnx.save(model, str(path))
    return qdq_report(model)


def qdq_model(built: Built, settings: Settings) -> onnx.ModelProto:
    """Return the QDQ model; ranges of int16 are those of the samples of the calibration."""
    from intcc.backends.onnx.qdq import emit_qdq
    from intcc.reach import reach_of

    return emit_qdq(
        built.graph.scaled,
        built.graph.integer,
        settings.scales,
        settings.int16,
        lambda model: reach_of(model, built.samples, built.source.max_length),
    )


def _write_c(built: Built, folder: Path, settings: Settings) -> CReport:
    from intcc.backends.c.emit import emit_c
    from intcc.runtime.reference import evaluate

    return emit_c(
        built.graph.integer,
        folder,
        target=settings.target,
        ternary=None if settings.ternary == "auto" else settings.ternary,
        threads=settings.threads,
        weights=None if settings.weights == "auto" else settings.weights,
        chunk=settings.chunk,
        offload=settings.offload,
        generation=_generation(built),
        evaluate=evaluate,
    )


def _write_tosa(model: ir.Model, folder: Path) -> dict[str, Any]:
    """Write the flatbuffer; return its section of the report."""
    from intcc.backends.tosa.emit import tosa_graph
    from intcc.backends.tosa.extents import fixed_extents
    from intcc.backends.tosa.serialize import serialize
    from intcc.runtime.reference import evaluate_node

    extents = fixed_extents(model)
    graph = tosa_graph(model, extents, evaluate_node)
    folder.mkdir(exist_ok=True)
    (folder / "model.tosa").write_bytes(serialize(graph))
    counts = Counter(operation.kind for operation in graph.operations)
    return {"extents": extents, "operations": dict(sorted(counts.items()))}


def _write_npu(built: Built, folder: Path, settings: Settings) -> dict[str, Any]:
    """Write the parts of an NPU and the C around them; return their section of the report."""
    from intcc.backends.c.emit import emit_c
    from intcc.backends.npu.accelerators import load_accelerator
    from intcc.backends.npu.emit import emit_parts
    from intcc.runtime.reference import evaluate, evaluate_node

    integer = built.graph.integer
    report = emit_parts(
        integer,
        folder,
        load_accelerator(settings.accelerator),
        built.graph.intervals,
        evaluate_node,
    )
    emit_c(
        integer,
        folder / "c",
        target=settings.target,
        weights=None if settings.weights == "auto" else settings.weights,
        offload=settings.offload,
        parts=report.partition.parts,
        evaluate=evaluate,
    )
    return report.to_json()


def _generation(built: Built) -> Generation | None:
    """Return how a language model's C continues texts; None for other models."""
    from intcc.backends.c.generator import GREEDY, Generation
    from intcc.sampling import SamplerConfig

    source, defaults = built.source, built.source.generation
    scale = next((s.scale for s in built.graph.outputs if s.name == LOGITS), None)
    if source.task != "text-generation" or scale is None:
        return None
    chosen = SamplerConfig.create(scale, defaults.temperature, defaults.top_k, defaults.top_p)
    files = {p.name: p for p in source.tokenizer_files}
    return Generation(
        {"greedy": GREEDY, "default": chosen},
        files.get("tokenizer.json"),
        defaults.end_tokens,
        defaults.begin_token,
    )
