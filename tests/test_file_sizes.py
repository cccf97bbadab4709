"""A file that grows past the limit has two jobs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("intcc", "passes", "backends", "templates", "tests", "benchmarks", "examples")
LIMITS = {".py": 400, ".j2": 150}


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in FOLDERS
        for suffix, limit in LIMITS.items()
        for path in (ROOT / folder).rglob(f"*{suffix}")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit
    }
    assert not long
