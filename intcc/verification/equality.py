"""Bit equality of all backends, on the same inputs."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.onnx.qlinear import cover
from intcc.errors import ArtifactError, ToolError
from intcc.model import Runtime, open_runtime
from intcc.runtime.artifact import Artifact
from intcc.runtime.compiler import find_compiler
from intcc.runtime.native import shares_runs
from intcc.runtime.ort import LEVELS
from intcc.runtime.reference import load_graph
from intcc.specs import TOTAL
from intcc.verification.inputs import valid_positions
from intcc.verification.texts import TextRuntime

__all__ = ["Difference", "Variant", "compare", "open_way", "system_compiler", "variants"]

Array = npt.NDArray[Any]
Inputs = Sequence[dict[str, Array]]


@dataclass(frozen=True)
class Variant:
    """One way to run the model.

    Attributes:
        name: for the table.
        open: builds the runtime.
        share: part of the inputs to run; slow variants see fewer.
        exact: whether it is proved to give the same bits as all others.
    """

    name: str
    open: Callable[[], Runtime]
    share: float = 1.0
    exact: bool = True


@dataclass(frozen=True)
class Difference:
    """How two variants compare.

    Attributes:
        inputs: number of inputs compared.
        values: number of integers compared.
        differing: how many of them differ.
        first: where the first difference was seen; empty if there is none.
    """

    inputs: int
    values: int
    differing: int
    first: str = ""


def system_compiler() -> str:
    """Return the name of the compiler that $CC or the system offers; "cc" where there is none."""
    try:
        return Path(find_compiler()).name
    except ToolError:
        return "cc"


def other_compilers(own: str) -> list[str]:
    """Return the names of further compilers; two names of one program count once."""

    def real(name: str) -> str | None:
        path = shutil.which(name)
        return os.path.realpath(path) if path else None

    seen, found = {real(own), None}, []
    for name in ("gcc", "clang", "clang-19"):
        if real(name) not in seen:
            seen.add(real(name))
            found.append(name)
    return found


def open_way(artifact: Artifact, backend: str, **options: Any) -> Runtime:
    """Open a backend for what `inputs_of` gives: a decoder is called with whole texts."""
    runtime = open_runtime(artifact, backend, **options)
    return TextRuntime(artifact, runtime) if artifact.decodes else runtime


def variants(artifact: Artifact) -> list[Variant]:
    """List every way to run the artifact's backends on this machine; the yardstick comes first.

    That of a decoder takes every text in with one call, all others take it in pieces. Threads of
    onnxruntime sleep where they wait: on a busy machine, spinning ones wait for each other.
    """

    def ort(threads: int, level: str) -> Callable[[], Runtime]:
        return lambda: open_way(artifact, "onnx", threads=threads, level=level, spin=False)

    def c(compiler: str, flags: tuple[str, ...], threads: int = 1) -> Callable[[], Runtime]:
        return lambda: open_way(artifact, "c", compiler=compiler, flags=flags, threads=threads)

    found = []
    emitted = artifact.settings.get("emit", ())
    if artifact.decodes and "onnx" in emitted:
        found.append(
            Variant(
                "onnxruntime, whole texts",
                lambda: TextRuntime(artifact, open_runtime(artifact, "onnx"), whole=True),
            )
        )
    if "onnx" in emitted:
        for threads, level in itertools.product((1, 2), reversed(LEVELS)):
            title = f"onnxruntime, {threads} thread{'s' * (threads > 1)}, {level} optimisation"
            # Without fusion every node runs by itself, so this one is several times slower.
            found.append(Variant(title, ort(threads, level), 0.25 if level != "all" else 1.0))
    if "c" in emitted:
        own = system_compiler()
        fast = ("-O3", "-march=native")
        found.append(Variant(f"C, {own} -O3 -march=native", c(own, fast)))
        found.append(Variant(f"C, {own} -O2", c(own, ("-O2",)), 0.25))
        found.append(Variant(f"C, {own} -O0", c(own, ("-O0",)), 0.1))
        for threads in (2, 3) if shares_runs(artifact.c_folder) else ():
            found.append(Variant(f"C, {threads} threads", c(own, fast, threads)))
        for other in other_compilers(own):
            found.append(Variant(f"C, {other} -O2", c(other, ("-O2",)), 0.25))
    if "qlinear" in emitted:
        found.extend(_qlinear_variants(artifact))
    if "vela" in emitted:
        title = "C, NPU parts on the TOSA reference model"
        found.append(Variant(title, lambda: open_way(artifact, "npu"), 0.25))
    return found


def _qlinear_variants(artifact: Artifact) -> list[Variant]:
    try:
        proved = cover(load_graph(artifact.integer_onnx))[1].proved
    except ArtifactError:  # the checks that read the graph tell of it
        proved = True

    def ort(threads: int, level: str) -> Callable[[], Runtime]:
        return lambda: open_way(artifact, "qlinear", threads=threads, level=level, spin=False)

    return [
        Variant(
            f"QLinear, {threads} thread{'s' * (threads > 1)}, {level} optimisation",
            ort(threads, level),
            share,
            proved,
        )
        for threads, level, share in ((1, "all", 1.0), (2, "all", 0.25), (1, "disable", 0.25))
    ]


def compare(
    artifact: Artifact, inputs: Inputs, expected: Sequence[dict[str, Array]], runtime: Runtime
) -> Difference:
    """Run `runtime` on `inputs` and count the integers that differ from `expected`.

    Caches are compared where a backend shows them.
    """
    values = differing = 0
    first = ""
    for index, (feeds, wanted) in enumerate(zip(inputs, expected, strict=True)):
        got = runtime.run(feeds)
        mask = feeds.get("attention_mask")
        for spec in artifact.outputs:
            if TOTAL in spec.shape and not (spec.name in wanted and spec.name in got):
                continue
            a = valid_positions(spec, wanted[spec.name], mask)
            b = valid_positions(spec, got[spec.name], mask)
            wrong = a.size if a.shape != b.shape else int(np.count_nonzero(a != b))
            values += a.size
            differing += wrong
            if wrong and not first:
                shape = "x".join(map(str, wanted[spec.name].shape))
                first = f"input {index}, output '{spec.name}' of {shape}"
    return Difference(len(inputs), values, differing, first)
