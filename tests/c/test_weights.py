"""Weights as a file of bytes: the same bits, the same files, and what builds them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c import weights as module
from intcc.errors import SettingsError
from intcc.runtime.compiler import STRICT_FLAGS
from intcc.runtime.reference import evaluate
from intcc.verification.emitted import Emitted
from tests.c.encoder import encoder

TARGET = "x86-64-v3"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny encoder whose weights are a section."""
    made = tmp_path_factory.mktemp("section")
    encoder().emit(made, target=TARGET, weights="section")
    return made


def constants(source: Path, *flags: str, compiler: str = "gcc") -> dict[str, bytes]:
    """Return the bytes of every constant of a source, from its object."""
    made = source.with_suffix(".o")
    command = [compiler, *STRICT_FLAGS, *flags, "-I", str(source.parent), "-c", str(source)]
    subprocess.run([*command, "-o", str(made)], check=True)
    table = subprocess.run(["objdump", "-t", str(made)], capture_output=True, text=True, check=True)
    rows = re.findall(r"^(\w+) .{6}O (\S+)\t(\w+) (\S+)$", table.stdout, re.M)
    found = {}
    for section in {row[1] for row in rows}:
        raw = source.with_suffix(".raw")
        subprocess.run(["objcopy", "-O", "binary", "-j", section, str(made), str(raw)], check=True)
        data = raw.read_bytes()
        for offset, where, size, name in rows:
            if where == section:
                found[name] = data[int(offset, 16) : int(offset, 16) + int(size, 16)]
    return found


@pytest.mark.parametrize("compiler", ["gcc", "clang-19"])
def test_section_holds_the_bytes_of_c(folder: Path, tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    encoder().emit(tmp_path, target=TARGET, weights="c")
    assert not (tmp_path / "tiny_weights.bin").exists()
    wanted = constants(tmp_path / "tiny_weights.c", compiler=compiler)
    assert constants(folder / "tiny_weights.c", compiler=compiler) == wanted
    text = (folder / "tiny_weights.c").read_text(encoding="utf-8")
    placed = re.findall(r"^PLACE\((\w+), (\d+), (\d+)\);", text, re.M)
    data = (folder / "tiny_weights.bin").read_bytes()
    for name, offset, size in placed:
        assert int(offset) % 64 == 0
        assert data[int(offset) : int(offset) + int(size)] == wanted[name]
    assert len(placed) > 10
    assert len(data) == int(placed[-1][1]) + int(placed[-1][2])


@pytest.mark.parametrize("flags", [("-O2",), SANITIZERS[2:]])
def test_runs_equal_the_reference(folder: Path, flags: tuple[str, ...]) -> None:
    bench = encoder()
    bench.limits["attention_mask"] = (1, 1)
    native = bench.native(folder, flags)
    assert native.selftest() == 0
    ids = np.arange(7)[None] % 50
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    expected = evaluate(bench.model, feeds)
    assert all((native.run(feeds)[k] == v).all() for k, v in expected.items())


def test_another_byte_is_another_build(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "c")
    path = tmp_path / "c" / "tiny_weights.bin"
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    assert encoder().native(tmp_path / "c").selftest() != 0


def test_sanitizers_find_nothing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "c")
    flags = " ".join(SANITIZERS)
    command = ["make", "-C", str(tmp_path / "c"), "test", f"CFLAGS={flags}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "selftest: passed" in done.stdout and "warning" not in done.stderr


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_finds_the_file_and_follows_it(folder: Path, tmp_path: Path) -> None:
    source, build = tmp_path / "c", tmp_path / "build"
    shutil.copytree(folder, source)
    for command in (["-S", str(source), "-B", str(build)], ["--build", str(build)]):
        subprocess.run(["cmake", *command], check=True, capture_output=True)
    test = ["ctest", "--test-dir", str(build)]
    assert "100% tests passed" in subprocess.run(test, capture_output=True, text=True).stdout
    path = source / "tiny_weights.bin"
    path.write_bytes(bytes(path.stat().st_size))
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True)
    assert subprocess.run(test, capture_output=True).returncode != 0


@pytest.mark.parametrize("page", [1 << 12, 1 << 20])
def test_large_sections_begin_with_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(module, "PAGE", page)
    encoder().emit(tmp_path, target=TARGET, weights="section")
    source, made = tmp_path / "tiny_weights.c", tmp_path / "weights.o"
    subprocess.run(["gcc", "-I", tmp_path, "-c", source, "-o", made], check=True)
    table = subprocess.run(["objdump", "-h", made], capture_output=True, text=True, check=True)
    (power,) = re.findall(r"\.rodata\.tiny_weights .* 2\*\*(\d+)$", table.stdout, re.M)
    large = (tmp_path / "tiny_weights.bin").stat().st_size >= page
    assert large == (page == 1 << 12)
    assert 1 << int(power) == (page if large else 64)


def test_checks_read_the_section(folder: Path) -> None:
    emitted = Emitted(folder, "tiny")
    data = (folder / "tiny_weights.bin").read_bytes()
    text = (folder / "tiny_weights.c").read_text(encoding="utf-8")
    for name, offset, size in re.findall(r"^PLACE\((\w+), (\d+), (\d+)\);", text, re.M):
        stored = data[int(offset) : int(offset) + int(size)]
        assert emitted.constant(name).tobytes() == stored


def test_same_graph_same_bytes(folder: Path, tmp_path: Path) -> None:
    encoder().emit(tmp_path, target=TARGET, weights="section")
    names = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert len(names) > 10
    assert all((tmp_path / n).read_bytes() == (folder / n).read_bytes() for n in names)


def test_large_weights_of_hosts_are_a_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 1000)
    for target, wanted in ((TARGET, True), ("generic", False), ("cortex-m4", False)):
        encoder().emit(tmp_path / target, target=target)
        assert (tmp_path / target / "tiny_weights.bin").exists() is wanted
        memory = (tmp_path / target / "tiny_memory.h").read_text(encoding="utf-8")
        assert ("TINY_WEIGHTS_SECTION" in memory) is not wanted
    monkeypatch.setattr(module, "LARGE", 10**6)
    encoder().emit(tmp_path / "small", target=TARGET)
    assert not (tmp_path / "small" / "tiny_weights.bin").exists()


@pytest.mark.parametrize(
    ("target", "weights", "message"),
    [
        ("cortex-m4", "section", r"Target 'cortex-m4' keeps its weights in C\. .*--weights c"),
        (TARGET, "stone", r"Form 'stone' of weights does not exist\. Known: c, section"),
    ],
)
def test_refusals_are_named(tmp_path: Path, target: str, weights: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        encoder().emit(tmp_path / "x", target=target, weights=weights)
    assert not (tmp_path / "x").exists()
