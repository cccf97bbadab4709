"""The folder of built libraries: those used longest ago go when there are too many bytes."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from intcc.errors import SettingsError

__all__ = ["cache_folder", "trim", "use"]

#: Bytes that builds may take where INTCC_CACHE_LIMIT does not say.
_LIMIT = 8 * 2**30
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}
_BUILD = re.compile(r"[0-9a-f]{32}(\.\w+)?")


def cache_folder() -> Path:
    """Return where built libraries are kept: $INTCC_CACHE, else the user's cache folder."""
    named = os.environ.get("INTCC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "intcc"


def _limit() -> int:
    text = os.environ.get("INTCC_CACHE_LIMIT", "")
    if not text:
        return _LIMIT
    found = re.fullmatch(r"(\d+)([KMG]?)", text.strip().upper())
    if found is None:
        raise SettingsError(
            f"INTCC_CACHE_LIMIT '{text}'",
            "is no number of bytes",
            "Set it to bytes, or like 500M or 8G",
        )
    return int(found[1]) << _UNITS[found[2]]


def use(build: Path) -> bool:
    """Return whether a build is there; if so it counts as used now."""
    with suppress(OSError):  # a folder that others own is used as it is
        os.utime(build)
    return build.exists()


def trim(newest: Path) -> None:
    """Delete builds that were used longest ago until the others fit; the newest stays.

    What another process has loaded stays usable to it. Files that are no builds are left alone.

    Raises:
        SettingsError: INTCC_CACHE_LIMIT is no number of bytes.
    """
    limit, held = _limit(), []
    for path in newest.parent.iterdir():
        if _BUILD.fullmatch(path.name) and path != newest:
            with suppress(OSError):  # another process deletes, too
                status = path.stat()
                held.append((status.st_mtime, status.st_size, path))
    total = newest.stat().st_size
    for _, size, path in sorted(held, reverse=True):
        total += size
        if total > limit:
            with suppress(OSError):
                path.unlink()
