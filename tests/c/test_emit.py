"""The folder of C as a whole: contract, statuses, determinism, builds."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.emit import CReport
from intcc.errors import SettingsError
from intcc.runtime.native import NativeModel
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench
from tests.c.encoder import LONGEST, VOCABULARY, WIDTH, encoder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return encoder()


@pytest.fixture(scope="module")
def emitted(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CReport]:
    folder = tmp_path_factory.mktemp("tiny")
    return folder, bench.emit(folder)


@pytest.fixture(scope="module")
def native(bench: Bench, emitted: tuple[Path, CReport]) -> NativeModel:
    return bench.native(emitted[0], ("-O2",))


def feeds(lengths: list[int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    longest = max(lengths)
    mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64)
    ids = rng.integers(0, VOCABULARY, (len(lengths), longest))
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, LONGEST])
def test_encoder_equals_reference(bench: Bench, native: NativeModel, n: int) -> None:
    given = feeds([n])
    expected = evaluate(bench.model, given)["sentence_embedding"]
    assert (native.run(given)["sentence_embedding"] == expected).all()


def test_batch_with_padding_equals_reference(bench: Bench, native: NativeModel) -> None:
    given = feeds([5, 1, 24, 17])
    expected = evaluate(bench.model, given)["sentence_embedding"]
    assert (native.run(given)["sentence_embedding"] == expected).all()


def test_all_tokens_as_output(tmp_path: Path) -> None:
    bench = encoder(pooled=False)
    bench.emit(tmp_path)
    native = bench.native(tmp_path)
    given = feeds([9, 4])
    expected = evaluate(bench.model, given)["last_hidden_state"]
    got = native.run(given)["last_hidden_state"]
    assert got.shape == (2, 9, WIDTH)
    assert (got[0] == expected[0]).all() and (got[1, :4] == expected[1, :4]).all()
    assert not got[1, 4:].any()


def test_reentrant(bench: Bench, native: NativeModel) -> None:
    given = [feeds([n]) for n in (3, 9, 24, 24)]
    expected = [evaluate(bench.model, g)["sentence_embedding"] for g in given]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(50):
            if (native.run(given[i])["sentence_embedding"] != expected[i]).any():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


class TestStatus:
    """Bad arguments give a status, and nothing is written."""

    def call(self, native: NativeModel, **changed: object) -> tuple[int, bool]:
        ids = np.arange(LONGEST + 1, dtype=np.int32)
        arena = np.full(native.arena_bytes + 64, 0xA5, np.uint8)
        out = np.full(WIDTH, 0x5A5A5A5A, np.int32)
        start = -arena.ctypes.data % 8
        pointers: dict[str, object] = {
            "arena": arena.ctypes.data + start,
            "ids": ids.ctypes.data,
            "tokens": 5,
            "out": out.ctypes.data,
        }
        for name, value in changed.items():
            if name == "id":
                ids[3] = int(str(value))
            elif name == "shift":
                pointers["arena"] = arena.ctypes.data + start + int(str(value))
            else:
                pointers[name] = value
        p = pointers
        status = native._run(
            ctypes.c_void_p(p["arena"]),  # type: ignore[arg-type]
            ctypes.c_void_p(p["ids"]),  # type: ignore[arg-type]
            ctypes.c_size_t(p["tokens"]),  # type: ignore[arg-type]
            ctypes.c_void_p(p["out"]),  # type: ignore[arg-type]
        )
        untouched = bool((arena == 0xA5).all() and (out == 0x5A5A5A5A).all())
        return status, untouched

    def test_ok(self, native: NativeModel) -> None:
        assert self.call(native) == (0, False)

    @pytest.mark.parametrize("name", ["arena", "ids", "out"])
    def test_null_pointer(self, native: NativeModel, name: str) -> None:
        assert self.call(native, **{name: None}) == (1, True)

    def test_misaligned_arena(self, native: NativeModel) -> None:
        assert self.call(native, shift=4) == (2, True)

    @pytest.mark.parametrize("tokens", [0, LONGEST + 1, 2**40])
    def test_token_count(self, native: NativeModel, tokens: int) -> None:
        assert self.call(native, tokens=tokens) == (3, True)

    @pytest.mark.parametrize("token", [-1, VOCABULARY, 2**31 - 1, -(2**31)])
    def test_token_id(self, native: NativeModel, token: int) -> None:
        assert self.call(native, id=token) == (4, True)


def test_arena_is_close_to_its_lower_bound(emitted: tuple[Path, CReport]) -> None:
    report = emitted[1]
    assert report.arena_lower_bound <= report.arena_bytes <= 1.05 * report.arena_lower_bound


def test_header_states_the_figures(emitted: tuple[Path, CReport]) -> None:
    folder, report = emitted
    text = (folder / "tiny.h").read_text(encoding="utf-8")
    assert f"#define TINY_ARENA_BYTES {report.arena_bytes}\n" in text
    assert f"#define TINY_MAX_TOKENS {LONGEST}\n" in text
    assert f"flash      {report.flash_bytes} bytes" in text
    assert "#define TINY_SENTENCE_EMBEDDING_SHIFT 20\n" in text
    macs = report.operators["Linear"].macs
    assert macs == LONGEST * 2 * 3 * WIDTH * WIDTH
    assert re.search(rf"Linear +6 +{macs}\n", text)


def test_only_freestanding_headers_are_included(emitted: tuple[Path, CReport]) -> None:
    folder = emitted[0]
    for path in [*folder.glob("tiny*.c"), *folder.glob("tiny*.h")]:
        found = re.findall(r"#include <(.*)>", path.read_text(encoding="utf-8"))
        assert set(found) <= {"stdint.h", "stddef.h"}


def test_names_are_prefixed_and_nothing_is_writable(
    emitted: tuple[Path, CReport], tmp_path: Path
) -> None:
    for source in sorted(emitted[0].glob("tiny*.c")):
        made = tmp_path / "x.o"
        subprocess.run(["gcc", "-std=c99", "-O2", "-c", str(source), "-o", str(made)], check=True)
        listed = subprocess.run(["nm", str(made)], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            kind, name = line.split()[-2:]
            assert kind not in "bBdDC", f"{source.name} holds the variable {name}"
            if kind.isupper() and kind != "U":
                assert name.startswith("tiny_")
            if kind == "U":
                assert name.startswith("tiny_") or name in {
                    "memcpy", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_",
                }  # fmt: skip


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_stack_is_below_the_stated_figure(level: str, tmp_path: Path) -> None:
    report = encoder().emit(tmp_path)
    command = ["gcc", "-std=c99", level, "-fstack-usage", "-c", "tiny.c", "-o", "x.o"]
    subprocess.run(command, check=True, cwd=tmp_path)
    usage = (tmp_path / "x.su").read_text(encoding="utf-8").splitlines()
    frames = {line.split("\t")[0].split(":")[-1]: int(line.split("\t")[1]) for line in usage}
    kernels = {name: size for name, size in frames.items() if name != "tiny_run"}
    # The deepest chain is run, a product, its tile, its block of sums.
    helpers = [size for name, size in kernels.items() if name.startswith(("tile", "dot"))]
    deepest = frames["tiny_run"] + max(kernels.values()) + sum(sorted(helpers)[-2:])
    assert deepest <= report.stack_bytes


def test_lines_are_short(emitted: tuple[Path, CReport]) -> None:
    for name in ("tiny_kernels.h", "tiny.c"):
        for line in (emitted[0] / name).read_text(encoding="utf-8").splitlines():
            assert len(line) <= 110, line


def test_same_bytes_twice(emitted: tuple[Path, CReport], tmp_path: Path) -> None:
    encoder().emit(tmp_path / "again")
    script = (
        "from pathlib import Path\nfrom tests.c.encoder import encoder\n"
        f"encoder().emit(Path({str(tmp_path / 'other')!r}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=ROOT)
    for path in (p for p in emitted[0].rglob("*") if p.is_file()):
        for folder in ("again", "other"):
            twin = tmp_path / folder / path.relative_to(emitted[0])
            assert path.read_bytes() == twin.read_bytes()


def test_makefile_builds_and_tests(emitted: tuple[Path, CReport], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(emitted[0], folder)
    done = subprocess.run(["make", "-C", str(folder), "test"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "selftest: passed" in done.stdout and "warning" not in done.stderr


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_builds_and_tests(emitted: tuple[Path, CReport], tmp_path: Path) -> None:
    build = tmp_path / "build"
    subprocess.run(
        ["cmake", "-S", str(emitted[0]), "-B", str(build)], check=True, capture_output=True
    )
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True)
    done = subprocess.run(["ctest", "--test-dir", str(build)], capture_output=True, text=True)
    assert "100% tests passed" in done.stdout


def test_selftest_notices_a_changed_weight(emitted: tuple[Path, CReport], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(emitted[0], folder)
    path = folder / "tiny_weights.c"
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"const int16_t \w+\[{VOCABULARY}\]", text)
    assert found is not None
    start = found.start()
    at = text.index("{\n", start) + 2
    end = text.index("}", at)
    changed = re.sub(r"-?\d+", "7777", text[at:end])
    path.write_text(text[:at] + changed + text[end:], encoding="utf-8")
    bench = encoder()
    assert bench.native(folder).selftest() != 0


def test_whole_bench_agrees_with_lengths(bench: Bench, native: NativeModel) -> None:
    bench.limits["attention_mask"] = (1, 1)
    short = [(label, f) for label, f in bench.all_feeds() if f["input_ids"].shape[1] <= LONGEST]
    for _, given in short:
        expected = evaluate(bench.model, given)
        got = native.run(given)
        assert all((expected[k] == got[k]).all() for k in expected)


def test_unknown_target_is_named(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Target .abacus. does not exist\. Known: .*generic"):
        bench.emit(tmp_path / "x", target="abacus")
    assert not (tmp_path / "x").exists()


def test_without_evaluation_there_is_no_selftest(bench: Bench, tmp_path: Path) -> None:
    from intcc.backends.c.emit import emit_c

    emit_c(bench.model, tmp_path)
    assert not (tmp_path / "tiny_selftest.c").exists()
    assert "selftest" not in (tmp_path / "tiny.h").read_text(encoding="utf-8")
