"""Parts that no known tokenizer combines: the C has no warning, and is still exact."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from intcc.backends.c.tokenizer import UnsupportedTokenizerError
from tests.tokenizer.native import NativeTokenizer
from tests.tokenizer.trained import read_text

_LETTERS = ["▁", *"abcdehilnorstw .,é天<>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_MERGES = [("t", "h"), ("th", "e"), ("▁", "a"), ("s", "t"), ("a", "n")]


def _model(bare: bool, **options: Any) -> dict[str, Any]:
    tokens = [*_LETTERS, *_BYTES, *([] if bare else [a + b for a, b in _MERGES]), "<unk>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    merges = [] if bare else [list(pair) for pair in _MERGES]
    return {"type": "BPE", "vocab": vocabulary, "merges": merges, **options}


_REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_REMOVE = {"type": "Replace", "pattern": {"Regex": "[xyz]+"}, "content": ""}
_PREPEND = {"type": "Prepend", "prepend": "▁"}
_NFC = {"type": "NFC"}

MODELS = [
    _model(True),
    _model(False, unk_token="<unk>", fuse_unk=False),
    _model(False, byte_fallback=True),
    _model(False, unk_token="<unk>", fuse_unk=True, byte_fallback=True, ignore_merges=True),
]
NORMALIZERS: list[list[dict[str, Any]]] = [
    [], [_PREPEND], [_NFC], [_REMOVE, _NFC, _REPLACE], [_NFC, _REPLACE],
    [_PREPEND, _REPLACE, _REMOVE, _NFC, _PREPEND],
]  # fmt: skip
PRE_TOKENIZERS: list[dict[str, Any] | None] = [
    None,
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
    {"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation", "behavior": "MergedWithPrevious"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]},
    {"type": "WhitespaceSplit"},
]  # fmt: skip
DECODERS: list[dict[str, Any] | None] = [
    None,
    {"type": "Fuse"},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Sequence", "decoders": [
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": "天", "start": 2, "stop": 0}]},
    {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "Strip", "content": " ", "start": 0, "stop": 1}, {"type": "ByteFallback"}]},
]  # fmt: skip


def _added(kind: int, model: dict[str, Any]) -> list[dict[str, Any]]:
    base = {"single_word": False, "lstrip": False, "rstrip": False, "special": False}
    last = len(model["vocab"])
    tokens = [
        {**base, "id": last, "content": "<pad>", "normalized": False, "special": True},
        {**base, "id": last + 1, "content": "the cat", "normalized": True, "lstrip": True},
        {**base, "id": last + 2, "content": "<pad><pad>", "normalized": False, "rstrip": True},
        {**base, "id": last + 3, "content": "<e\u0301>", "normalized": True, "special": True},
    ]
    return tokens[:kind]


def _refusal(library: Tokenizer, parts: dict[str, Any]) -> str:
    """Return why the generated C cannot have these parts together, or nothing."""
    texts = [library.id_to_token(i) or "" for i in range(library.get_vocab_size())]
    if '"first"' in json.dumps(parts["pre_tokenizer"]) and '""' in json.dumps(parts["normalizer"]):
        return "marks the start of the text"
    if '"always"' in json.dumps(parts["decoder"]) and any("▁" in t and " " in t for t in texts):
        return "a token has both a space"
    return ""


ALL = list(itertools.product(MODELS, NORMALIZERS, PRE_TOKENIZERS, DECODERS, range(5)))
_CHOSEN = random.Random(11).sample(range(len(ALL)), 40)


@pytest.mark.parametrize(
    "index",
    [pytest.param(n, marks=pytest.mark.slow if i >= 8 else []) for i, n in enumerate(_CHOSEN)],
)
def test_combination(index: int, tmp_path: Path) -> None:
    model, normalizers, pre_tokenizer, decoder, kind = ALL[index]
    parts = {
        "model": model,
        "normalizer": {"type": "Sequence", "normalizers": normalizers} if normalizers else None,
        "pre_tokenizer": pre_tokenizer,
        "decoder": decoder,
        "added_tokens": _added(kind, model),
    }
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(parts), encoding="utf-8")
    reason = _refusal(Tokenizer.from_file(str(path)), parts)
    if reason:
        with pytest.raises(UnsupportedTokenizerError, match=reason):
            NativeTokenizer(path, tmp_path)
        return
    library, native = Tokenizer.from_file(str(path)), NativeTokenizer(path, tmp_path)
    chooser = random.Random(index)
    pool = [
        *"  \n.,▁the天é<",
        "e\u0301",
        "xyz",
        "<pad>",
        "the cat",
        "an",
        "<é>",
        *read_text().split(" "),
    ]
    for _ in range(300):
        text = "".join(chooser.choices(pool, k=chooser.randrange(10)))
        ids = library.encode(text).ids
        assert native.encode(text) == ids, text
        assert native.decode(ids) == library.decode(ids).encode(), text
        ids = [chooser.randrange(native.report.size) for _ in range(chooser.randrange(9))]
        assert native.decode(ids) == library.decode(ids).encode(), ids
