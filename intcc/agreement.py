"""A language model in integers beside its float model: perplexity, and which token each prefers.

    agreement   share of the positions at which both find the same next token the most likely one

Every line of a text file is a document. Both models see the same tokens, the artifact's own, cut
to its context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import DataError, ModelError
from intcc.frontends.ternary import TERNARY
from intcc.generation import CachedSession
from intcc.locate import load_float_source
from intcc.model import CompiledModel, tokenize
from intcc.perplexity import Logits, Perplexity, float_logits, score
from intcc.progress import Progress
from intcc.runtime.artifact import Artifact
from intcc.specs import LOGITS

__all__ = ["PerplexityResult", "evaluate_perplexity", "integer_logits", "read_documents"]

Array = npt.NDArray[Any]
#: What the float figures of ternary models leave out.
TERNARY_NOTE = (
    "The float model has the ternary weights, but not the 8-bit activations that it was trained "
    "with; the integers have both"
)


@dataclass(frozen=True)
class PerplexityResult:
    """Figures of one evaluation.

    Attributes:
        ours: the integer model.
        exact: the float model.
        note: what a reader of the figures should know.
    """

    ours: Perplexity
    exact: Perplexity
    note: str | None = None

    @property
    def agreement(self) -> float:
        """Share of positions at which both prefer the same token."""
        return self.ours.agreement(self.exact)

    def to_json(self) -> dict[str, Any]:
        """Return the figures, over all documents and of each; None where nothing is predicted."""
        same = self.ours.agreements(self.exact)
        per_document = []
        for index, greedy in enumerate(self.ours.greedy):
            count = len(greedy)
            pair = self.ours.losses[index], self.exact.losses[index]
            mean = [math.exp(loss / count) if count else None for loss in pair]
            per_document.append(
                {
                    "tokens": count,
                    "perplexity": mean[0],
                    "float_perplexity": mean[1],
                    "agreement": same[index] / count if count else None,
                }
            )
        return {
            "perplexity": self.ours.perplexity,
            "float_perplexity": self.exact.perplexity,
            "agreement": self.agreement,
            "documents": len(per_document),
            "tokens": self.ours.tokens,
            "per_document": per_document,
            "note": self.note,
        }


def read_documents(path: str | Path, limit: int | None = None) -> list[str]:
    """Read the lines of a text file that are not blank.

    Raises:
        DataError: no such file, no UTF-8, or no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"File '{path}'", f"cannot be read ({error})", "Give UTF-8 text, a document a line"
        ) from error
    texts = [line for line in lines if line.strip()][:limit]
    if not texts:
        raise DataError(f"File '{path}'", "holds no text", "Give a document a line")
    return texts


def integer_logits(model: CompiledModel) -> Logits:
    """Return an artifact as a function of token ids [n] that gives real logits [n, V].

    Raises:
        ModelError: the artifact is no language model.
    """

    def logits(ids: Array) -> Array:
        session = model.session()
        if isinstance(session, CachedSession):
            q = session.feed_all(ids.tolist())
        else:
            q = np.stack([session.feed([token]) for token in ids.tolist()])
        return model.dequantize(LOGITS, q)

    return logits


def evaluate_perplexity(
    artifact: Artifact,
    path: str | Path,
    *,
    limit: int | None = None,
    backend: str = "onnx",
    model: str | Path | None = None,
    progress: Progress | None = None,
) -> PerplexityResult:
    """Compare an artifact with its float model on a text.

    Args:
        artifact: the compiled model.
        path: text file, a document a line.
        limit: use only the first documents.
        backend: what runs the integers.
        model: the float source; None: where it was when it was compiled.
        progress: receives the course of the work.

    Raises:
        ModelError: the artifact is no language model, or its source is not known.
        DataError: it has no tokenizer, or there is no text with a token to predict.
    """
    progress = progress or Progress()
    if artifact.task != "text-generation":
        raise ModelError(
            f"Artifact '{artifact.folder}'",
            f"computes {artifact.task}, not the next token",
            "Perplexity needs --task text-generation",
        )
    texts = read_documents(path, limit)
    compiled = CompiledModel(artifact, backend)
    ids = [feeds["input_ids"][0] for feeds in tokenize(artifact, texts)]
    progress.stage("import the float model")
    source = load_float_source(artifact, model)
    note = TERNARY_NOTE if TERNARY in source.model.metadata_props else None
    float_model = float_logits(source)
    progress.stage("float model", len(ids))
    exact = score(float_model, ids, progress)
    progress.stage("integers", len(ids))
    ours = score(integer_logits(compiled), ids, progress)
    return PerplexityResult(ours, exact, note)
