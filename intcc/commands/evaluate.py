"""`intcc eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intcc.commands.console import JsonFlag, Printer, QuietFlag

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "Example: intcc eval minilm --sts stsb-dev.csv --limit 300"


def command(
    folder: Annotated[Path, typer.Argument(help="Artifact to evaluate.")],
    sts: Annotated[Path, typer.Option(help=".csv with sentence1, sentence2, score.")],
    limit: Annotated[int | None, typer.Option(help="Use only the first pairs.", min=2)] = None,
    backend: Annotated[str, typer.Option(help="onnx, c or reference.")] = "onnx",
    model: Annotated[
        str | None, typer.Option(help="The float model; default: where it was compiled from.")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare an artifact with its float model on sentence pairs with human scores."""
    from intcc.evaluate import evaluate_sts
    from intcc.runtime.artifact import Artifact

    printer = Printer(quiet=quiet, as_json=as_json)
    with printer.progress() as progress:
        result = evaluate_sts(
            Artifact.open(folder), sts, limit=limit, backend=backend, model=model, progress=progress
        )
    data = result.to_json()
    printer.result(data, f"{result.cosine_mean:.5f}")
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
