"""Probes: sequences of all tokens of the vocabulary, which show how far a value can reach.

A few calibration sentences use a few hundred tokens. Hidden units that answer to one word, or to
a kind of words, stay silent on them, and their ranges would be guesses. Probes wake them: every
token once, in a fixed random order, between the first and the last token of a real sample. No
text is needed. Only extremes are taken from probes; they are no language, so means and
correlations would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.frontends.calibration import vocabulary_size
from intcc.frontends.source import Feed, SourceModel

__all__ = ["vocabulary_probes"]

#: Tokens of the vocabulary per probe.
LENGTH = 60
#: Most probes; a larger vocabulary is thinned out evenly.
MOST = 512
_KNOWN = {"input_ids", "attention_mask", "token_type_ids"}


def vocabulary_probes(
    source: SourceModel, samples: Sequence[Mapping[str, npt.NDArray[Any]]]
) -> list[Feed]:
    """Return feeds of the float graph; none for images and unknown vocabularies.

    Call it before the graph is changed: the table that `input_ids` index tells the vocabulary.
    """
    rows = vocabulary_size(source.model)
    names = set(source.input_names)
    room = source.max_length - 2
    if not rows or not samples or not names <= _KNOWN or room < 1:
        return []
    ids = np.asarray(samples[0]["input_ids"])
    order = np.random.default_rng(0).permutation(rows)
    length = min(LENGTH, room)
    count = min(-(-rows // length), MOST)
    probes = []
    for part in np.array_split(order[: count * length], count):
        tokens = np.concatenate([ids[0, :1], part, ids[0, -1:]])[None].astype(ids.dtype)
        feed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        probes.append({name: feed[name] for name in names})
    return probes
