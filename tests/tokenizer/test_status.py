"""What cannot be done is a status, and nothing else happens."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.tokenizer import native as c
from tests.tokenizer.trained import KINDS

TEXT = "Once upon a time 天"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, c.NativeTokenizer]:
    folder = tmp_path_factory.mktemp("llama2")
    path = folder / "tokenizer.json"
    KINDS["llama2"]().save(str(path))
    return Tokenizer.from_file(str(path)), c.NativeTokenizer(path, folder)


def _encode(native: c.NativeTokenizer, data: bytes = TEXT.encode(), **changed: Any) -> Any:
    """Return the status, the count and the ids, with some arguments changed."""
    scratch = (ctypes.c_uint64 * 1000)()
    tokens = (ctypes.c_int32 * 200)(*[-7] * 200)
    count = ctypes.c_size_t(99)
    arguments: dict[str, Any] = {
        "text": data,
        "bytes": ctypes.c_size_t(len(data)),
        "special": 1,
        "tokens": tokens,
        "capacity": ctypes.c_size_t(200),
        "count": ctypes.byref(count),
        "scratch": scratch,
        "scratch_bytes": ctypes.c_size_t(8000),
    }
    status = native.encode_c(*{**arguments, **changed}.values())
    return status, count.value, list(tokens)


@pytest.mark.parametrize("name", ["text", "tokens", "count", "scratch"])
def test_null_pointer(pair: tuple[Tokenizer, c.NativeTokenizer], name: str) -> None:
    changed: dict[str, Any] = {name: None}
    assert _encode(pair[1], **changed)[0] == c.NULL_POINTER


@pytest.mark.parametrize(
    "data",
    [
        b"\x80", b"a\xc3", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"ok \xe2\x82", b"\xf0\x9f\x98",
        b"\xe2\x28\xa1",
    ],
)  # fmt: skip
def test_text_that_is_not_utf8(pair: tuple[Tokenizer, c.NativeTokenizer], data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        data.decode()
    status, count, tokens = _encode(pair[1], data)
    assert (status, count) == (c.TEXT, 0)
    assert set(tokens) == {-7}


def test_text_that_is_too_long(pair: tuple[Tokenizer, c.NativeTokenizer]) -> None:
    assert _encode(pair[1], bytes=ctypes.c_size_t(2**31))[0] == c.TEXT


def test_scratch(pair: tuple[Tokenizer, c.NativeTokenizer]) -> None:
    library, native = pair
    scratch = (ctypes.c_uint64 * 1000)()
    off = ctypes.cast(ctypes.addressof(scratch) + 4, ctypes.c_void_p)
    assert _encode(native, scratch=off)[0] == c.MISALIGNED
    enough = native.scratch_bytes(len(TEXT.encode()))
    expected = library.encode(TEXT).ids
    for size in range(0, enough + 1, 4):
        status, count, tokens = _encode(native, scratch_bytes=ctypes.c_size_t(size))
        assert status in (c.OK, c.SCRATCH)
        if status == c.OK:
            assert tokens[:count] == expected
    assert status == c.OK


def test_capacity(pair: tuple[Tokenizer, c.NativeTokenizer]) -> None:
    library, native = pair
    ids = library.encode(TEXT).ids
    for capacity in range(1, len(ids) + 1):
        status, count, tokens = _encode(native, capacity=ctypes.c_size_t(capacity))
        assert status == (c.OK if capacity == len(ids) else c.CAPACITY)
        assert count == len(ids)
        assert tokens[:capacity] == ids[:capacity]
        assert set(tokens[capacity:]) == {-7}
    counted = _encode(native, tokens=None, capacity=ctypes.c_size_t(0))
    assert counted[:2] == (c.OK, len(ids))


def _byte_ids(library: Tokenizer, data: bytes) -> list[int]:
    vocabulary = library.get_vocab()
    return [vocabulary[f"<0x{byte:02X}>"] for byte in data]


class _Decoding:
    """A text in the making with a small output."""

    def __init__(self, native: c.NativeTokenizer, held: int) -> None:
        self.native, self.state = native, c.Decoder()
        self.memory = (ctypes.c_ubyte * max(held, 1))()
        start = native.start_c(ctypes.byref(self.state), self.memory, ctypes.c_size_t(held))
        assert start == c.OK
        self.out = ctypes.create_string_buffer(64)
        self.count = ctypes.c_size_t()

    def give(self, token: int, capacity: int) -> tuple[int, bytes]:
        status = self.native.decode_c(
            ctypes.c_int32(token), ctypes.byref(self.state), self.out, ctypes.c_size_t(capacity),
            ctypes.byref(self.count),
        )  # fmt: skip
        return status, self.out.raw[: self.count.value]

    def end(self, capacity: int) -> tuple[int, bytes]:
        status = self.native.end_c(
            ctypes.byref(self.state), self.out, ctypes.c_size_t(capacity), ctypes.byref(self.count)
        )
        return status, self.out.raw[: self.count.value]


def test_decode_statuses(pair: tuple[Tokenizer, c.NativeTokenizer]) -> None:
    library, native = pair
    decoding = _Decoding(native, 2)
    size = library.get_vocab_size()
    for token in (-1, size, 2**31 - 1, -(2**31)):
        assert decoding.give(token, 64)[0] == c.RANGE
    word = max(range(size), key=lambda i: len(library.id_to_token(i) or "") if i > 2 else 0)
    text = library.decode([word]).encode()
    assert decoding.give(word, len(text) - 1)[0] == c.CAPACITY
    assert decoding.count.value == len(text)
    assert decoding.give(word, len(text)) == (c.OK, text)  # the failed call changed nothing
    bytes_ = _byte_ids(library, "天".encode())
    assert [decoding.give(b, 64)[0] for b in bytes_] == [c.OK, c.OK, c.HELD]
    assert decoding.end(5)[0] == c.CAPACITY
    assert decoding.end(6) == (c.OK, b"\xef\xbf\xbd" * 2)


@pytest.mark.parametrize("argument", [0, 3, 5])
def test_decode_null_pointers(pair: tuple[Tokenizer, c.NativeTokenizer], argument: int) -> None:
    native = pair[1]
    state, count, out = c.Decoder(), ctypes.c_size_t(), ctypes.create_string_buffer(8)
    calls: dict[int, Callable[[], int]] = {
        0: lambda: native.start_c(None, None, ctypes.c_size_t(0)),
        3: lambda: native.decode_c(5, None, out, ctypes.c_size_t(8), ctypes.byref(count)),
        5: lambda: native.end_c(ctypes.byref(state), None, ctypes.c_size_t(8), ctypes.byref(count)),
    }
    assert calls[argument]() == c.NULL_POINTER


def test_bytes_of_a_broken_run_follow_at_once(
    pair: tuple[Tokenizer, c.NativeTokenizer],
) -> None:
    """Without held bytes what came before an error stays written; with them it is replaced."""
    library, native = pair
    ids = _byte_ids(library, "é".encode() + b"\xff\x41")
    assert native.decode(ids) == library.decode(ids).encode() == "\ufffd".encode() * 4
    assert native.decode(ids, held=0) == "é\ufffd\ufffd".encode()


def test_files(pair: tuple[Tokenizer, c.NativeTokenizer], tmp_path: Path) -> None:
    names = [path.name for path in pair[1].report.files]
    assert names == ["t_tokenizer.h", "t_tokenizer.c", "t_tokenizer_tables.c"]
