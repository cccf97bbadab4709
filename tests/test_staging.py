"""Output folders are complete or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from intcc.errors import ArtifactError
from intcc.staging import staged


def ours(folder: Path) -> bool:
    return (folder / "mark").exists()


def write(target: Path, text: str, *, force: bool = False) -> None:
    with staged(target, force=force, replaceable=ours) as folder:
        (folder / "mark").write_text(text, encoding="utf-8")


def test_success_renames(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "out", "1")
    assert (tmp_path / "a" / "b" / "out" / "mark").read_text(encoding="utf-8") == "1"
    assert os.listdir(tmp_path / "a" / "b") == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_left_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with (
        pytest.raises(error),
        staged(tmp_path / "new" / "out", force=False, replaceable=ours) as folder,
    ):
        (folder / "half").write_text("x", encoding="utf-8")
        raise error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "Free some space"), (errno.EACCES, "Choose a folder that you may write to")],
)
def test_disk_errors_are_explained(tmp_path: Path, number: int, remedy: str) -> None:
    with (
        pytest.raises(ArtifactError, match=f"could not be written: .*{remedy}"),
        staged(tmp_path / "out", force=False, replaceable=ours),
    ):
        raise OSError(number, os.strerror(number))
    assert os.listdir(tmp_path) == []


def test_existing_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "out", "1")
    with pytest.raises(ArtifactError, match=r"exists already\. Choose .* or add --force"):
        write(tmp_path / "out", "2")
    assert (tmp_path / "out" / "mark").read_text(encoding="utf-8") == "1"


def test_force_replaces_ours_only(tmp_path: Path) -> None:
    write(tmp_path / "out", "1")
    write(tmp_path / "out", "2", force=True)
    assert (tmp_path / "out" / "mark").read_text(encoding="utf-8") == "2"
    assert os.listdir(tmp_path) == ["out"]
    for target in (tmp_path / "precious", tmp_path / "file", tmp_path / "link"):
        if target.name == "precious":
            target.mkdir()
        elif target.name == "file":
            target.write_text("x", encoding="utf-8")
        else:
            target.symlink_to(tmp_path / "out")
        with pytest.raises(ArtifactError, match="--force does not replace it"):
            write(target, "3", force=True)


def test_failure_with_force_keeps_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "out", "1")
    with (
        pytest.raises(ValueError, match="stop"),
        staged(tmp_path / "out", force=True, replaceable=ours),
    ):
        raise ValueError("stop")
    assert (tmp_path / "out" / "mark").read_text(encoding="utf-8") == "1"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"lies under '.*file', a file"):
        write(tmp_path / "file" / "out", "1")


def test_folder_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with (
        pytest.raises(ArtifactError, match="exists already"),
        staged(tmp_path / "out", force=False, replaceable=ours),
    ):
        (tmp_path / "out").mkdir()
    assert os.listdir(tmp_path) == ["out"]
