"""Write an output folder completely or not at all.

Files go to a temporary folder beside the target, which is renamed once it is complete: an error,
an interrupt or a full disk leaves nothing behind, and an artifact that was there stays whole.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from intcc.errors import ArtifactError

__all__ = ["check_target", "staged"]


def check_target(target: Path, *, force: bool, replaceable: Callable[[Path], bool]) -> None:
    """Refuse a target that exists, before any long work.

    Args:
        target: the folder to be.
        force: allow replacing what `replaceable` accepts.
        replaceable: tells whether an existing folder is ours.

    Raises:
        ArtifactError: the target exists and may not be replaced, or its parent is no folder.
    """
    if target.is_symlink() or target.exists():
        if not force:
            raise ArtifactError(
                f"Output '{target}'", "exists already", "Choose another folder or add --force"
            )
        if target.is_symlink() or not target.is_dir() or not replaceable(target):
            raise ArtifactError(
                f"Output '{target}'",
                "is not an artifact of intcc, so --force does not replace it",
                "Choose another folder",
            )
    parent = target.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise ArtifactError(
            f"Output '{target}'", f"lies under '{parent}', a file", "Choose another folder"
        )


@contextlib.contextmanager
def staged(target: Path, *, force: bool, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends without an exception.

    Raises:
        ArtifactError: as check_target; or the disk is full or the place not writable.
    """
    check_target(target, force=force, replaceable=replaceable)
    made = _make_parents(target.absolute().parent)
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
        folder.chmod(0o755)
        yield folder
        check_target(target, force=force, replaceable=replaceable)
        _swap(folder, target)
        folder, made = None, []
    except OSError as error:
        raise _explained(target, error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()


def _make_parents(parent: Path) -> list[Path]:
    """Create missing parents; return those created, outermost first."""
    missing: list[Path] = []
    while not parent.exists():
        missing.insert(0, parent)
        parent = parent.parent
    made: list[Path] = []
    for path in missing:
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise _explained(path, error) from error
        made.append(path)
    return made


def _swap(folder: Path, target: Path) -> None:
    """Rename `folder` to `target`; an existing target is moved aside first and removed last."""
    if not target.exists():
        folder.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=folder.parent))
    try:
        target.rename(aside / target.name)
        try:
            folder.rename(target)
        except BaseException:
            (aside / target.name).rename(target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _explained(target: Path, error: OSError) -> ArtifactError:
    remedies = {
        errno.ENOSPC: "Free some space",
        errno.EDQUOT: "Free some space in your quota",
        errno.EACCES: "Choose a folder that you may write to",
        errno.EPERM: "Choose a folder that you may write to",
        errno.EROFS: "Choose a folder on a writable disk",
    }
    return ArtifactError(
        f"Output '{target}'",
        f"could not be written: {error.strerror or error}",
        remedies.get(error.errno or 0, "Nothing was left behind; check the disk and try again"),
    )
