"""Accuracy of an artifact against its float model, on a task with human scores.

cosine     mean over sentences of cos(integer embedding, float embedding)
Spearman   rank correlation of cos(sentence1, sentence2) with the human score
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import DataError, ModelError
from intcc.frontends.source import SourceModel
from intcc.locate import load_float_source
from intcc.model import CompiledModel
from intcc.passes.canonicalize import canonicalize
from intcc.progress import Progress
from intcc.report.metrics import cosine, spearman
from intcc.runtime.artifact import Artifact
from intcc.runtime.ort import open_session

__all__ = ["StsResult", "evaluate_sts", "float_session", "read_sts"]

Array = npt.NDArray[Any]
COLUMNS = ("sentence1", "sentence2", "score")


@dataclass(frozen=True)
class StsResult:
    """Figures of one evaluation.

    Attributes:
        pairs: number of sentence pairs.
        spearman: of the integer model, times 100.
        spearman_float: of the float model, times 100.
        cosine_mean: mean cosine between integer and float embeddings.
        cosine_min: smallest of them.
    """

    pairs: int
    spearman: float
    spearman_float: float
    cosine_mean: float
    cosine_min: float

    def to_json(self) -> dict[str, float]:
        """Return the figures and the loss in Spearman x 100."""
        return {**asdict(self), "spearman_loss": self.spearman_float - self.spearman}


def read_sts(path: str | Path, limit: int | None = None) -> list[tuple[str, str, float]]:
    """Read pairs with scores from a .csv with the columns sentence1, sentence2, score.

    Raises:
        DataError: no such file, other columns, a score that is no number, fewer than two pairs.
    """
    remedy = f"Give a .csv with the columns {', '.join(COLUMNS)}"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"File '{path}'", f"cannot be read ({error})", remedy) from error
    missing = [c for c in COLUMNS if rows and c not in rows[0]]
    if missing:
        raise DataError(f"File '{path}'", f"has no column '{missing[0]}'", remedy)
    pairs = []
    for line, row in enumerate(rows[:limit], 2):
        try:
            pairs.append((row["sentence1"] or "", row["sentence2"] or "", float(row["score"])))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"Line {line} of '{path}'", f"has the score '{row['score']}'", remedy
            ) from error
    if len(pairs) < 2:
        raise DataError(f"File '{path}'", f"has {len(pairs)} pairs, too few to rank", remedy)
    return pairs


def float_session(source: SourceModel, threads: int = 1) -> Any:
    """Open the canonical float graph of a source in onnxruntime."""
    model = canonicalize(source.model)
    return open_session(ir.to_proto(model).SerializeToString(), threads)


def pooled(output: Array, mask: Array | None) -> Array:
    """Return one row per text: the output itself, or the masked mean of its tokens."""
    if output.ndim == 2:
        return output
    weights = np.ones(output.shape[:2]) if mask is None else mask
    spread = weights[..., None].astype(np.float64)
    return np.asarray((output * spread).sum(1) / np.maximum(spread.sum(1), 1))


def evaluate_sts(
    artifact: Artifact,
    path: str | Path,
    *,
    limit: int | None = None,
    backend: str = "onnx",
    model: str | Path | None = None,
    progress: Progress | None = None,
) -> StsResult:
    """Compare an artifact with its float model on sentence pairs.

    Args:
        artifact: the compiled model.
        path: .csv of pairs.
        limit: use only the first pairs.
        backend: what runs the integers.
        model: the float source; None: where it was when it was compiled.
        progress: receives the course of the work.
    """
    progress = progress or Progress()
    if artifact.task not in ("sentence-embedding", "feature-extraction"):
        raise ModelError(
            f"Artifact '{artifact.folder}'", f"computes {artifact.task}, not embeddings",
            "STS compares embeddings: compile with --task sentence-embedding",
        )  # fmt: skip
    pairs = read_sts(path, limit)
    progress.stage("import the float model")
    source = load_float_source(artifact, model)
    session = float_session(source)
    compiled = CompiledModel(artifact, backend)
    texts = sorted({text for pair in pairs for text in pair[:2]})
    progress.stage("evaluate", len(texts))
    exact: dict[str, Array] = {}
    ours: dict[str, Array] = {}
    name = artifact.outputs[0].name
    for text, feeds in zip(texts, compiled.tokenize(texts), strict=True):
        mask = feeds.get("attention_mask")
        exact[text] = pooled(_run_float(session, feeds), mask)[0]
        real = compiled.dequantize(name, compiled(feeds)[name])
        ours[text] = pooled(real, mask)[0]
        progress.advance()
    between = cosine(*(np.stack([table[t] for t in texts]) for table in (ours, exact)))
    return StsResult(
        len(pairs),
        100 * _correlation(pairs, ours),
        100 * _correlation(pairs, exact),
        float(between.mean()),
        float(between.min()),
    )


def _run_float(session: Any, feeds: Mapping[str, Array]) -> Array:
    """Run the float model on integer token inputs; return its first output."""
    names = {i.name for i in session.get_inputs()}
    return np.asarray(session.run(None, {k: v for k, v in feeds.items() if k in names})[0])


def _correlation(pairs: Sequence[tuple[str, str, float]], embeddings: Mapping[str, Array]) -> float:
    left = np.stack([embeddings[a] for a, _, _ in pairs])
    right = np.stack([embeddings[b] for _, b, _ in pairs])
    return spearman(cosine(left, right), np.array([score for _, _, score in pairs]))
