"""The runtime that builds and calls generated C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intcc.errors import ArtifactError, DataError, ToolError
from intcc.runtime import native
from intcc.runtime.compiler import find_compiler
from tests.c.bench import Bench
from tests.c.encoder import VOCABULARY, encoder


@pytest.fixture(scope="module")
def bench() -> Bench:
    return encoder()


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("native")
    bench.emit(path)
    return path


def feeds(mask: list[list[int]]) -> dict[str, np.ndarray]:
    m = np.array(mask, np.int64)
    return {"input_ids": np.ones(m.shape, np.int64), "attention_mask": m}


def test_mask_must_be_a_prefix_of_ones(bench: Bench, folder: Path) -> None:
    with pytest.raises(DataError, match="has zeros before ones"):
        bench.native(folder).run(feeds([[1, 0, 1]]))


def test_empty_row_is_refused(bench: Bench, folder: Path) -> None:
    with pytest.raises(DataError, match="a sequence of a length it does not take"):
        bench.native(folder).run(feeds([[0, 0]]))


def test_foreign_id_is_refused(bench: Bench, folder: Path) -> None:
    given = feeds([[1, 1]])
    given["input_ids"][0, 1] = VOCABULARY
    with pytest.raises(DataError, match="got an id outside its table"):
        bench.native(folder).run(given)


def test_library_is_built_once(
    bench: Bench, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTCC_CACHE", str(tmp_path))
    bench.native(folder)
    first = [(p.name, p.stat().st_ino) for p in tmp_path.iterdir()]
    bench.native(folder)
    assert [(p.name, p.stat().st_ino) for p in tmp_path.iterdir()] == first
    bench.native(folder, ("-O0",))
    assert len(list(tmp_path.iterdir())) == 2


def test_large_pages_are_an_option(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    monkeypatch.setattr(native, "enlarge", lambda library: moved.append(library._name))
    bench.native(folder, large_pages=False)
    assert moved == []
    bench.native(folder)
    assert len(moved) == 1


def test_missing_compiler_is_named(bench: Bench, folder: Path) -> None:
    with pytest.raises(ToolError, match=r"C compiler was not found \(nocc\)\. Install gcc"):
        bench.native(folder, compiler="nocc")


def test_no_compiler_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolError, match=r"C compiler was not found \(cc, gcc, clang\)"):
        find_compiler()


def test_cc_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc")
    assert find_compiler().endswith("gcc")


def test_failing_compiler_is_one_message(bench: Bench, folder: Path) -> None:
    with pytest.raises(ToolError, match="rejects the generated code") as caught:
        bench.native(folder, ("-fno-such-flag",))
    assert len(str(caught.value).splitlines()) == 1


def test_folder_without_c(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no generated C"):
        bench.native(tmp_path)
