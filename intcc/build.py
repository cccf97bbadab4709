"""From a source model to the files of an artifact: the order in which `compile` does its work."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc._version import __version__
from intcc.errors import ModelError, SettingsError
from intcc.progress import Progress
from intcc.runtime.artifact import LAYOUT, MANIFEST, sha256_of
from intcc.settings import Settings
from intcc.specs import LOGITS, integer_feeds

if TYPE_CHECKING:
    from intcc.backends.c.emit import CReport
    from intcc.backends.c.generator import Generation
    from intcc.backends.npu.emit import NpuReport
    from intcc.frontends.source import SourceModel
    from intcc.pipeline import CompiledGraph

__all__ = ["Built", "build_graph", "source_digest", "write_artifact"]

Array = npt.NDArray[Any]
#: Samples kept in the artifact for `verify`.
RECORDED = 8
#: The earliest time a zip entry can have; times never enter a file.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
#: Backends that take no language model, each with the reason.
NO_LANGUAGE_MODELS = {
    "qdq": "QDQ has no form for keys and values that are kept, each with a scale of its own",
    "vela": "parts of an NPU keep no keys and values from call to call",
}


@dataclass(frozen=True)
class Built:
    """Everything known before the first file is written."""

    source: SourceModel
    samples: list[dict[str, Array]]
    graph: CompiledGraph
    calibration: dict[str, Any]


def build_graph(model: str | Path, settings: Settings, progress: Progress) -> Built:
    """Import, calibrate and compile, all in memory."""
    from intcc.frontends import load_source
    from intcc.frontends.calibration import load_samples
    from intcc.pipeline import compile_graph

    _require_tools(settings)
    progress.stage("import")
    source = load_source(
        model,
        task=settings.task,
        max_length=settings.max_length,
        context=settings.context,
        rope=settings.rope,
        allow_pickle=settings.allow_pickle,
    )
    _require_task(source.name, source.task, settings)
    for note in source.notes:
        progress.note(note)
    samples = load_samples(
        source, settings.calibration, settings.calibration_samples, settings.calibration_column
    )
    calibration: dict[str, Any] = {"samples": len(samples)}
    if settings.calibration is not None:
        calibration["sha256"] = sha256_of(settings.calibration)
    elif source.tokenizer is not None:
        calibration["text"] = "built-in"
        progress.note(
            f"Calibrated on {len(samples)} built-in English sentences; "
            "text of your own (--calibration) is usually more accurate"
        )
    else:
        calibration["text"] = "random inputs"
        progress.note("Calibrated on random inputs: give real ones with --calibration")
    graph = compile_graph(source, samples, settings, progress)
    return Built(source, samples, graph, calibration)


def _require_tools(settings: Settings) -> None:
    """Find the tools of the backends now, not after minutes of work.

    Raises:
        MissingToolError: one is not installed.
    """
    if {"tosa", "vela"} & set(settings.emit):
        from intcc.backends.tosa.serialize import require_serializer

        require_serializer()
    if "vela" in settings.emit:
        from intcc.backends.npu.vela import find_vela

        find_vela()


def _require_task(name: str, task: str, settings: Settings) -> None:
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


def write_artifact(built: Built, folder: Path, settings: Settings, progress: Progress) -> None:
    """Write all files of the artifact and check the budget.

    Raises:
        BudgetError: a figure is past its limit.
    """
    from intcc.report.collect import collect
    from intcc.report.html import render

    graph, source = built.graph, built.source
    onnx.save(_proto(graph.integer), str(folder / "integer.onnx"))
    if "onnx" in settings.emit:
        progress.stage("emit ONNX")
        _write_onnx(built, folder / "model.onnx", settings)
    recorded = built.samples[:: max(1, len(built.samples) // RECORDED)][:RECORDED]
    feeds = [integer_feeds(graph.inputs, s) for s in recorded]
    qlinear: dict[str, Any] | None = None
    if "qlinear" in settings.emit:
        progress.stage("emit QLinear ONNX")
        qlinear = _write_qlinear(built, folder / "model.qlinear.onnx", settings, feeds)
    if "qdq" in settings.emit:
        progress.stage("emit QDQ")
        _write_qdq(built, folder / "model.qdq.onnx", settings)
    c_report: CReport | None = None
    if "c" in settings.emit:
        progress.stage("emit C")
        c_report = _write_c(built, folder / "c", settings)
        for note in c_report.notes:
            progress.note(note)
    tosa: dict[str, Any] = {}
    if "tosa" in settings.emit:
        progress.stage("emit TOSA")
        tosa = _write_tosa(graph.integer, folder / "npu")
    npu: NpuReport | None = None
    if "vela" in settings.emit:
        progress.stage("emit NPU parts")
        npu = _write_npu(built, folder / "npu", settings)
    for path in source.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    _save_npz(folder / "recorded.npz", feeds)
    progress.stage("report")
    report = {**collect(built, folder, c_report, qlinear=qlinear, npu=npu), **tosa}
    settings.budget.check({**report["figures"], **_measured(folder / "c", settings)})
    _write_json(folder / "report.json", report)
    (folder / "report.html").write_text(render(report), encoding="utf-8")
    _write_json(folder / MANIFEST, _manifest(built, folder, settings))


def _measured(folder: Path, settings: Settings) -> dict[str, float | None]:
    """Return flash and stack of the target's objects where a limit asks for them.

    They depend on the compiler that is installed, so no file of the artifact has them.
    """
    from intcc.backends.c.target import load_target
    from intcc.objects import measure_if_possible

    budget = settings.budget
    if "c" not in settings.emit or (budget.flash is None and budget.stack is None):
        return {}
    footprint = measure_if_possible(folder, load_target(settings.target))
    if footprint is None:
        return {}
    return {"flash": footprint.flash_bytes, "stack": footprint.stack_bytes}


def source_digest(source: SourceModel) -> str:
    """Return one digest of the whole provenance of a source."""
    text = json.dumps(source.source, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _proto(model: ir.Model) -> onnx.ModelProto:
    """Serialize with the type and shape of every value, which later proofs read."""
    proto = ir.to_proto(model)
    assert isinstance(proto, onnx.ModelProto)
    # onnx_ir leaves out values that served as outputs for a while, to be measured.
    known = {info.name for info in (*proto.graph.value_info, *proto.graph.output)}
    for value in (v for node in model.graph for v in node.outputs if v.name not in known):
        ir.serde.serialize_value_into(proto.graph.value_info.add(), value)
    return proto


def _write_onnx(built: Built, path: Path, settings: Settings) -> None:
    from intcc.backends.onnx.float_tail import add_float_tail
    from intcc.backends.onnx.strict import emit

    model = emit(built.graph.integer, keep_functions=settings.keep_functions)
    if settings.float_io:
        add_float_tail(model, {s.name: s.scale for s in built.graph.outputs})
    onnx.save(model, str(path))


def _write_qlinear(
    built: Built, path: Path, settings: Settings, feeds: list[dict[str, Array]]
) -> dict[str, Any]:
    """Write the QLinear model and return its section of the report.

    Raises:
        ModelError: there is nothing in the model that operators of quantized numbers can say.
    """
    from intcc.backends.onnx.qlinear import emit
    from intcc.backends.onnx.strict import emit as emit_strict
    from intcc.report.qlinear import qlinear_report

    integer = built.graph.integer
    model, coverage = emit(integer)
    if not coverage.layers:
        raise ModelError(
            f"Model '{built.source.name}'",
            "has no layer with 8-bit results and scales fixed at compile time, which is what "
            "QLinear operators are",
            "Use --activations static" if settings.activations == "dynamic" else "Use --emit onnx",
        )
    onnx.save(model, str(path))
    return qlinear_report(coverage, emit_strict(integer), model, feeds)


def _write_qdq(built: Built, path: Path, settings: Settings) -> None:
    from intcc.backends.onnx.qdq import emit_qdq

    onnx.save(emit_qdq(built.graph.scaled, built.graph.integer, settings.scales), str(path))


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
    """Write the flatbuffer; return its entry of the report."""
    from intcc.backends.tosa.emit import tosa_graph
    from intcc.backends.tosa.extents import fixed_extents
    from intcc.backends.tosa.serialize import serialize
    from intcc.runtime.reference import evaluate_node

    extents = fixed_extents(model)
    graph = tosa_graph(model, extents, evaluate_node)
    folder.mkdir(exist_ok=True)
    (folder / "model.tosa").write_bytes(serialize(graph))
    counts = Counter(operation.kind for operation in graph.operations)
    return {"tosa": {"extents": extents, "operations": dict(sorted(counts.items()))}}


def _write_npu(built: Built, folder: Path, settings: Settings) -> NpuReport:
    """Write the parts of an NPU and the C around them."""
    from intcc.backends.c.emit import emit_c
    from intcc.backends.npu.accelerators import load_accelerator
    from intcc.backends.npu.emit import emit_parts
    from intcc.passes.prove_ranges import prove_ranges
    from intcc.runtime.reference import evaluate, evaluate_node

    integer = built.graph.integer
    report = emit_parts(
        integer,
        folder,
        load_accelerator(settings.accelerator),
        prove_ranges(integer),
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
    return report


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


def _manifest(built: Built, folder: Path, settings: Settings) -> dict[str, Any]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    manifest: dict[str, Any] = {
        "artifact": LAYOUT,
        "intcc": __version__,
        "name": built.source.name,
        "task": built.source.task,
        "max_length": built.source.max_length or None,
        "inputs": [s.to_json() for s in built.graph.inputs],
        "outputs": [s.to_json() for s in built.graph.outputs],
        **_text_tokens(built.source),
        "settings": settings.for_manifest(),
        "calibration": built.calibration,
        "source": {**built.source.source, "sha256": source_digest(built.source)},
        "files": {p.relative_to(folder).as_posix(): sha256_of(p) for p in files},
    }
    return manifest


def _text_tokens(source: SourceModel) -> dict[str, Any]:
    """Return the manifest's entries of a language model."""
    if source.task != "text-generation":
        return {}
    defaults = source.generation
    return {"bos_token": defaults.begin_token, "end_tokens": list(defaults.end_tokens)}


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=False) + "\n", encoding="utf-8")


def _save_npz(path: Path, samples: Sequence[Mapping[str, Array]]) -> None:
    """Write an .npz whose bytes depend on the arrays alone (numpy's own carries the time)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for index, sample in enumerate(samples):
            for name, array in sample.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
                entry = zipfile.ZipInfo(f"{index}/{name}.npy", ZIP_EPOCH)
                archive.writestr(entry, buffer.getvalue())
