"""Text of tokens as they come: the pieces join to what the tokenizer decodes at once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models

from intcc.frontends.tokenizer import TextStream, TextTokenizer
from tests.tokenizer.trained import KINDS, lines


def saved(tokenizer: Tokenizer, folder: Path) -> TextTokenizer:
    tokenizer.save(str(folder / "tokenizer.json"))
    return TextTokenizer(folder / "tokenizer.json")


def pieces(tokenizer: TextTokenizer, ids: list[int]) -> list[str]:
    stream = TextStream(tokenizer)
    return [*map(stream.push, ids), stream.finish()]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_join_to_the_text(kind: str, tmp_path: Path) -> None:
    tokenizer = saved(KINDS[kind](), tmp_path)
    chooser = random.Random(5)
    size = tokenizer.vocabulary_size
    cases = [[chooser.randrange(size) for _ in range(chooser.randint(1, 30))] for _ in range(150)]
    cases += [
        feed["input_ids"][0].tolist() for feed in tokenizer.encode(chooser.sample(lines(), 20), 60)
    ]
    for ids in cases:
        assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids), ids


def test_incomplete_characters_are_held_back(tmp_path: Path) -> None:
    """Bytes as tokens of their own: a run of them is one text, and it can be no text at all."""
    names = ["a", "<0x41>", "<0xE2>", "<0x82>", "<0xAC>", "</s>"]
    tokenizer = Tokenizer(
        models.BPE({name: i for i, name in enumerate(names)}, [], byte_fallback=True)
    )
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    text = saved(tokenizer, tmp_path)
    assert pieces(text, [0, 2, 3, 4, 0]) == ["a", "", "", "", "€a", ""]
    assert pieces(text, [1, 2, 0]) == ["", "", "\ufffd\ufffda", ""]
    assert pieces(text, [1, 5, 2]) == ["", "", "", "\ufffd\ufffd"]
    assert pieces(text, [5, 0, 1]) == ["", "a", "", "A"]


def test_bytes_inside_tokens_are_held_back(tmp_path: Path) -> None:
    tokenizer = saved(KINDS["gpt2"](), tmp_path)
    ids = tokenizer.encode(["x 🦓!"], None)[0]["input_ids"][0].tolist()
    made = pieces(tokenizer, ids)
    assert "".join(made) == "x 🦓!" and not any("\ufffd" in piece for piece in made)


def test_no_limit_of_tokens(tmp_path: Path) -> None:
    tokenizer = saved(KINDS["gpt2"](), tmp_path)
    assert tokenizer.encode(["a b c d"], 3)[0]["input_ids"].shape == (1, 3)
    assert tokenizer.encode(["a b c d"], None)[0]["input_ids"].shape[1] > 3
