"""The float graph with a cache equals the float graph of a whole text, however it is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intcc.errors import ModelError
from intcc.float_step import FloatSession, add_caches, open_float_step
from intcc.frontends import load_source
from intcc.passes.canonicalize import canonicalize
from intcc.perplexity import float_logits
from tests.frontends.decoders import CONTEXT, DECODERS, ids, save
from tests.frontends.families import save as save_encoder

#: Two float32 evaluations of two layers, relative to the largest logit.
TOLERANCE = 1e-4
#: Ways to cut a text into calls.
CUTS = [[CONTEXT], [5, 6, 7, 30, CONTEXT], [*range(1, CONTEXT + 1)]]


@pytest.mark.parametrize("name", DECODERS)
def test_steps_equal_the_whole(name: str, tmp_path: Path) -> None:
    save(name, tmp_path)
    tokens = ids(1, CONTEXT)[0]
    source = load_source(tmp_path)
    expected = float_logits(source)(tokens)  # makes the graph canonical
    session, names = open_float_step(source.model)
    for cuts in CUTS:
        text = FloatSession(session, names)
        pairs = zip([0, *cuts], cuts, strict=False)
        pieces = [text.feed_all(tokens[start:end].tolist()) for start, end in pairs]
        gap = np.abs(np.concatenate(pieces) - expected).max()
        assert gap <= TOLERANCE * np.abs(expected).max(), cuts


def test_encoders_have_no_caches(tmp_path: Path) -> None:
    save_encoder("bert", tmp_path)
    with pytest.raises(ModelError, match="has no causal attention"):
        add_caches(canonicalize(load_source(tmp_path).model))
