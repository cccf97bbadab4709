"""Perplexity of a language model: exp of the mean negative log-likelihood per predicted token.

    nll = -log softmax(logits[i])[ids[i + 1]]          i = 0 .. n - 2, in float64
    perplexity = exp(mean of nll over all predicted tokens of all documents)

Each document is tokenized as the model's tokenizer does (with the beginning-of-sequence token,
where it adds one) and cut to the context. What scores a document is a function `ids [n] -> real
logits [n, V]`, so that a float model and an integer model share the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import DataError, ModelError
from intcc.frontends.source import SourceModel
from intcc.passes.canonicalize import canonicalize
from intcc.progress import Progress
from intcc.runtime.ort import open_session

__all__ = ["Perplexity", "documents", "float_logits", "float_perplexity", "score"]

Array = npt.NDArray[Any]
#: Token ids [n] to real logits [n, V].
Logits = Callable[[Array], Array]
#: Rows that are turned into log-probabilities at a time: a vocabulary can have 200,000 columns.
_ROWS = 64


@dataclass(frozen=True)
class Perplexity:
    """The result for a list of documents.

    Attributes:
        perplexity: over all predicted tokens.
        tokens: number of predicted tokens.
        losses: per document, the sum of nll over its predicted tokens.
        greedy: per document, the most likely next token after each of its tokens but the last.
    """

    perplexity: float
    tokens: int
    losses: list[float]
    greedy: list[Array]

    def agreements(self, other: Perplexity) -> list[int]:
        """Return, per document, at how many positions both models prefer the same token."""
        pairs = zip(self.greedy, other.greedy, strict=True)
        return [int((a == b).sum()) for a, b in pairs]

    def agreement(self, other: Perplexity) -> float:
        """Return the share of positions at which both models prefer the same token."""
        return sum(self.agreements(other)) / max(self.tokens, 1)


def documents(source: SourceModel, texts: Sequence[str], context: int | None = None) -> list[Array]:
    """Return the token ids [n] of each text, cut to the context.

    Args:
        source: a model with a tokenizer.
        texts: one document each.
        context: most tokens; None: the model's own.

    Raises:
        CalibrationError: the model has no tokenizer.
    """
    return [feed["input_ids"][0][:context] for feed in source.tokenize(list(texts))]


def score(logits: Logits, ids: Sequence[Array], progress: Progress | None = None) -> Perplexity:
    """Score documents with any model.

    Args:
        logits: the model.
        ids: token ids of each document; those with fewer than two tokens predict nothing.
        progress: receives one step per document.

    Raises:
        DataError: there is no token to predict.
    """
    progress = progress or Progress()
    losses: list[float] = []
    greedy: list[Array] = []
    for tokens in ids:
        if len(tokens) < 2:
            greedy.append(np.zeros(0, np.int64))
            losses.append(0.0)
        else:
            rows = np.asarray(logits(tokens))[:-1]
            greedy.append(rows.argmax(-1))
            losses.append(_negative_log_likelihood(rows, tokens[1:]))
        progress.advance()
    count = sum(map(len, greedy))
    if count == 0:
        raise DataError(
            "The text", "has no token to predict", "Give documents of two tokens or more"
        )
    return Perplexity(float(np.exp(sum(losses) / count)), count, losses, greedy)


def _negative_log_likelihood(rows: Array, targets: Array) -> float:
    """Sum over i of log sum_v exp(rows[i, v]) - rows[i, targets[i]], in float64."""
    total = 0.0
    for first in range(0, len(rows), _ROWS):
        block = rows[first : first + _ROWS].astype(np.float64)
        wanted = targets[first : first + _ROWS]
        block -= block.max(-1, keepdims=True)
        picked = np.take_along_axis(block, wanted[:, None], axis=-1)[:, 0]
        total += float((np.log(np.exp(block).sum(-1)) - picked).sum())
    return total


def float_logits(source: SourceModel, threads: int = 1) -> Logits:
    """Return the float model of a source as a function of token ids.

    Raises:
        ModelError: the source is no language model.
    """
    if source.task != "text-generation":
        raise ModelError(
            f"Model '{source.name}'",
            f"computes {source.task}, not the next token",
            "Perplexity needs --task text-generation",
        )
    session = open_session(ir.to_proto(canonicalize(source.model)).SerializeToString(), threads)

    def logits(ids: Array) -> Array:
        return np.asarray(session.run(["logits"], {"input_ids": ids[None].astype(np.int64)})[0][0])

    return logits


def float_perplexity(
    source: SourceModel,
    texts: Sequence[str],
    context: int | None = None,
    progress: Progress | None = None,
) -> Perplexity:
    """Return the perplexity of the float model of `source` on `texts`.

    Args:
        source: a language model with a tokenizer, not yet canonical.
        texts: one document each.
        context: most tokens of a document; None: the model's own.
        progress: receives one step per document.

    Raises:
        ModelError: the source is no language model.
        CalibrationError: it has no tokenizer.
        DataError: there is no token to predict.
    """
    ids = documents(source, texts, context)
    return score(float_logits(source), ids, progress)
