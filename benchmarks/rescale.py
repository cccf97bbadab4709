"""MiniLM compiled with `--rescale dyadic` and `pow2`: time and accuracy, ONNX and C.

    python benchmarks/rescale.py [--lengths 128 16] [--rounds 15] [--targets x86-64-v4 ...]

One thread, a process for each engine; rounds go from one to the next, and ratios are of times in
the same round, of pow2 to dyadic. Accuracy is the mean cosine of sentence embeddings to the float
model's, of the sentences of STS-B dev at their own lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import common
import hosts
import kernel_sets
from workers import Contender, Outcome, ratio

from intcc.report.metrics import cosine

FLOAT = "fp32"
FORMS = ("dyadic", "pow2")
HEADER = ["tokens", "engine", "rescale", "median", "best", "pow2 / dyadic", "cosine to fp32"]


def contenders(settings: Mapping[str, hosts.Setting], targets: Sequence[str]) -> list[Contender]:
    """Return the float model, then every engine with both forms side by side."""
    model = {"model": str(settings["dyadic"].model)}
    found = [Contender(FLOAT, "ort", "Encoder", model, ours=True)]
    by_form = []
    for form, setting in settings.items():
        folder = setting.artifact.folder
        strict = Contender("strict ONNX", "compiled", "Encoder", {"artifact": str(folder)}, True)
        sets = kernel_sets.contenders(
            setting.artifact, "Encoder", folder.parent / form, 1, targets=targets
        )
        by_form.append([
            Contender(f"{c.name.strip('*')}, {form}", c.module, c.kind, c.options, True, c.note)
            for c in (strict, *sets)
        ])  # fmt: skip
    return found + [c for both in zip(*by_form, strict=True) for c in both]


def rows(
    length: int, outcomes: Sequence[Outcome], embeddings: Mapping[str, Any]
) -> list[list[str]]:
    """Return the table's rows of one length: those of engines that ran."""
    made = []
    base = None
    for outcome in outcomes[1:]:
        if not outcome.rounds:
            continue
        engine, form = outcome.name.rsplit(", ", 1)
        base = outcome if form == FORMS[0] else base
        share = None if base is None or base is outcome else ratio(outcome, base, min)
        made.append([
            str(length), engine, form,
            f"{1e3 * outcome.median(min):.2f} ms",
            f"{1e3 * min(min(r) for r in outcome.rounds):.2f} ms",
            "" if share is None else f"{share:.3f}",
            f"{cosine(embeddings[outcome.name], embeddings[FLOAT]).mean():.5f}",
        ])  # fmt: skip
    return made


def main() -> None:
    parser = common.parser(__doc__, "build/minilm")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 16])
    parser.add_argument("--targets", nargs="+", default=[], help="of the C; default: all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, help="of STS-B dev, for the accuracy; default: all")
    options = parser.parse_args()
    folders = {form: options.output.with_name(f"{options.output.name}-{form}") for form in FORMS}
    settings = {form: hosts.prepare(folders[form], rescale=form) for form in FORMS}
    sentences = hosts.Sentences(settings["dyadic"], options.pairs)
    engines = contenders(settings, options.targets)
    competitions = [
        (n, hosts.race(engines, n, options.rounds, sentences.embed)) for n in options.lengths
    ]
    table = common.markdown(
        HEADER, [row for n, o in competitions for row in rows(n, o, sentences.embeddings)]
    )
    hosts.publish(
        options, "rescale", table, sentences, "`python benchmarks/rescale.py`", "one thread, "
    )


if __name__ == "__main__":
    main()
