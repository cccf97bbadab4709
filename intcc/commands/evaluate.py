"""`intcc eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intcc.commands.console import JsonFlag, Printer, QuietFlag
from intcc.errors import SettingsError
from intcc.runtime.artifact import Artifact

__all__ = ["EXAMPLE", "command"]

EXAMPLE = (
    "Example: intcc eval minilm --sts stsb-dev.csv, or intcc eval stories --perplexity stories.txt"
)


def command(
    folder: Annotated[Path, typer.Argument(help="Artifact to evaluate.")],
    sts: Annotated[
        Path | None, typer.Option(help="Embeddings: .csv with sentence1, sentence2, score.")
    ] = None,
    perplexity: Annotated[
        Path | None, typer.Option(help="Language models: text, a document a line.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Use only the first pairs or documents.", min=1)
    ] = None,
    backend: Annotated[
        str, typer.Option(help="onnx, qlinear, qdq, c, npu (simulated) or reference.")
    ] = "onnx",
    model: Annotated[
        str | None, typer.Option(help="The float model; default: where it was compiled from.")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare an artifact with its float model, on sentence pairs or on a text."""
    printer = Printer(quiet=quiet, as_json=as_json)
    if (sts is None) == (perplexity is None):
        raise SettingsError("Give either --sts or --perplexity", "to say what to measure", EXAMPLE)
    run = _sts if sts is not None else _perplexity
    run(printer, Artifact.open(folder), str(sts or perplexity), limit, backend, model)


def _sts(
    printer: Printer,
    artifact: Artifact,
    path: str,
    limit: int | None,
    backend: str,
    model: str | None,
) -> None:
    from intcc.evaluate import evaluate_sts

    with printer.progress() as progress:
        result = evaluate_sts(
            artifact, path, limit=limit, backend=backend, model=model, progress=progress
        )
    printer.result(result.to_json(), f"{result.cosine_mean:.5f}")
    printer.table(
        ["STS", "integers", "float", "difference"],
        [
            (
                "Spearman x 100",
                f"{result.spearman:.2f}",
                f"{result.spearman_float:.2f}",
                f"{result.spearman - result.spearman_float:+.2f}",
            )
        ],
        right=[1, 2, 3],
    )
    printer.say(
        f"cosine to the float embeddings: mean {result.cosine_mean:.5f}, "
        f"min {result.cosine_min:.5f}; {result.pairs} pairs"
    )


def _perplexity(
    printer: Printer,
    artifact: Artifact,
    path: str,
    limit: int | None,
    backend: str,
    model: str | None,
) -> None:
    from intcc.agreement import evaluate_perplexity

    with printer.progress() as progress:
        result = evaluate_perplexity(
            artifact, path, limit=limit, backend=backend, model=model, progress=progress
        )
    data = result.to_json()
    printer.result(data, f"{data['perplexity']:.4f}")
    ours, exact = data["perplexity"], data["float_perplexity"]
    printer.table(
        ["", "integers", "float", "difference"],
        [("perplexity", f"{ours:.4f}", f"{exact:.4f}", f"{100 * (ours / exact - 1):+.2f} %")],
        right=[1, 2, 3],
    )
    shares = [d["agreement"] for d in data["per_document"] if d["tokens"]]
    printer.say(
        f"the same next token preferred at {100 * data['agreement']:.2f} % of {data['tokens']:,} "
        f"positions; by document {100 * min(shares):.1f} to {100 * max(shares):.1f} %, "
        f"{data['documents']} documents"
    )
    if result.note:
        printer.say(f"note: {result.note}.")
