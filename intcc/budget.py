"""Limits on the result of a compilation, so that a build fails when a model outgrows its device.

    arena=256K,flash=2M,stack=2K,sqnr=30

Flash and stack are those of the target's own objects where its compiler is at hand; otherwise the
constant data, and an estimate. K, M and G are 2**10, 2**20 and 2**30 bytes; sqnr is in dB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from intcc.errors import BudgetError, SettingsError

__all__ = ["Budget", "format_bytes"]

SUFFIX = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
#: Figure -> (what the message calls it, whether the limit is a maximum).
FIGURES = {
    "arena": ("Arena", True),
    "flash": ("Flash", True),
    "stack": ("Stack", True),
    "sqnr": ("Output SQNR", False),
}


def format_bytes(count: int) -> str:
    """Return a short exact-enough spelling: 1536 -> '1.5 KiB'."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


@dataclass(frozen=True)
class Budget:
    """Limits; None where there is none.

    Attributes:
        arena: largest arena of the C code, in bytes.
        flash: largest constant data of the C code, and its machine code where a compiler is at
            hand, in bytes.
        stack: deepest path of calls, in bytes.
        sqnr: smallest signal-to-quantization-noise ratio of any output, in dB.
    """

    arena: int | None = None
    flash: int | None = None
    stack: int | None = None
    sqnr: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read the option's text.

        Raises:
            SettingsError: a part is not NAME=LIMIT with a known name and a number.
        """
        limits: dict[str, Any] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, _, limit = part.partition("=")
            match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", limit.strip(), re.IGNORECASE)
            if name not in FIGURES or match is None or (name == "sqnr" and match[2]):
                raise SettingsError(
                    f"--budget '{part}'",
                    "is not a limit",
                    "Write for example arena=256K,flash=2M,stack=2K,sqnr=30",
                )
            value = float(match[1]) * SUFFIX[match[2].upper()]
            limits[name] = value if name == "sqnr" else int(value)
        return cls(**limits)

    def check(self, figures: Mapping[str, float | None]) -> None:
        """Compare the result with the limits.

        Args:
            figures: "arena", "flash", "stack", "sqnr"; None or absent where it was not measured.

        Raises:
            BudgetError: a figure is past its limit, or a limit was given for one that the
                chosen backends do not have.
        """
        for name, (title, is_maximum) in FIGURES.items():
            limit, figure = getattr(self, name), figures.get(name)
            if limit is None:
                continue
            if figure is None:
                raise BudgetError(
                    f"{title} budget",
                    "was given, but this compilation has no such figure",
                    "Emit the C backend (--emit onnx,c) or drop the limit",
                )
            if (figure > limit) if is_maximum else (figure < limit):
                relation = "above" if is_maximum else "below"
                remedy = (
                    "Shorten --max-length, choose a smaller model or raise the limit"
                    if is_maximum
                    else "Give more or closer calibration samples, or lower the limit"
                )
                raise BudgetError(
                    title,
                    f"is {_spell(name, figure)}, {relation} the budget of {_spell(name, limit)}",
                    remedy,
                )


def _spell(name: str, value: float) -> str:
    if name == "sqnr":
        return f"{value:.1f} dB"
    return f"{int(value):,} bytes ({format_bytes(int(value))})"
