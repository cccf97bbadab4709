"""Perplexity: the arithmetic on known logits, and a real model's figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intcc.errors import DataError, ModelError
from intcc.frontends import load_source
from intcc.perplexity import float_logits, float_perplexity, score
from tests.frontends.families import save as save_encoder


def test_perplexity_of_any_model() -> None:
    """Uniform logits give the size of the vocabulary; certain ones give 1."""
    documents = [np.array([1, 5, 3]), np.array([1]), np.array([1, 2])]
    uniform = score(lambda tokens: np.zeros((len(tokens), 7)), documents)
    assert math.isclose(uniform.perplexity, 7) and uniform.tokens == 3

    def knows(tokens: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(1e4 * np.eye(7)[np.append(tokens[1:], 0)])

    certain = score(knows, documents)
    assert math.isclose(certain.perplexity, 1)
    assert [g.tolist() for g in certain.greedy] == [[5, 3], [], [2]]
    assert uniform.agreement(certain) == 0 and certain.agreement(certain) == 1


def test_stories260k(shared: Path) -> None:
    folder, text = shared / "models/stories260k", shared / "data/tinystories-validation.txt"
    if not folder.is_dir() or not text.is_file():
        pytest.skip("no stories260k among the shared development data")
    source, texts = load_source(folder), text.read_text(encoding="utf-8").splitlines()
    assert source.max_length == 512
    tokens = source.tokenize(texts[:1])[0]["input_ids"][0]
    assert tokens[0] == 1  # beginning of sequence
    result = float_perplexity(source, texts[:40])
    assert abs(result.perplexity - 3.5436) <= 1e-4
    assert len(result.greedy) == 40 and result.tokens == sum(map(len, result.greedy))


def test_nothing_to_predict() -> None:
    with pytest.raises(DataError, match="has no token to predict"):
        score(lambda tokens: np.zeros((len(tokens), 7)), [np.array([1])])


def test_encoder_has_no_perplexity(tmp_path: Path) -> None:
    save_encoder("bert", tmp_path)
    with pytest.raises(ModelError, match="computes feature-extraction, not the next token"):
        float_logits(load_source(tmp_path))
