"""The C of an artifact for every target that runs on this machine."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import common
import onnx_ir as ir
from workers import Contender

from intcc.backends.c.emit import emit_c
from intcc.backends.c.target import available, load_target
from intcc.layer_times import PEAKS
from intcc.roofline import supported
from intcc.runtime.artifact import Artifact, sha256_of
from intcc.runtime.compiler import DEFAULT_FLAGS


def reasons(targets: Iterable[str], processor: str, sets: Iterable[str]) -> dict[str, str]:
    """Return the targets for this machine's family, with the reason why one cannot run on it.

    Args:
        targets: all there are.
        processor: as platform.machine() says.
        sets: names of the machine's instruction sets in intcc.roofline.
    """
    families = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}
    family, held = families.get(processor, "-"), set(sets)
    found = {}
    for target in targets:
        if target in ("generic", "native") or f"{target}-".startswith(f"{family}-"):
            needed = PEAKS.get(target)
            missing = needed is not None and needed not in held
            found[target] = f"no {needed} on this processor" if missing else ""
    return found


def emitted(artifact: Artifact, target: str, folder: Path, chunk: int | None = None) -> Path:
    """Return a folder of C for a target, written anew where integers or compiler have changed."""
    mark = folder / f"{target}.sha256"
    digest = sha256_of(artifact.integer_onnx) + _sources()
    if not mark.exists() or mark.read_text(encoding="utf-8") != digest:
        shutil.rmtree(folder / target, ignore_errors=True)
        emit_c(ir.load(artifact.integer_onnx), folder / target, target=target, chunk=chunk)
        mark.write_text(digest, encoding="utf-8")
    return folder / target


@cache
def _sources() -> str:
    """Return a digest of everything that writes C."""
    digest = hashlib.sha256()
    for place in ("backends", "templates"):
        for path in sorted((common.ROOT / place).rglob("*")):
            if path.suffix in (".py", ".toml", ".j2"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def contenders(
    artifact: Artifact,
    kind: str,
    folder: Path,
    threads: int,
    chunk: int | None = None,
    targets: Iterable[str] = (),
) -> list[Contender]:
    """Return the C of every target of this machine's family.

    Args:
        artifact: the compiled model.
        kind: class in engines/compiled.py.
        folder: where the C goes.
        threads: of each.
        chunk: most tokens of a decoder's call.
        targets: which of them; none: all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    sets = [s.name for s in supported()]
    for target, reason in reasons(targets or available(), platform.machine(), sets).items():
        written = load_target(target)
        tools = written.toolchain
        machine = "" if tools else ", -march=native"  # of DEFAULT_FLAGS: the compiler's choice
        name = f"**intcc, C {target}{machine}**"
        alone = threads > 1 and not written.threads
        note = reason or ("one thread only" if alone else "")
        options: dict[str, Any] = {}
        if not note:
            options = {
                "artifact": str(artifact.folder),
                "folder": str(emitted(artifact, target, folder, chunk)),
                "flags": tools.flags if tools else DEFAULT_FLAGS,
                "threads": threads,
            }
        made.append(Contender(name, "compiled", kind, options, ours=True, note=note))
    return made
