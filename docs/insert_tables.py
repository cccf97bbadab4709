"""Put the computed tables into README.md and docs/misra.md: `make format`, or with --check."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from intcc.support import markdown
from intcc.verification.static_analysis import DEVIATIONS, SUPPRESSIONS

ROOT = Path(__file__).resolve().parent.parent


def reasons(title: str, table: Mapping[str, str]) -> str:
    """Return a table of what is meant, and why."""
    rows = [f"| {name} | {reason} |\n" for name, reason in table.items()]
    return f"| {title} | reason |\n|---|---|\n" + "".join(rows)


#: By the file and the marks around it.
TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("README.md", "support"): markdown,
    ("docs/misra.md", "suppressions"): lambda: reasons("finding", SUPPRESSIONS),
    ("docs/misra.md", "deviations"): lambda: reasons("rule", DEVIATIONS),
}


def updated(text: str, mark: str, table: str) -> str:
    """Return `text` with a table between its marks."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    return pattern.sub(lambda m: m[1] + table + m[2], text)


if __name__ == "__main__":
    for (name, mark), table in TABLES.items():
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = updated(old, mark, table())
        if "--check" in sys.argv and old != new:
            sys.exit(f"{name}: the table of {mark} is out of date: make format")
        path.write_text(new, encoding="utf-8")
