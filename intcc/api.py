"""The Python API: what the command line does, for programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intcc.locate import remember
from intcc.model import CompiledModel
from intcc.progress import Progress
from intcc.runtime.artifact import Artifact, is_artifact
from intcc.settings import Settings
from intcc.staging import check_target, staged

if TYPE_CHECKING:
    from intcc.verification import Report

__all__ = ["compile", "load", "verify"]


def compile(
    model: str | Path, output: str | Path, *, progress: Progress | None = None, **settings: Any
) -> Artifact:
    """Compile a Hugging Face folder, a hub name or an .onnx file to integers.

    Args:
        model: the float model.
        output: folder to write; complete or not there at all.
        progress: receives the course of the work.
        settings: fields of `intcc.settings.Settings`.

    Returns:
        The artifact.

    Raises:
        IntccError: one of its children, with a message of subject, fact and remedy.
    """
    from intcc.backends.c.target import load_target
    from intcc.build import build_graph, write_artifact
    from intcc.host import NATIVE, native_target
    from intcc.runtime.compiler import find_compiler

    chosen = Settings.of(**settings)
    if chosen.target == NATIVE:
        chosen = replace(chosen, target=native_target(find_compiler()))
    load_target(chosen.target, threads=chosen.threads)
    target = Path(output)
    check_target(target, force=chosen.force, replaceable=is_artifact)
    progress = progress or Progress()
    built = build_graph(model, chosen, progress)
    with staged(target, force=chosen.force, replaceable=is_artifact) as folder:
        write_artifact(built, folder, chosen, progress)
    artifact = Artifact.open(target)
    remember(artifact.manifest["source"]["sha256"], model)
    return artifact


def load(folder: str | Path, backend: str = "onnx", **options: Any) -> CompiledModel:
    """Open an artifact as a callable.

    Args:
        folder: what `compile` wrote.
        backend: "onnx", "qlinear", "c" (built with the system compiler, cached), "reference", "npu"
            (the C around the parts of an NPU), "qdq" (other bits, see `intcc.runtime.qdq`), or
            "qemu:TARGET": the C on an emulated machine, see `intcc.emulation`.
        options: threads=, level= for onnx, qlinear and qdq; threads=, compiler=, flags=,
            large_pages= for c.

    Raises:
        ArtifactError: not an artifact, or one without this backend.
        SettingsError: no such backend or machine, or the machine is too small.
        ToolError: onnxruntime, a compiler or an emulator is missing.
    """
    return CompiledModel(Artifact.open(folder), backend, **options)


def verify(folder: str | Path, *, progress: Progress | None = None, **options: Any) -> Report:
    """Check an artifact: no float anywhere, ranges proved, all backends equal bit for bit.

    Args:
        folder: what `compile` wrote.
        progress: receives the course of the work.
        options: fields of `intcc.verification.Options`.

    Returns:
        A report; `.ok` tells whether every check passed.
    """
    from intcc.verification import verify_artifact

    return verify_artifact(Artifact.open(folder), progress or Progress(), **options)
