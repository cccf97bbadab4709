"""Count the instructions of an artifact's C on an emulated machine, and judge its results.

Every result is compared with what onnxruntime, or the reference where no ONNX was emitted, computes
from the same integers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.emulation.counter import added
from intcc.emulation.machine import machine
from intcc.emulation.model import Call, EmulatedModel
from intcc.errors import EqualityError
from intcc.generation import LOGITS, Session
from intcc.layers import layer_work
from intcc.model import CompiledModel
from intcc.progress import Progress
from intcc.runtime.artifact import Artifact
from intcc.runtime.feeds import random_feeds, random_prompt

__all__ = ["Emulated", "LayerCount", "Tally", "bench_instructions", "require_equal", "tally"]

Array = npt.NDArray[Any]
#: Tokens of a prompt where nobody says.
PROMPT = 64


@dataclass(frozen=True)
class LayerCount:
    """One layer: its banner in the C, its instructions, its multiply-accumulates."""

    name: str
    instructions: int
    macs: int


@dataclass(frozen=True)
class Tally:
    """What some calls took together.

    Attributes:
        phase: what they did.
        calls: how many.
        tokens: of all of them.
        position: number of tokens before the first one.
        instructions: of all of them, in the run function and what it calls.
        macs: multiply-accumulates.
        stack_bytes: most stack; 0 where it is not measured.
        layers: in the order of execution.
        functions: instructions by function, the largest first.
    """

    phase: str
    calls: int
    tokens: int
    position: int
    instructions: int
    macs: int
    stack_bytes: int
    layers: tuple[LayerCount, ...]
    functions: Mapping[str, int]

    @property
    def per_mac(self) -> float:
        """Instructions for each multiply-accumulate."""
        return self.instructions / max(self.macs, 1)


class Emulated(CompiledModel):
    """An artifact's C on an emulated machine; texts are checked token by token."""

    def __init__(self, artifact: Artifact, on: str) -> None:
        """Build for the machine.

        Args:
            artifact: the compiled model.
            on: the machine, for instance qemu:cortex-m4.

        Raises:
            SettingsError: no such machine, or one that is too small.
            ToolError: a tool is missing.
            ArtifactError: the artifact has no C.
        """
        machine(on)
        super().__init__(artifact, on)
        onnx = "onnx" in artifact.settings.get("emit", ())
        self.judge = CompiledModel(artifact, "onnx" if onnx else "reference")

    @property
    def calls(self) -> list[Call]:
        """What each call so far took."""
        assert isinstance(self._runtime, EmulatedModel)
        return self._runtime.calls

    def session(self) -> Session:
        """Begin a text; every logit is compared.

        Raises:
            ModelError: the model is no decoder.
        """
        return _JudgedSession(self.backend, super().session(), self.judge.session())

    def judged(
        self, feeds: Sequence[Mapping[str, Array]], results: Sequence[Mapping[str, Array]]
    ) -> Tally:
        """Compare results of calls with those of this machine; return what they took.

        Raises:
            EqualityError: a value differs.
        """
        made = tally(self.artifact, "run", self.calls)
        for sample, result in zip(feeds, results, strict=True):
            require_equal(self.backend, result, self.judge(sample))
            if (
                self.generates and len(sample["input_ids"]) == 1
            ):  # the same prompt in as few calls as the machine takes
                self.session().feed(sample["input_ids"].reshape(-1).tolist())
        return made


class _JudgedSession:
    """A text on two backends at once."""

    def __init__(self, on: str, text: Session, expected: Session) -> None:
        self._on, self._text, self._expected = on, text, expected

    @property
    def position(self) -> int:
        """Number of tokens taken in."""
        return self._text.position

    @property
    def context(self) -> int:
        """Largest number of tokens."""
        return self._text.context

    def feed(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after the last one.

        Raises:
            EqualityError: the backends differ.
        """
        made = self._text.feed(tokens)
        require_equal(self._on, {LOGITS: made}, {LOGITS: self._expected.feed(tokens)})
        return made


def require_equal(on: str, made: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Check that a machine computes what it should.

    Args:
        on: the machine.
        made: its outputs by name.
        expected: at least the same names.

    Raises:
        EqualityError: a value differs.
    """
    for name, array in made.items():
        wrong = np.argwhere(array != expected[name])
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            raise EqualityError(
                f"Output '{name}' on {on}",
                f"differs in {len(wrong):,} of {array.size:,} values, first at {list(at)}: "
                f"{int(array[at])}, not {int(expected[name][at])}",
                "Report it to us",
            )


def tally(artifact: Artifact, phase: str, calls: Sequence[Call]) -> Tally:
    """Return what calls took together, layer by layer.

    Args:
        artifact: the compiled model.
        phase: what the calls did.
        calls: of its C on a machine, at least one.
    """
    names, macs = [], Counter[int]()
    for index, layer in enumerate(layer_work(artifact)):
        names.append(layer.name)
        macs[index] = sum(layer.macs(c.tokens, c.position) for c in calls)
    counts = added(c.counts for c in calls)
    layers = [LayerCount("(checks)", counts.layers.get(-1, 0), 0)]
    layers += [LayerCount(n, counts.layers.get(i, 0), macs[i]) for i, n in enumerate(names)]
    return Tally(
        phase,
        len(calls),
        sum(c.tokens for c in calls),
        calls[0].position,
        counts.total,
        sum(macs.values()),
        max(c.stack_bytes for c in calls),
        tuple(layers),
        counts.functions,
    )


def bench_instructions(
    artifact: Artifact, on: str, length: int | None = None, progress: Progress | None = None
) -> list[Tally]:
    """Count the instructions of one call, or of a prompt and of the token after it.

    Args:
        artifact: the compiled model.
        on: the machine.
        length: tokens; None: the most, or for prompts 64 or half of a shorter context.
        progress: receives the course of the work.

    Raises:
        DataError: the model does not take as many tokens.
        EqualityError: a value differs from this machine's.
        SettingsError: no such machine, or one that is too small.
        ToolError: a tool is missing.
    """
    progress = progress or Progress()
    progress.stage(f"build for {on}")
    model = Emulated(artifact, on)
    progress.stage("run and compare")
    if not artifact.decodes:
        feeds = random_feeds(artifact.inputs, length or artifact.max_length or 1)
        return [model.judged([feeds], [model(feeds)])]
    tokens = random_prompt(artifact.inputs, artifact.max_length or 1, length, PROMPT)
    text = model.session()
    for part in (tokens[:-1], tokens[-1:]):
        text.feed(part)
    return [
        tally(artifact, "prompt", model.calls[:-1]),
        tally(artifact, "next token", model.calls[-1:]),
    ]
