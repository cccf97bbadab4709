"""MiniLM on this machine: ours beside onnxruntime and OpenVINO, speed and accuracy in one table.

    python benchmarks/hosts.py [--lengths 128 16] [--threads 1 2] [--rounds 7] [--avx2]
        [--write DOCUMENT]

Every engine is a process of its own; rounds go from one to the next, and ratios are of times in the
same round. Accuracy is the mean cosine of sentence embeddings to the float model's, of sentences of
STS-B dev at their own lengths. NNCF is calibrated on the sentences that ours is calibrated on.
With --avx2 every engine finds a processor that has no AVX-512.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import avx2_only
import common
import float_export
import kernel_sets
import numpy as np
from workers import Contender, Outcome, Worker, compete, ratio

from intcc.evaluate import read_sts
from intcc.frontends import load_source
from intcc.frontends.calibration import load_samples
from intcc.model import tokenize
from intcc.report.metrics import cosine
from intcc.runtime.artifact import Artifact

FLOAT, INT8 = "onnxruntime fp32", "OpenVINO, NNCF int8"
#: Rows in one round; the fastest counts, as a disturbed one says nothing about the engine.
RUNS = 5
#: Targets of C that run without AVX-512; x86-64 chooses among its sets itself.
AVX2_TARGETS = ("x86-64", "x86-64-v3")
HEADER = [
    "tokens", "threads", "engine", "median", "best", f"× {FLOAT}", f"× {INT8}", "cosine to fp32",
]  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What every competition starts from.

    Attributes:
        artifact: ours.
        model: the float model that the peers start from.
        calibration: token ids that ours is calibrated on.
        folder: where files go.
    """

    artifact: Artifact
    model: Path
    calibration: Path
    folder: Path


def prepare(output: Path, **settings: Any) -> Setting:
    """Make artifact, float model and calibration, where they are not there.

    Args:
        output: folder of the artifact.
        settings: of its compilation, beside the calibration.
    """
    train, columns = common.SHARED / "data" / "stsb-train.csv", "sentence1,sentence2"
    settings = {**settings, "calibration": train, "calibration_column": columns}
    artifact = common.artifact(output, **settings)
    folder = output.parent / "hosts"
    model = float_export.export(common.minilm(), folder / "float.onnx")
    source = load_source(common.minilm(), task=artifact.task, max_length=artifact.max_length)
    count = artifact.manifest["calibration"]["samples"]
    samples = load_samples(source, train, count, columns)
    return Setting(artifact, model, token_ids(samples, folder / "calibration.json"), folder)


def contenders(
    setting: Setting, length: int, threads: int, targets: Sequence[str] = ()
) -> list[Contender]:
    """Return who takes part: the float model first; of the targets of C these, or all."""
    source = {"model": str(setting.model), "threads": threads}
    # OpenVINO is quickest with one length; short texts come in all lengths.
    fixed = {**source, "length": length if length == setting.artifact.max_length else None}
    int8 = {**fixed, "calibration": str(setting.calibration)}
    strict = {"artifact": str(setting.artifact.folder), "threads": threads}
    return [
        Contender(FLOAT, "ort", "Encoder", source),
        Contender("onnxruntime dynamic int8", "ort", "Encoder", {**source, "int8": True}),
        Contender("OpenVINO fp32", "ov", "Encoder", fixed),
        Contender(INT8, "ov", "Encoder", int8),
        Contender(f"{INT8}, no smoothing", "ov", "Encoder", {**int8, "smooth": False}),
        Contender("**intcc, strict ONNX**", "compiled", "Encoder", strict, ours=True),
        *kernel_sets.contenders(
            setting.artifact, "Encoder", setting.folder, threads, targets=targets
        ),
    ]


