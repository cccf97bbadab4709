"""Time a language model in integers and in floats, in turn: prompts, and single tokens after them.

    prefill   one call with the tokens of a prompt
    decode    one token after another behind the prompt; the time of one

Floats run in onnxruntime as a graph with a cache (`float_step`), and in transformers' own
`generate` where torch is installed and the source is a folder; ours in onnxruntime and in C.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from intcc.float_step import FloatSession, open_float_step
from intcc.frontends.ternary import TERNARY
from intcc.host import c_contender
from intcc.locate import load_float_source, source_place
from intcc.model import CompiledModel
from intcc.passes.canonicalize import canonicalize
from intcc.progress import Progress
from intcc.runtime.artifact import Artifact
from intcc.runtime.feeds import random_prompt

__all__ = ["DECODE", "PREFILL", "DecoderTiming", "bench_decoder"]

PREFILL, DECODE = "prefill", "decode"
#: Turns before the clock counts.
WARM_UP = 2
#: Prompt where nobody says: short enough for every context.
PROMPT = 128
FLOAT = "float, onnxruntime with a cache"

#: A prompt and the tokens after it to the seconds of the prompt, and of one token.
Contender = Callable[[Sequence[int], Sequence[int]], tuple[float, float]]


class _Text(Protocol):
    def feed(self, tokens: Sequence[int]) -> Any: ...


@dataclass(frozen=True)
class DecoderTiming:
    """Times of one contender in one phase.

    Attributes:
        phase: PREFILL or DECODE.
        name: what ran.
        median_ms: median time, of a prompt or of one token.
        best_ms: shortest.
        ratio: median divided by that of the float model in onnxruntime.
        tokens_per_second: at the median.
    """

    phase: str
    name: str
    median_ms: float
    best_ms: float
    ratio: float
    tokens_per_second: float


def bench_decoder(
    artifact: Artifact,
    *,
    length: int | None = None,
    steps: int = 32,
    threads: int = 1,
    repeat: int = 10,
    model: str | Path | None = None,
    progress: Progress | None = None,
) -> list[DecoderTiming]:
    """Time all contenders, interleaved; the float model in onnxruntime first.

    Args:
        artifact: a compiled language model.
        length: tokens of the prompt; None: 128, or half of a shorter context.
        steps: tokens after it.
        threads: of all contenders; C that was compiled without threads uses one.
        repeat: timed turns.
        model: the float source; None: where it was when it was compiled.
        progress: receives the course of the work.

    Raises:
        DataError: prompt and steps do not fit the context.
        ModelError: the source is not known.
    """
    progress = progress or Progress()
    tokens = random_prompt(artifact.inputs, artifact.max_length or 1, length, PROMPT, steps)
    length = len(tokens) - steps
    progress.stage("import the float model")
    contenders = _contenders(artifact, threads, model)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    progress.stage("time", repeat + WARM_UP)
    for turn in range(repeat + WARM_UP):
        for name, contender in contenders.items():
            seconds = contender(tokens[:length], tokens[length:])
            if turn >= WARM_UP:
                times[name].append(seconds)
        progress.advance()
    return [
        timing
        for index, (phase, count) in enumerate(((PREFILL, length), (DECODE, 1)))
        for timing in _timings(phase, count, {n: [t[index] for t in ts] for n, ts in times.items()})
    ]


def _timings(phase: str, count: int, times: dict[str, list[float]]) -> list[DecoderTiming]:
    base = float(np.median(times[FLOAT]))
    return [
        DecoderTiming(
            phase,
            name,
            1000 * float(np.median(seconds)),
            1000 * min(seconds),
            float(np.median(seconds)) / base,
            count / float(np.median(seconds)),
        )
        for name, seconds in times.items()
    ]


def _contenders(artifact: Artifact, threads: int, model: str | Path | None) -> dict[str, Contender]:
    source = load_float_source(artifact, model)
    ternary = TERNARY in source.model.metadata_props
    session, names = open_float_step(canonicalize(source.model), threads)
    found = {FLOAT: _stepping(lambda: FloatSession(session, names))}
    place = Path(source_place(artifact, model))
    if place.is_dir() and not ternary:  # ternary checkpoints are packed in ways of their own
        found["float, transformers generate"] = _transformers(place, threads)
    emitted = artifact.settings.get("emit", ())
    if "onnx" in emitted:
        strict = CompiledModel(artifact, "onnx", threads=threads)
        found["integers, onnxruntime"] = _stepping(strict.session)
    if "qlinear" in emitted:
        qlinear = CompiledModel(artifact, "qlinear", threads=threads)
        found["integers, onnxruntime QLinear"] = _stepping(qlinear.session)
    if "c" in emitted:
        name, options = c_contender(artifact, threads)
        native = CompiledModel(artifact, "c", **options)
        found[name] = _stepping(native.session)
    return found


def _stepping(begin: Callable[[], _Text]) -> Contender:
    """Time sessions: the prompt in one call, then one call a token."""

    def run(prompt: Sequence[int], after: Sequence[int]) -> tuple[float, float]:
        text = begin()
        start = time.perf_counter()
        text.feed(prompt)
        middle = time.perf_counter()
        for token in after:
            text.feed([token])
        return middle - start, (time.perf_counter() - middle) / len(after)

    return run


def _transformers(folder: Path, threads: int) -> Contender:
    """Time greedy `generate` of a float32 checkpoint; its first token counts as the prompt's."""
    import torch
    import transformers

    from intcc.frontends.tracing import quiet

    torch.set_num_threads(threads)
    with quiet():
        network = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        ).eval()

    def run(prompt: Sequence[int], after: Sequence[int]) -> tuple[float, float]:
        ids, clock, count = torch.tensor([list(prompt)]), _Clock(), 1 + len(after)
        start = time.perf_counter()
        with torch.inference_mode():
            network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
                pad_token_id=0,
                streamer=clock,
            )
        _, first, *_, last = clock.times
        return first - start, (last - first) / len(after)

    return run


class _Clock:
    """A streamer of `generate`: when the prompt was taken in, and when each token was there."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: object) -> None:
        """Take the prompt or a token."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Take the end of a text."""
