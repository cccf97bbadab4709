"""Put the computed support table into README.md: `make format`, or with --check in the tests."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from intcc.support import markdown

README = Path(__file__).resolve().parent.parent / "README.md"
PATTERN = re.compile(r"(<!-- support -->\n).*?(<!-- /support -->)", re.DOTALL)


def updated(text: str) -> str:
    """Return `text` with the table between its marks."""
    return PATTERN.sub(lambda m: m[1] + markdown() + m[2], text)


if __name__ == "__main__":
    old = README.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in sys.argv:
        sys.exit(0 if old == new else "README.md: the support table is out of date: make format")
    README.write_text(new, encoding="utf-8")
