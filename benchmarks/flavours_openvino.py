"""MiniLM's QDQ flavour in OpenVINO, beside what NNCF makes of the float model.

    python benchmarks/flavours_openvino.py [--lengths 128 16] [--rounds 9] [--write DOCUMENT]

Every engine is a process of its own; rounds go from one to the next, and ratios are of times in
the same round. Accuracy is the mean cosine of sentence embeddings to the float model's, on the
sentences of STS-B dev at their own lengths. NNCF is calibrated on the same sentences as ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common
import hosts
from workers import Contender, Outcome, compete, ratio

from intcc.report.metrics import cosine
from intcc.runtime.artifact import Artifact

FLOAT, NNCF, STRICT = "OpenVINO fp32", "OpenVINO, NNCF int8", "intcc, strict ONNX, onnxruntime"
HEADER = [
    "tokens", "engine", "median", "best", f"time / {NNCF}", "cosine to fp32", "smallest",
]  # fmt: skip


def contenders(setting: hosts.Setting, pow2: Artifact, length: int | None) -> list[Contender]:
    """Return who takes part, in OpenVINO compiled for one length, or for all of them (None)."""
    model, dyadic = str(setting.model), str(setting.artifact.qdq_onnx)
    fixed: dict[str, Any] = {"length": length}
    int8 = {**fixed, "model": model, "calibration": str(setting.calibration)}
    qdq = {**fixed, "quantized": True}
    return [
        Contender(FLOAT, "ov", "Encoder", {**fixed, "model": model}),
        Contender(NNCF, "ov", "Encoder", int8),
        Contender(f"{NNCF}, no smoothing", "ov", "Encoder", {**int8, "smooth": False}),
        Contender("**intcc, QDQ dyadic, OpenVINO**", "ov", "Encoder", {**qdq, "model": dyadic}),
        Contender(
            "**intcc, QDQ pow2, OpenVINO**", "ov", "Encoder",
            {**qdq, "model": str(pow2.qdq_onnx)},
        ),
        Contender("**intcc, QDQ dyadic, onnxruntime**", "ort", "Encoder", {"model": dyadic}),
        Contender(
            f"**{STRICT}**", "compiled", "Encoder",
            {"artifact": str(setting.artifact.folder)}, ours=True,
        ),
    ]  # fmt: skip


def rows(length: int, outcomes: Sequence[Outcome], embeddings: dict[str, Any]) -> list[list[str]]:
    """Return the table's rows of one length."""
    base = next(o for o in outcomes if o.name == NNCF)
    made = []
    for outcome in outcomes:
        if not outcome.rounds:
            made.append([str(length), outcome.name, outcome.note, "–", "–", "–", "–"])
            continue
        share = ratio(outcome, base, min)
        near = None
        if outcome.name in embeddings and FLOAT in embeddings:
            near = cosine(embeddings[outcome.name], embeddings[FLOAT])
        made.append([
            str(length), outcome.name,
            f"{1e3 * outcome.median(min):.2f} ms",
            f"{1e3 * min(min(r) for r in outcome.rounds):.2f} ms",
            "–" if share is None else f"{share:.2f}",
            "–" if near is None else f"{near.mean():.5f}",
            "–" if near is None else f"{near.min():.4f}",
        ])  # fmt: skip
    return made


def main() -> None:
    parser = common.parser(__doc__, "build/minilm-qdq")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 16])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, help="of STS-B dev, for the accuracy; default: all")
    options = parser.parse_args()
    setting = hosts.prepare(options.output, emit="onnx,qdq")
    pow2 = hosts.prepare(
        options.output.with_name(f"{options.output.name}-pow2"), emit="qdq", scales="pow2"
    ).artifact
    sentences = hosts.Sentences(setting, options.pairs)
    # Accuracy first: a graph that is compiled for all lengths can embed.
    compete(contenders(setting, pow2, None), 0, lambda worker: None, last=sentences.embed)
    competitions = [
        (n, hosts.race(contenders(setting, pow2, n), n, options.rounds)) for n in options.lengths
    ]
    table = common.markdown(
        HEADER, [row for n, o in competitions for row in rows(n, o, sentences.embeddings)]
    )
    command = "`python benchmarks/flavours_openvino.py` after `make bench-peers`"
    hosts.publish(options, "flavours-openvino", table, sentences, command, "one thread, ")


if __name__ == "__main__":
    main()
