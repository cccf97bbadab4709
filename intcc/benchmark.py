"""Time an artifact and its float model in turn, so that both see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.evaluate import float_session
from intcc.frontends.source import ImageSpec
from intcc.host import c_contender
from intcc.locate import load_float_source
from intcc.model import open_runtime
from intcc.progress import Progress
from intcc.runtime.artifact import Artifact
from intcc.runtime.feeds import random_feeds

__all__ = ["Timing", "bench"]

Array = npt.NDArray[Any]
#: Runs before the clock counts.
WARM_UP = 3


@dataclass(frozen=True)
class Timing:
    """Times of one contender.

    Attributes:
        name: what ran.
        median_ms: median time of a run.
        best_ms: shortest.
        ratio: median divided by the float model's median.
    """

    name: str
    median_ms: float
    best_ms: float
    ratio: float


def bench(
    artifact: Artifact,
    *,
    length: int | None = None,
    batch: int = 1,
    threads: int = 1,
    repeat: int = 30,
    model: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Timing]:
    """Time the float model, the ONNX models and the C code, interleaved; float first.

    Args:
        artifact: the compiled model.
        length: tokens per row; None: the maximum.
        batch: rows.
        threads: of all contenders; C that was compiled without threads uses one.
        repeat: timed runs of each.
        model: the float source; None: where it was when it was compiled.
        progress: receives the course of the work.
    """
    progress = progress or Progress()
    progress.stage("import the float model")
    source = load_float_source(artifact, model)
    feeds = random_feeds(artifact.inputs, length or artifact.max_length or 1, batch)
    session = float_session(source, threads)
    floats = _float_inputs(session, feeds, source.image)
    contenders: dict[str, Callable[[], Any]] = {
        "float, onnxruntime": lambda: session.run(None, floats)
    }
    emitted = artifact.settings.get("emit", ())
    if "onnx" in emitted:
        strict = open_runtime(artifact, "onnx", threads=threads)
        contenders["integers, onnxruntime"] = lambda: strict.run(feeds)
    if "qlinear" in emitted:
        qlinear = open_runtime(artifact, "qlinear", threads=threads)
        contenders["integers, onnxruntime QLinear"] = lambda: qlinear.run(feeds)
    if "c" in emitted:
        name, options = c_contender(artifact, threads)
        native = open_runtime(artifact, "c", **options)
        contenders[name] = lambda: native.run(feeds)
    progress.stage("time", repeat + WARM_UP)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeat + WARM_UP):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - start))
        progress.advance()
    base = float(np.median(times["float, onnxruntime"]))
    return [
        Timing(name, float(np.median(t)), min(t), float(np.median(t)) / base)
        for name, t in times.items()
    ]


def _float_inputs(
    session: Any, feeds: Mapping[str, Array], image: ImageSpec | None
) -> dict[str, Array]:
    """Give the float model the same work."""
    floats: dict[str, Array] = {}
    for wanted in session.get_inputs():
        array = feeds[wanted.name]
        if wanted.type == "tensor(float)":
            array = image.normalize(array) if image is not None else array.astype(np.float32)
        floats[wanted.name] = array
    return floats
