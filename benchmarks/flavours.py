"""MiniLM in onnxruntime: the QLinear and the strict flavour beside the float model.

    python benchmarks/flavours.py [--lengths 128 16] [--rounds 15] [--write DOCUMENT]

One thread, one onnxruntime, one process for each model; rounds go from one to the next, and ratios
are of times in the same round. Accuracy is the mean cosine of sentence embeddings to the float
model's, of the sentences of STS-B dev at their own lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import common
import hosts
import numpy as np
from workers import Contender, Outcome, ratio

from intcc.report.metrics import cosine

FLOAT = "fp32"
STRICT, QLINEAR = "**intcc, strict**", "**intcc, QLinear**"
HEADER = [
    "tokens", "model", "median", "best", f"time / {FLOAT}", "cosine to fp32", "unlike strict",
]  # fmt: skip


def contenders(setting: hosts.Setting) -> list[Contender]:
    """Return who takes part; all in this environment's onnxruntime."""
    ours = {"artifact": str(setting.artifact.folder)}
    return [
        Contender(FLOAT, "ort", "Encoder", {"model": str(setting.model)}, ours=True),
        Contender(STRICT, "compiled", "Encoder", {**ours, "backend": "onnx"}, ours=True),
        Contender(QLINEAR, "compiled", "Encoder", {**ours, "backend": "qlinear"}, ours=True),
    ]


def rows(
    length: int, outcomes: Sequence[Outcome], embeddings: Mapping[str, Any]
) -> list[list[str]]:
    """Return the table's rows of one length."""
    made = []
    for outcome in outcomes:
        share = ratio(outcome, outcomes[0], min)
        own = embeddings[outcome.name]
        unlike = int(np.count_nonzero(own != embeddings[STRICT]))
        made.append([
            str(length), outcome.name,
            f"{1e3 * outcome.median(min):.2f} ms",
            f"{1e3 * min(min(r) for r in outcome.rounds):.2f} ms",
            "–" if share is None else f"{share:.2f}",
            f"{cosine(own, embeddings[FLOAT]).mean():.5f}",
            "–" if outcome.name == FLOAT else f"{unlike} of {own.size:,}",
        ])  # fmt: skip
    return made


def main() -> None:
    parser = common.parser(__doc__, "build/minilm-qlinear")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 16])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, help="of STS-B dev, for the accuracy; default: all")
    options = parser.parse_args()
    setting = hosts.prepare(options.output, emit="onnx,qlinear")
    sentences = hosts.Sentences(setting, options.pairs)
    competitions = [
        (n, hosts.race(contenders(setting), n, options.rounds, sentences.embed))
        for n in options.lengths
    ]
    table = common.markdown(
        HEADER, [row for n, o in competitions for row in rows(n, o, sentences.embeddings)]
    )
    hosts.publish(
        options, "flavours", table, sentences, "`python benchmarks/flavours.py`", "one thread, "
    )


if __name__ == "__main__":
    main()
