"""What the generated C lacks is named, with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intcc.backends.c.tokenizer import UnsupportedTokenizerError, emit_tokenizer
from intcc.backends.c.tokenizer.regex import Kind, compile_regex
from intcc.errors import IntccError, ModelError
from tests.tokenizer.trained import DEEPSEEK, LLAMA3, O200K, QWEN2

BPE = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}},
         "The tokenizer's model WordLevel is not in the generated C, which has BPE."),
        ({"model": {**BPE, "dropout": 0.5}}, "sets dropout to 0.5"),
        ({"model": {**BPE, "end_of_word_suffix": "b"}}, "sets end_of_word_suffix to 'b'"),
        ({"normalizer": {"type": "NFKC"}}, "The tokenizer's normalizer NFKC is not in"),
        ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "pre-tokenizer UnicodeScripts is not"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
            {"type": "Digits", "individual_digits": True}]}}, "ByteLevel is not the last one"),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "(?<=a)b"}}}, "of a special kind"),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "(?:ab)+"}}}, "a group repeated without"),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "a*?b"}}}, "a lazy quantifier"),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "a*"}}}, "a match of no characters"),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "^a"}}}, "an anchor"),
        ({"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "(?i:ss)"}}}, "fold to one character"),
        ({"decoder": {"type": "CTC", "pad_token": "a", "word_delimiter_token": "b",
                      "cleanup": True}}, "The tokenizer's decoder CTC is not in"),
        ({"decoder": {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}},
         "has Strip where the generated C does not"),
    ],
)  # fmt: skip
def test_unsupported(part: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": BPE, **part}), encoding="utf-8")
    with pytest.raises(UnsupportedTokenizerError) as caught:
        emit_tokenizer(path, "t", tmp_path)
    assert message in str(caught.value)
    assert isinstance(caught.value, IntccError)
    assert caught.value.remedy
    assert not list(tmp_path.glob("*.c"))


@pytest.mark.parametrize("text", ["", "{}", '{"model": {"type": "BPE"}}'])
def test_damaged_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError):
        emit_tokenizer(path, "t", tmp_path)


@pytest.mark.parametrize("pattern", [LLAMA3, QWEN2, O200K, DEEPSEEK])
def test_programs_only_go_forward(pattern: str) -> None:
    ops = compile_regex(pattern)
    for position, op in enumerate(ops):
        if op.kind in (Kind.FORK, Kind.JUMP):
            assert position < op.value < len(ops)
    assert ops[-1].kind is Kind.MATCH
