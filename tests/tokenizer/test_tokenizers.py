"""The generated C gives the ids and the text that the `tokenizers` library gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.tokenizer.native import NativeTokenizer
from tests.tokenizer.trained import KINDS, lines, read_text

#: Its class of word characters takes seconds to ask for.
_SLOW = {"single_word"}
_MODELS = ("stories260k", "bitnet-1m")
_PIECES = (
    "<s>", "</s>", "<mask>", "<sep>", "<|begin|>", "<|endoftext|>", "<tool_é>", "<tool_é>",
    " ", "  ", "\n", "\r\n", "\t", "▁", "block", "zebra", " whole", "é", "\u0301", "\u0323\u0307",
    "'ll", "'ſ", "İ", "12345", "x", "\0", "\U0010ffff", "한", "ᄒ", "ᅡ", "ᆫ", "Ġ",
)  # fmt: skip

Pair = tuple[Tokenizer, NativeTokenizer]
_built: dict[str, Pair] = {}


def _build(name: str, folder: Path) -> Pair:
    if name not in _built:
        path = folder / "tokenizer.json"
        KINDS[name]().save(str(path))
        _built[name] = Tokenizer.from_file(str(path)), NativeTokenizer(path, folder)
    return _built[name]


@pytest.fixture(
    params=[pytest.param(k, marks=[pytest.mark.slow] if k in _SLOW else []) for k in KINDS]
)
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    return _build(request.param, tmp_path)


@pytest.fixture(params=_MODELS)
def real(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Pair:
    path = shared / "models" / request.param / "tokenizer.json"
    if not path.exists():
        pytest.skip(f"no tokenizer of {request.param}")
    return Tokenizer.from_file(str(path)), NativeTokenizer(path, tmp_path)


def check(pair: Pair, text: str) -> None:
    library, native = pair
    for special in (True, False):
        ids = library.encode(text, add_special_tokens=special).ids
        assert native.encode(text, special) == ids, text
    expected = library.decode(ids).encode()
    assert native.decode(ids) == expected, text
    assert native.decode(ids, held=0) == expected, text


def mixtures(count: int) -> Iterator[str]:
    chooser = random.Random(5)
    pool = [*_PIECES * 3, *read_text().split(" ")]
    for _ in range(count):
        yield "".join(chooser.choices(pool, k=chooser.randrange(12)))


def check_all(pair: Pair) -> None:
    for text in ("", " ", "▁", read_text(), *lines(), *mixtures(400)):
        check(pair, text)
    library, native = pair
    chooser = random.Random(7)
    for _ in range(400):
        ids = [chooser.randrange(native.report.size) for _ in range(chooser.randrange(20))]
        assert native.decode(ids) == library.decode(ids).encode(), ids


def test_trained(trained: Pair) -> None:
    check_all(trained)


def test_real(real: Pair) -> None:
    check_all(real)


@pytest.mark.parametrize("name", ["llama3", "qwen2", "llama2", "fused_unknown"])
def test_any_text(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    pair = _build(name, tmp_path_factory.mktemp(name))

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
    def any_text(text: str) -> None:
        check(pair, text)

    any_text()


@pytest.mark.parametrize("name", ["llama2", "gemma", "gpt2"])
def test_long_words_take_no_quadratic_time(name: str, tmp_path: Path) -> None:
    pair = _build(name, tmp_path)
    for text in ("a" * 200_000, "abcdefgh " * 20_000, "天" * 50_000, " " * 100_000):
        library, native = pair
        assert native.encode(text) == library.encode(text).ids


def test_emission_repeats(tmp_path: Path) -> None:
    from intcc.backends.c.tokenizer import emit_tokenizer

    path = tmp_path / "tokenizer.json"
    KINDS["llama2"]().save(str(path))
    made = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        made.append([f.read_bytes() for f in emit_tokenizer(path, "t", folder).files])
    assert made[0] == made[1]


def test_no_float_no_heap(trained: Pair) -> None:
    assert trained[1].findings == []
