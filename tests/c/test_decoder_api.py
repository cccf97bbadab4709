"""Texts in C: reset, prefill and step against the reference, and what they refuse."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intcc.backends.c.generator import Generation
from intcc.runtime.compiler import STRICT_FLAGS, find_compiler, shared_library
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench
from tests.c.cases_cache import decoder
from tests.c.test_operators import UNDEFINED

Array = npt.NDArray[Any]
CONTEXT, CHUNK, VOCABULARY, TOKENS = 30, 8, 40, 50
OK, NULL_POINTER, MISALIGNED, NO_TOKENS, RANGE, FULL = range(6)
TEXT = [int(t) for t in np.random.default_rng(2).integers(0, TOKENS, CONTEXT)]


class Text:
    """A text in C: its state, as bytes, and the functions."""

    def __init__(self, library: ctypes.CDLL, size: int, fill: int = 0xA5) -> None:
        self.code = library
        raw = np.full(size + 64, fill, np.uint8)
        self.state = raw[-raw.ctypes.data % 64 :][:size]
        self.logits = np.full(VOCABULARY, 7, np.int32)
        library.decoder_reset(_at(self.state))

    def prefill(self, tokens: Sequence[int], *, logits: bool = True) -> int:
        ids = np.asarray(tokens, np.int32)
        wanted = _at(self.logits) if logits else None
        return int(
            self.code.decoder_prefill(_at(self.state), _at(ids), ctypes.c_size_t(len(ids)), wanted)
        )

    def step(self, token: int) -> int:
        return int(self.code.decoder_step(_at(self.state), token, _at(self.logits)))

    @property
    def position(self) -> int:
        return int(self.state[-8:-4].view(np.uint32)[0])


def _at(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@pytest.fixture(scope="module")
def bench() -> Bench:
    bench = decoder(max_tokens=CONTEXT, context=CONTEXT)
    bench.model.metadata_props["intcc.task"] = "text-generation"
    return bench


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generator")
    bench.emit(path, chunk=CHUNK, generation=Generation(end_tokens=(3, 49), begin_token=1))
    return path


def load(folder: Path, flags: tuple[str, ...] = ("-O2",)) -> ctypes.CDLL:
    sources = [folder / f"decoder{part}.c" for part in ("", "_weights", "_selftest")]
    return shared_library(sources, sorted(folder.glob("*.h")), find_compiler(), flags)


def state_bytes(folder: Path) -> int:
    text = (folder / "decoder.h").read_text(encoding="utf-8")
    line = next(x for x in text.splitlines() if "_STATE_BYTES" in x)
    return int(line.split()[-1])


@pytest.fixture(scope="module")
def expected(bench: Bench) -> Array:
    """Return the logits after every token of TEXT."""
    caches = {name: a for name, a in bench.feeds(1, "low").items() if "past" in name}
    feeds = {"input_ids": np.asarray([TEXT], np.int64), **caches}
    return np.asarray(evaluate(bench.model, feeds)["logits"][0])


@pytest.mark.parametrize("flags", [("-O2",), UNDEFINED], ids=["plain", "undefined"])
@pytest.mark.parametrize(
    "pieces",
    [[1] * CONTEXT, [CONTEXT], [CHUNK, CHUNK + 1, 13], [7, 1, 20, 2], [29, 1]],
    ids=lambda p: "-".join(map(str, p[:5])),
)
def test_every_cut_gives_the_same_logits(
    folder: Path, expected: Array, pieces: list[int], flags: tuple[str, ...]
) -> None:
    text, start = Text(load(folder, flags), state_bytes(folder)), 0
    for n in pieces:
        assert text.prefill(TEXT[start : start + n]) == OK
        start += n
        assert text.position == start
        np.testing.assert_array_equal(text.logits, expected[start - 1])


def test_steps_continue_a_prefill_without_logits(folder: Path, expected: Array) -> None:
    text = Text(load(folder), state_bytes(folder))
    assert text.prefill(TEXT[:19], logits=False) == OK
    assert (text.logits == 7).all()
    for i in range(19, CONTEXT):
        assert text.step(TEXT[i]) == OK
        np.testing.assert_array_equal(text.logits, expected[i])
    assert text.step(0) == FULL


def test_reset_begins_again_and_texts_are_apart(folder: Path, expected: Array) -> None:
    library, size = load(folder), state_bytes(folder)
    one, two = Text(library, size), Text(library, size, 0)
    assert one.prefill(TEXT[:9]) == OK == two.prefill(TEXT[1:6])
    assert one.step(TEXT[9]) == OK
    np.testing.assert_array_equal(one.logits, expected[9])
    library.decoder_reset(_at(two.state))
    library.decoder_reset(None)
    assert two.prefill(TEXT[:9]) == OK
    np.testing.assert_array_equal(two.logits, expected[8])


def test_refusals_write_nothing(folder: Path, expected: Array) -> None:
    library, size = load(folder), state_bytes(folder)
    text = Text(library, size)
    assert text.prefill(TEXT[:20]) == OK
    before, logits = text.state.copy(), text.logits.copy()
    assert text.prefill([]) == NO_TOKENS
    assert text.prefill([*TEXT[:8], TOKENS]) == RANGE == text.prefill([-1]) == text.step(TOKENS)
    assert text.prefill([0] * 11) == FULL
    ids, state, out = _at(np.zeros(4, np.int32)), _at(text.state), _at(text.logits)
    one = ctypes.c_size_t(1)
    assert library.decoder_prefill(None, ids, one, out) == NULL_POINTER
    assert library.decoder_prefill(state, None, one, out) == NULL_POINTER
    assert library.decoder_step(None, 0, out) == NULL_POINTER
    assert library.decoder_step(state, 0, None) == NULL_POINTER
    odd = ctypes.c_void_p(text.state.ctypes.data + 4)
    assert library.decoder_prefill(odd, ids, one, out) == MISALIGNED
    assert library.decoder_prefill(state, ids, ctypes.c_size_t(-1), out) == FULL
    np.testing.assert_array_equal(text.state, before)
    np.testing.assert_array_equal(text.logits, logits)
    assert text.prefill(TEXT[20:]) == OK
    np.testing.assert_array_equal(text.logits, expected[-1])
    full = text.state.copy()
    assert text.step(0) == FULL == text.prefill([0])
    np.testing.assert_array_equal(text.state, full)


def test_a_state_that_was_never_reset_is_refused(folder: Path) -> None:
    text = Text(load(folder), state_bytes(folder))
    text.state[:] = 0xFF
    assert text.step(0) == FULL


def test_a_call_of_the_run_function_takes_a_chunk(folder: Path) -> None:
    library, header = load(folder), (folder / "decoder.h").read_text(encoding="utf-8")
    assert f"#define DECODER_MAX_TOKENS {CHUNK}\n" in header
    assert f"#define DECODER_VOCABULARY {VOCABULARY}\n" in header
    assert "#define DECODER_BEGIN_TOKEN 1\n" in header
    arena, cache, ids = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64), np.zeros(64, "i4")
    n = ctypes.c_size_t(CHUNK + 1)
    status = library.decoder_run(_at(arena), _at(cache), _at(ids), n, ctypes.c_size_t(0), None)
    assert status == NO_TOKENS


def test_end_tokens(folder: Path) -> None:
    library = load(folder)
    assert [t for t in range(-1, TOKENS + 5) if library.decoder_ends(t)] == [3, 49]


@pytest.mark.parametrize("chunk", [1, 5, CONTEXT, 1000])
def test_any_chunk(bench: Bench, expected: Array, tmp_path: Path, chunk: int) -> None:
    report = bench.emit(tmp_path, chunk=chunk)
    library = load(tmp_path, ("-O1",))
    assert library.decoder_selftest(_at(np.zeros(1 << 16, np.int64))) == 0
    text = Text(library, state_bytes(tmp_path))
    assert text.prefill(TEXT) == OK
    np.testing.assert_array_equal(text.logits, expected[-1])
    least = min(chunk, CONTEXT) * VOCABULARY
    assert 4 * least <= report.arena_bytes <= 24 * least + 4096


def test_bytes_repeat(bench: Bench, folder: Path, tmp_path: Path) -> None:
    bench.emit(tmp_path, chunk=CHUNK, generation=Generation(end_tokens=(3, 49), begin_token=1))
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()


def test_example_continues_ids(bench: Bench, folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "example"
    flags = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [
        f"-I{folder}",
        *map(str, sorted((*folder.glob("*.c"), *folder.glob("examples/*.c")))),
    ]
    subprocess.run(
        [find_compiler(), *STRICT_FLAGS, *flags, *sources, "-o", str(program)], check=True
    )

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(program), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    session, tokens = Text(load(folder), state_bytes(folder)), [4, 5, 6]
    assert session.prefill(tokens) == OK
    while len(tokens) < CONTEXT and not session.code.decoder_ends(int(session.logits.argmax())):
        tokens.append(int(session.logits.argmax()))
        session.step(tokens[-1])
    assert run("--selftest").stdout == "selftest: passed\n"
    for done in (run("4, 5,6", "100"), run("-", "100", "greedy", "9", text="4 5\n6\n")):
        assert [int(t) for t in done.stdout.split()][: len(tokens)] == tokens, done.stderr
    assert run("", "0").stdout == "1 \n"
    bad_prompts = [["4,x"], ["4,-1"], ["50"], [",".join(["4"] * 31)], ["4" * 5000]]
    bad_rest = [["3x"], ["3", "hot"], ["3", "greedy", "?"], ["3", "greedy", "1", "1"]]
    for bad in (*bad_prompts, *(["4", *rest] for rest in bad_rest)):
        done = run(*bad)
        assert (done.returncode, done.stdout) == (1, ""), bad
        assert done.stderr.count("\n") == 1
