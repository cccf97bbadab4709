"""What a verification found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Check", "FailedError", "Report", "SkippedError"]


class FailedError(Exception):
    """A check does not hold; the text says how."""


class SkippedError(Exception):
    """A check cannot be made here; the text says why."""


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        name: what was checked.
        ok: whether it holds.
        detail: the figures, or the first things found wrong.
        seconds: time it took.
    """

    name: str
    ok: bool
    detail: str
    seconds: float = 0.0


@dataclass
class Report:
    """All checks of one artifact, in the order they ran.

    Attributes:
        checks: the table.
        skipped: what could not be checked here, and why.
    """

    checks: list[Check] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def to_json(self) -> Mapping[str, Any]:
        """Return a form ready for JSON."""
        return {
            "ok": self.ok,
            "checks": [
                {"name": c.name, "ok": c.ok, "detail": c.detail, "seconds": round(c.seconds, 3)}
                for c in self.checks
            ],
            "skipped": self.skipped,
        }
