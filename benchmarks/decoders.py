"""A language model of 341 million random parameters: ours beside llama.cpp and transformers.

    python benchmarks/decoders.py [--threads 1 2] [--rounds 5] [--write DOCUMENT]

    decode    tokens a second behind a prompt; its share of the bytes a second that memory gave in
              the same round, where each token reads every weight once
    prefill   tokens a second of a prompt, the median of three; its share of the
              multiply-accumulates a second that the processor gave in the same round

Every engine is a process of its own; rounds go from one to the next, and ratios and shares are
of figures in the same round. Accuracy is the cosine of logits to those in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import common
import kernel_sets
import numpy as np
from random_llama import MEDIUM, compile_apart, make
from workers import Contender, EngineError, Outcome, Worker, compete, ratio

from intcc.layers import layer_work
from intcc.runtime.artifact import Artifact, is_artifact

MACHINE, LLAMA = "machine", "llama.cpp Q8_0"
HF_INT8, HF_HALF = "transformers, torch dynamic int8", "transformers bf16"
CONTEXT, PROMPT, STEPS = 512, 128, 16
#: Prompts in one round, of which the median counts: the first also reads weights that the other
#: engines have driven out of the caches.
PROMPTS = 3
#: Random weights have nothing to lose.
QUICK = ("--no-error-compensation", "--no-equivalences", "--calibration-samples", "4")
HEADER = [
    "threads", "engine", "MB a token", "decode tokens/s", "of read", f"× {LLAMA}",
    "prefill tokens/s", "of peak", f"× {LLAMA}", "cosine to fp32",
]  # fmt: skip


def products(tokens: int) -> int:
    """Return the multiply-accumulates of a call, without those of attention.

    Logits are those of the last token alone, in every engine.
    """
    width, inner = int(MEDIUM["hidden_size"]), int(MEDIUM["intermediate_size"])
    layer = 4 * width * width + 3 * width * inner
    head = int(MEDIUM["vocab_size"]) * width
    return int(MEDIUM["num_hidden_layers"]) * layer * tokens + head


def contenders(artifact: Artifact, model: Path, folder: Path, threads: int) -> list[Contender]:
    """Return who takes part: the machine first."""
    checkpoint = {"checkpoint": str(model), "threads": threads}
    file = str(folder / "random-llama-q8_0.gguf")
    return [
        Contender(MACHINE, "machine", "Machine", {"threads": threads}, ours=True),
        Contender(LLAMA, "llama", "Decoder", {**checkpoint, "file": file, "context": CONTEXT}),
        Contender(HF_INT8, "hf", "Decoder", {**checkpoint, "dtype": "int8"}),
        Contender(HF_HALF, "hf", "Decoder", {**checkpoint, "dtype": "bfloat16"}),
        *kernel_sets.contenders(artifact, "Decoder", folder / "decoder", threads, PROMPT),
    ]


def rows(
    threads: int,
    outcomes: Sequence[Outcome],
    sizes: Mapping[str, float],
    accuracy: Mapping[str, float],
) -> list[list[str]]:
    """Return the table's rows of one competition.

    Args:
        threads: of each engine.
        outcomes: a round is the seconds of prompt and token; the machine's its two limits.
        sizes: bytes of weights a token by name.
        accuracy: cosine by name; an engine without one has none.
    """
    by_name = {o.name: o for o in outcomes}
    limits, other = by_name[MACHINE], by_name.get(LLAMA)
    work = float(products(PROMPT))
    made = []
    if limits.rounds:
        peak, read = (limits.median(lambda r, i=i: r[i]) for i in (0, 1))
        rate = f"{peak / 1e9:.0f} GMAC/s" if peak else "unknown"
        figures = ["", f"{read / 1e9:.1f} GB/s", "", "", rate, "", "", ""]
        made.append([str(threads), "the machine at most", *figures])
    for outcome in outcomes:
        if outcome is limits:
            continue
        start = [str(threads), outcome.name]
        if not outcome.rounds:
            made.append([*start, "–", outcome.note, *["–"] * 6])
            continue
        size = sizes[outcome.name]
        pairs = list(zip(outcome.rounds, limits.rounds, strict=False))
        of_read = [size / r[1] / m[1] for r, m in pairs]
        of_peak = [work / r[0] / m[0] for r, m in pairs if m[0]]
        found = accuracy.get(outcome.name)
        made.append([
            *start,
            f"{size / 1e6:.0f}",
            f"{1 / outcome.median(lambda r: r[1]):.1f}",
            _percent(of_read),
            _times(ratio(other, outcome, lambda r: r[1]) if other else None),
            f"{PROMPT / outcome.median(lambda r: r[0]):.0f}",
            _percent(of_peak),
            _times(ratio(other, outcome, lambda r: r[0]) if other else None),
            "–" if found is None else f"{found:.4f}",
        ])  # fmt: skip
    return made


def _percent(shares: Sequence[float]) -> str:
    return f"{np.median(shares):.0%}" if shares else "–"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def exact_logits(model: Path, length: int) -> Any:
    """Return the logits in float32, or None where transformers is missing."""
    options = {"checkpoint": str(model), "dtype": "float32"}
    try:
        worker = Worker(Contender("float32", "hf", "Decoder", options))
    except EngineError:
        return None
    try:
        return np.array([worker.call("logits", length=length)])
    finally:
        worker.close()


def compiled(model: Path, output: Path) -> Artifact:
    """Make checkpoint and artifact, where they are not there."""
    if not (model / "config.json").exists():
        make(model, MEDIUM, "bfloat16", "200MB")
    if not is_artifact(output):
        cost = compile_apart(
            model, output, "--emit", "onnx", "--context", str(CONTEXT), "--chunk", str(PROMPT),
            *QUICK,
        )  # fmt: skip
        print(f"compiled in {cost.wall:.0f} s, {cost.peak / 2**20:.0f} MiB")
    return Artifact.open(output)


def main() -> None:
    from intcc.report.metrics import cosine

    parser = common.parser(__doc__, "build/random-llama-int8")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = options.output.with_name("random-llama")
    artifact = compiled(model, options.output)
    own = float(sum(w.weight_bytes for w in layer_work(artifact)))
    exact = exact_logits(model, PROMPT)
    logits: dict[str, Any] = {}

    def look(worker: Worker) -> None:
        if worker.name != MACHINE and worker.name not in logits:
            logits[worker.name] = np.array([worker.call("logits", length=PROMPT)])

    def ask(worker: Worker) -> Any:
        return worker.call("time", length=PROMPT, steps=STEPS, prompts=PROMPTS)

    made: list[list[str]] = []
    for threads in options.threads:
        taking_part = contenders(artifact, model, options.output.parent, threads)
        outcomes = compete(taking_part, options.rounds, ask, last=look)
        sizes = {c.name: own for c in taking_part if c.ours} | {
            LLAMA: products(1) * 34 / 32,  # 32 weights and a scale of 16 bits
            HF_INT8: products(1),
            HF_HALF: products(1) * 2,
        }
        known = {} if exact is None else logits
        accuracy = {name: float(cosine(x, exact)[0]) for name, x in known.items()}
        made += rows(threads, outcomes, sizes, accuracy)
    table = common.markdown(HEADER, made)
    print(table)
    if options.write:
        note = (
            f"\n{common.circumstances()}; the median of {PROMPTS} prompts of {PROMPT} tokens, "
            f"{STEPS} tokens behind the last, {options.rounds} rounds; `make bench-peers`.\n"
        )
        common.replace_section(options.write, "decoders", table + note)


if __name__ == "__main__":
    main()
