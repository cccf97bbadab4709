"""From a source model to the files of an artifact: the order in which `compile` does its work."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from intcc._version import __version__
from intcc.flavours import require_task, require_tools, write_flavours
from intcc.progress import Progress
from intcc.runtime.artifact import LAYOUT, MANIFEST, sha256_of
from intcc.settings import Settings
from intcc.specs import integer_feeds

if TYPE_CHECKING:
    from intcc.frontends.source import SourceModel
    from intcc.pipeline import CompiledGraph

__all__ = ["Built", "build_graph", "source_digest", "write_artifact"]

Array = npt.NDArray[Any]
#: Samples kept in the artifact for `verify`.
RECORDED = 8
#: The earliest time a zip entry can have; times never enter a file.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


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

    require_tools(settings)
    progress.stage("import")
    source = load_source(
        model,
        task=settings.task,
        max_length=settings.max_length,
        context=settings.context,
        rope=settings.rope,
        allow_pickle=settings.allow_pickle,
    )
    require_task(source.name, source.task, settings)
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


def write_artifact(built: Built, folder: Path, settings: Settings, progress: Progress) -> None:
    """Write all files of the artifact and check the budget.

    Raises:
        BudgetError: a figure is past its limit.
    """
    from intcc.report.collect import collect
    from intcc.report.html import render

    graph, source = built.graph, built.source
    onnx.save(_proto(graph.integer), str(folder / "integer.onnx"))
    recorded = built.samples[:: max(1, len(built.samples) // RECORDED)][:RECORDED]
    feeds = [integer_feeds(graph.inputs, s) for s in recorded]
    written = write_flavours(built, folder, settings, feeds, progress)
    for path in source.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    _save_npz(folder / "recorded.npz", feeds)
    progress.stage("report")
    report = {**collect(built, folder, written.c), **written.sections}
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
