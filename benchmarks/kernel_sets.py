"""The C of an artifact for every target that runs on this machine."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from workers import Contender

from intcc.backends.c.emit import emit_c
from intcc.backends.c.target import available, load_target
from intcc.roofline import supported
from intcc.runtime.artifact import Artifact, sha256_of
from intcc.runtime.compiler import DEFAULT_FLAGS
from intcc.runtime.native import NativeModel

#: What a target's kernels need beyond its processor's family; others need nothing.
NEEDS = {
    "x86-64-v3": "avx2", "x86-64-v4": "avx512-vnni", "x86-64-avxvnni": "avx-vnni",
    "aarch64": "dotprod",
}  # fmt: skip


def runnable(targets: Iterable[str], processor: str, sets: Iterable[str]) -> list[str]:
    """Return the targets whose code this machine can run.

    Args:
        targets: all there are.
        processor: as platform.machine() says.
        sets: names of the machine's instruction sets in intcc.roofline.
    """
    families = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}
    family, held = families.get(processor, "-"), set(sets)
    return [
        t
        for t in targets
        if t in ("generic", "native")
        or ((t == family or t.startswith(f"{family}-")) and NEEDS.get(t) in (None, *held))
    ]  # fmt: skip


def emitted(artifact: Artifact, target: str, folder: Path, chunk: int | None = None) -> Path:
    """Return a folder of C for a target, written where it is not there for these integers."""
    mark = folder / f"{target}.sha256"
    digest = sha256_of(artifact.integer_onnx)
    if not mark.exists() or mark.read_text(encoding="utf-8") != digest:
        emit_c(ir.load(artifact.integer_onnx), folder / target, target=target, chunk=chunk)
        mark.write_text(digest, encoding="utf-8")
    return folder / target


def contenders(
    artifact: Artifact, kind: str, folder: Path, threads: int, chunk: int | None = None
) -> list[Contender]:
    """Return the C of every target that runs here.

    Args:
        artifact: the compiled model.
        kind: class in engines/compiled.py.
        folder: where the C goes.
        threads: of each.
        chunk: most tokens of a decoder's call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [s.name for s in supported()]
    parallel = threads == 1 or "threads" in inspect.signature(NativeModel.__init__).parameters
    made = []
    for target in runnable(available(), platform.machine(), names):
        options: dict[str, Any] = {
            "artifact": str(artifact.folder),
            "folder": str(emitted(artifact, target, folder, chunk)),
            "flags": _flags(target),
            "threads": threads,
        }
        note = "" if parallel else "one thread only"
        made.append(Contender(f"**intcc, C {target}**", "compiled", kind, options, True, note))
    return made


def _flags(target: str) -> Sequence[str]:
    toolchain = load_target(target).toolchain
    return toolchain.flags if toolchain is not None else DEFAULT_FLAGS
