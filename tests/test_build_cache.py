"""The folder of built libraries: what goes when it is full, and what is said of a useless one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intcc.errors import SettingsError, ToolError
from intcc.runtime.cache import trim, use
from intcc.runtime.compiler import built, find_compiler

SUFFIX = ".so"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Builds 0 to 4 of 1000 bytes, used in this order, and a file that is none."""
    monkeypatch.setenv("INTCC_CACHE", str(tmp_path))
    for index in range(5):
        build(tmp_path, index).write_bytes(bytes(1000))
        os.utime(build(tmp_path, index), (index, index))
    (tmp_path / "sources.json").write_bytes(bytes(9000))
    return tmp_path


def build(folder: Path, index: int) -> Path:
    return folder / f"{index:032x}{SUFFIX}"


def left(folder: Path) -> list[int]:
    assert (folder / "sources.json").exists()
    return [i for i in range(5) if build(folder, i).exists()]


def test_builds_used_longest_ago_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trim(build(folder, 0))
    assert left(folder) == [0, 1, 2, 3, 4]  # far below the usual limit
    assert use(build(folder, 1))
    monkeypatch.setenv("INTCC_CACHE_LIMIT", "3K")
    trim(build(folder, 0))
    assert left(folder) == [0, 1, 4]
    monkeypatch.setenv("INTCC_CACHE_LIMIT", "999")
    trim(build(folder, 4))
    assert left(folder) == [4]
    assert not use(build(folder, 0))


def test_limit_that_is_no_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTCC_CACHE_LIMIT", "plenty")
    with pytest.raises(SettingsError, match=r"'plenty' is no number of bytes\. Set it to bytes"):
        trim(build(folder, 0))
    assert left(folder) == [0, 1, 2, 3, 4]


def test_building_trims(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTCC_CACHE_LIMIT", "1")
    source = folder / "a.c"
    source.write_text("int a(void);\nint a(void) { return 1; }\n", encoding="utf-8")
    made = built([source], [], find_compiler(), ("-shared", "-fPIC"), SUFFIX)
    assert left(folder) == []
    assert made.exists()


def test_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTCC_CACHE", str(folder / "sources.json"))
    source = folder / "a.c"
    source.write_text("int a;\n", encoding="utf-8")
    with pytest.raises(ToolError, match=r"sources\.json' cannot be written .* set INTCC_CACHE"):
        built([source], [], find_compiler(), ("-shared", "-fPIC"), SUFFIX)


def test_full_disk_is_not_the_code_to_blame(folder: Path) -> None:
    compiler = folder / "cc"
    compiler.write_text("#!/bin/sh\necho 'can not write: No space left on device' >&2\nexit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(ToolError, match=r"cannot be written \(No space left on device\)\. Make"):
        built([], [], str(compiler), (), SUFFIX)
