"""Time each layer of an artifact's C on this machine, and set it against the machine's limits.

    of peak   multiply-accumulates / (time * peak)            what the processor could have done
    of read   bytes of weights / (time * read)                what the memory could have brought

A layer is as fast as it can be where one of the two is near one; a share of reading above one is of
weights that a cache holds. The hook NAME_LAYER reads a clock; other code is as in the product.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.c.render import render
from intcc.errors import ArtifactError
from intcc.generation import StateSession
from intcc.host import flags_of
from intcc.layers import LayerWork, layer_work
from intcc.progress import Progress
from intcc.roofline import Limits, measure
from intcc.runtime.artifact import Artifact
from intcc.runtime.c_model import find_header
from intcc.runtime.compiler import DEFAULT_FLAGS
from intcc.runtime.feeds import random_feeds, random_prompt
from intcc.runtime.native import NativeModel

__all__ = ["PEAKS", "LayerTime", "PhaseTimes", "TimedModel", "bench_layers", "peak_name"]

Array = npt.NDArray[Any]
#: Tokens of a call, and tokens before it.
Span = tuple[int, int]
#: Runs before the clock counts.
WARM_UP = 2
#: Tokens of a prompt where nobody says.
PROMPT = 128
#: What a target's kernels multiply with; others take the best that the machine has.
PEAKS = {
    "x86-64-v3": "avx2", "x86-64-v4": "avx512-vnni", "x86-64-avxvnni": "avx-vnni",
    "aarch64": "dotprod", "aarch64-i8mm": "i8mm",
}  # fmt: skip
#: What comes before the first layer.
CHECKS = "(checks)"


@dataclass(frozen=True)
class LayerTime:
    """One layer.

    Attributes:
        name: its banner in the C.
        ms: median time.
        share: of the time of all layers.
        macs: multiply-accumulates.
        weight_bytes: constants that its products read.
        of_peak: share of the multiply-accumulates that were possible; None without a peak.
        of_read: share of the bytes that could have been read.
    """

    name: str
    ms: float
    share: float
    macs: int
    weight_bytes: int
    of_peak: float | None
    of_read: float


@dataclass(frozen=True)
class PhaseTimes:
    """The layers of some calls together.

    Attributes:
        phase: what the calls did.
        calls: how many.
        tokens: of all of them.
        total: all layers as one.
        layers: in the order of execution.
    """

    phase: str
    calls: int
    tokens: int
    total: LayerTime
    layers: tuple[LayerTime, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


class TimedModel(NativeModel):
    """An artifact's C with a clock in its hooks.

    Attributes:
        times: nanoseconds of each call so far: before the first layer, then of each layer.
        spans: token counts of these calls, and of the tokens before them.
    """

    def __init__(
        self, artifact: Artifact, layers: int, flags: Sequence[str] = DEFAULT_FLAGS
    ) -> None:
        """Build with the clock.

        Args:
            artifact: the compiled model.
            layers: how many it has.
            flags: compiler flags beside the strict warnings.

        Raises:
            ToolError: no compiler, or it fails.
            ArtifactError: the artifact has no C.
        """
        name = find_header(artifact.c_folder).stem.upper()
        self.times: list[Array] = []
        self.spans: list[Span] = []
        self._layers = layers
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for file in ("clock.h", "clock.c"):
                text = render(file, {"layers": layers}, "roofline")
                (folder / file).write_text(text, encoding="utf-8")
            super().__init__(
                artifact.c_folder,
                artifact.manifest,
                flags=(*flags, "-D_POSIX_C_SOURCE=200809L", f"-D{name}_LAYER=layer_clock"),
                beside=[folder / "clock.h", folder / "clock.c"],
            )

    def call(
        self,
        held: Sequence[Array],
        made: Sequence[Array],
        tokens: int,
        state: Array,
        position: int,
    ) -> int:
        """Call the run function once and note its times; see the base class."""
        times = np.zeros(self._layers + 1, np.uint64)
        self._library["layer_clock_begin"]()
        status = super().call(held, made, tokens, state, position)
        self._library["layer_clock_end"](times.ctypes.data_as(ctypes.c_void_p))
        self.times.append(times)
        self.spans.append((tokens, position))
        return status

    def taken(self) -> tuple[Array, list[Span]]:
        """Return the times of all calls since the last time together, and their spans."""
        times, spans = np.sum(self.times, 0), self.spans
        self.times, self.spans = [], []
        return times, spans


def peak_name(target: str, peaks: Mapping[str, float]) -> str | None:
    """Return the instruction set whose peak the kernels of a target can reach on this machine.

    Args:
        target: name of a target.
        peaks: of this machine, by instruction set.
    """
    wanted = PEAKS.get(target)
    return wanted if wanted in peaks else max(peaks, key=peaks.__getitem__, default=None)


def bench_layers(
    artifact: Artifact,
    *,
    length: int | None = None,
    repeat: int = 30,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> list[PhaseTimes]:
    """Time the layers of one call, or of a prompt and of the token after it.

    Args:
        artifact: the compiled model, with C.
        length: tokens; None: the most, or for prompts 128 or half of a shorter context.
        repeat: timed runs.
        limits: of one thread of this machine; measured if not given.
        progress: receives the course of the work.

    Raises:
        ArtifactError: the artifact has no C.
        DataError: the model does not take as many tokens.
        ToolError: no compiler, or it fails.
    """
    progress = progress or Progress()
    if "c" not in artifact.settings.get("emit", ()):
        raise ArtifactError(
            f"Artifact '{artifact.folder}'", "has no C, whose layers could be timed",
            "Compile with --emit c",
        )  # fmt: skip
    progress.stage("build with a clock")
    work = layer_work(artifact)
    model = TimedModel(artifact, len(work), flags_of(artifact))
    progress.stage("measure the machine")
    limits = limits or measure().limits[1]
    progress.stage("time", repeat + WARM_UP)
    phases = _phases(artifact, model, length)
    rounds: dict[str, list[tuple[Array, list[Span]]]] = {}
    for turn in range(repeat + WARM_UP):
        for name, run in phases().items():
            run()
            taken = model.taken()
            if turn >= WARM_UP:
                rounds.setdefault(name, []).append(taken)
        progress.advance()
    target = artifact.settings.get("target", "generic")
    return [
        phase_times(
            name,
            work,
            (np.median([times for times, _ in taken], 0) / 1e9).tolist(),
            taken[0][1],
            limits.peak.get(peak_name(target, limits.peak) or ""),
            limits.read,
        )
        for name, taken in rounds.items()
    ]


def phase_times(
    phase: str,
    work: Sequence[LayerWork],
    seconds: Sequence[float],
    spans: Sequence[Span],
    peak: float | None,
    read: float,
) -> PhaseTimes:
    """Set times against limits.

    Args:
        phase: what the calls did.
        work: of each layer.
        seconds: before the first layer, then of each layer, in all calls together.
        spans: token counts of the calls, and of the tokens before them.
        peak: multiply-accumulates a second; None where it is not known.
        read: bytes a second.
    """
    total = float(sum(seconds))

    def layer(name: str, spent: float, macs: int, weights: int) -> LayerTime:
        spent = max(spent, 1e-9)  # one tick
        of_peak = None if peak is None else macs / spent / peak
        return LayerTime(
            name, 1e3 * spent, spent / max(total, 1e-9), macs, weights, of_peak,
            weights / spent / read,
        )  # fmt: skip

    layers = [layer(CHECKS, float(seconds[0]), 0, 0)]
    for item, spent in zip(work, seconds[1:], strict=True):
        macs = sum(item.macs(*span) for span in spans)
        layers.append(layer(item.name, float(spent), macs, item.weight_bytes * len(spans)))
    whole = layer(
        "total", total, sum(x.macs for x in layers), sum(x.weight_bytes for x in layers)
    )  # fmt: skip
    return PhaseTimes(phase, len(spans), sum(n for n, _ in spans), whole, tuple(layers))


def _phases(
    artifact: Artifact, model: NativeModel, length: int | None
) -> Callable[[], dict[str, Callable[[], Any]]]:
    """Return what begins a round: the parts of the work by name, in order."""
    if not artifact.decodes:
        feeds = random_feeds(artifact.inputs, length or artifact.max_length or 1)
        return lambda: {"run": partial(model.run, feeds)}
    tokens = random_prompt(artifact.inputs, artifact.max_length or 1, length, PROMPT)

    def begin() -> dict[str, Callable[[], Any]]:
        text = StateSession(model)
        return {
            "prompt": partial(text.feed, tokens[:-1]),
            "next token": partial(text.feed, tokens[-1:]),
        }

    return begin