def rows(
    length: int, threads: int, outcomes: Sequence[Outcome], accuracy: dict[str, float]
) -> list[list[str]]:
    """Return the table's rows of one competition.

    Args:
        length: tokens.
        threads: of each engine.
        outcomes: a round is a list of seconds.
        accuracy: mean cosine by name; an engine without one has none.
    """
    by_name = {o.name: o for o in outcomes}
    made = []
    for outcome in outcomes:
        start = [str(length), str(threads), outcome.name]
        if not outcome.rounds:
            made.append([*start, outcome.note, "–", "–", "–", "–"])
            continue
        # How many times quicker: the other's time by ours.
        speedups = [
            ratio(by_name[other], outcome, min) if other in by_name else None
            for other in (FLOAT, INT8)
        ]
        found = accuracy.get(outcome.name)
        made.append([
            *start,
            f"{1e3 * outcome.median(min):.2f} ms",
            f"{1e3 * min(min(r) for r in outcome.rounds):.2f} ms",
            *("–" if s is None else f"{s:.2f}" for s in speedups),
            "–" if found is None else f"{found:.5f}",
        ])  # fmt: skip
    return made


class Sentences:
    """Sentences of STS-B dev that accuracy is measured on, and what engines make of them.

    Attributes:
        embeddings: by the engine's name.
    """

    def __init__(self, setting: Setting, pairs: int | None) -> None:
        """Write the token ids of the first pairs, None: of all."""
        read = read_sts(common.SHARED / "data" / "stsb-dev.csv", pairs)
        texts = sorted({text for pair in read for text in pair[:2]})
        self.count = len(texts)
        self.source = token_ids(
            tokenize(setting.artifact, texts), setting.folder / "sentences.json"
        )
        self.embeddings: dict[str, Any] = {}

    def embed(self, worker: Worker) -> None:
        """Let an engine embed them, once."""
        if worker.name in self.embeddings:
            return
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / "made.npy"
            worker.call("embed", source=str(self.source), output=str(made))
            self.embeddings[worker.name] = np.load(made).astype(np.float64)


def race(
    taking_part: Sequence[Contender],
    length: int,
    rounds: int,
    last: Callable[[Worker], None] = lambda worker: None,
) -> list[Outcome]:
    """Time rows of one length, engine after engine; a round has the seconds of RUNS rows."""
    return compete(
        taking_part, rounds, lambda worker: worker.call("time", length=length, runs=RUNS), last=last
    )


def publish(
    options: Namespace, section: str, table: str, sentences: Sentences, command: str, how: str = ""
) -> None:
    """Print a table; with --write also put it into a document, with how it was made."""
    print(table)
    if options.write:
        note = (
            f"\n{common.circumstances()}; batch 1, {how}{options.rounds} rounds of {RUNS} calls, "
            f"cosine over {sentences.count} sentences of STS-B dev; {command}.\n"
        )
        common.replace_section(options.write, section, table + note)


def token_ids(samples: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write token ids for processes without a tokenizer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([s["input_ids"][0].tolist() for s in samples]), encoding="utf-8")
    return path


def main() -> None:
    parser = common.parser(__doc__, "build/minilm-stsb")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 16])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=200, help="of STS-B dev, for the accuracy")
    parser.add_argument("--avx2", action="store_true", help="hide AVX-512 from all engines")
    options = parser.parse_args()
    if options.avx2 and avx2_only.unsupported():
        raise SystemExit(f"error: --avx2: {avx2_only.unsupported()}")
    setting = prepare(options.output)
    preload = str(avx2_only.compiled(setting.folder).resolve()) if options.avx2 else ""
    targets = AVX2_TARGETS if options.avx2 else ()
    sentences = Sentences(setting, options.pairs)
    order = {
        (length, threads): race(
            [replace(c, preload=preload) for c in contenders(setting, length, threads, targets)],
            length,
            options.rounds,
            sentences.embed,
        )
        for threads in options.threads
        for length in sorted(options.lengths)  # dynamic lengths first: they can embed
    }
    exact = sentences.embeddings.get(FLOAT)
    accuracy = {
        name: float(cosine(made, exact).mean())
        for name, made in sentences.embeddings.items()
        if exact is not None
    }
    table = common.markdown(
        HEADER,
        [
            row
            for length in options.lengths
            for threads in options.threads
            for row in rows(length, threads, order[length, threads], accuracy)
        ],
    )
    section, command = "hosts", "`make bench-peers`"
    if options.avx2:
        section, command = "hosts-avx2", "`python benchmarks/hosts.py --avx2`"
    publish(options, section, table, sentences, command)


if __name__ == "__main__":
    main()
