"""Boundaries of words at every code point: a tokenizer that merges any two bytes shows them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from intcc.backends.c.tokenizer.alphabet import character_of
from intcc.backends.c.tokenizer.unicode import every_character
from tests.tokenizer.native import NativeTokenizer
from tests.tokenizer.trained import BLOOM, CL100K, DEEPSEEK, LLAMA3, O200K

_CHUNK = 1 << 14
_BYTES = [character_of(byte) for byte in range(256)]
_PAIRS = [(a, b) for a in _BYTES for b in _BYTES]


def _showing(*splits: Any) -> Tokenizer:
    vocabulary = {c: i for i, c in enumerate(_BYTES)}
    vocabulary |= {a + b: 256 + i for i, (a, b) in enumerate(_PAIRS)}
    tokenizer = Tokenizer(models.BPE(vocabulary, _PAIRS))
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splits)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, plain])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _split(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


SPLITS: dict[str, tuple[Any, ...]] = {
    "gpt2": (),
    "llama3": (_split(LLAMA3),),
    "o200k": (_split(O200K),),
    "deepseek": (_split(DEEPSEEK),),
    "cl100k": (_split(CL100K),),
    "bloom": (_split(BLOOM),),
    "punctuation": (pre_tokenizers.Punctuation("merged_with_next"),),
    "digits": (pre_tokenizers.Digits(individual_digits=False),),
    "whitespace": (pre_tokenizers.Whitespace(),),
    "bert": (pre_tokenizers.BertPreTokenizer(),),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in SPLITS])
def test_boundaries(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    _showing(*SPLITS[name]).save(str(path))
    library, native = Tokenizer.from_file(str(path)), NativeTokenizer(path, tmp_path)
    text = every_character()
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        # Beyond the second plane hardly a code point is assigned: once will do.
        contexts = (chunk, "a".join(chunk), "1  ".join(chunk)) if start < 0x20000 else (chunk,)
        for joined in contexts:
            [expected] = library.encode_batch_fast([joined])  # without offsets
            assert native.encode(joined) == expected.ids, hex(start)


@pytest.mark.parametrize(
    "last", [pytest.param(0x3400, id="low"), pytest.param(0x110000, marks=pytest.mark.slow)]
)
def test_composition(last: int, tmp_path: Path) -> None:
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": True}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": model, "normalizer": {"type": "NFC"}}), encoding="utf-8")
    native = NativeTokenizer(path, tmp_path)
    nfc = normalizers.NFC().normalize_str
    text = every_character()[:last]
    for start in range(0, len(text), 2048):
        chunk = text[start : start + 2048]
        for joined in (chunk, "\n".join(chunk), "\u0334\u0301a".join(chunk), "a\u0323".join(chunk)):
            assert bytes(native.encode(joined)) == nfc(joined).encode(), hex(start)
