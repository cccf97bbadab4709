"""C identifiers: readable, unique, never a keyword, from any ONNX name."""

from __future__ import annotations

import re

__all__ = ["Names", "identifier"]

#: Internal identifiers are significant to 63 characters in C99.
_LONGEST = 48
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if
        inline int long register restrict return short signed sizeof static struct switch typedef
        union unsigned void volatile while asm bool true false nullptr main arena base below at n
        tokens int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t size_t""",
    )
)


def identifier(name: str) -> str:
    """Return the nearest C identifier in lower case."""
    text = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower() or "value"
    if text[0].isdigit():
        text = f"v{text}"
    return text[:_LONGEST].rstrip("_")


class Names:
    """Gives out identifiers, each once."""

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        """Start with the C keywords and `reserved` taken."""
        self._taken = set(_RESERVED | reserved)

    def unique(self, name: str) -> str:
        """Return an identifier for `name` that was not returned before."""
        stem = identifier(name)
        candidate, count = stem, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{stem}_{count}"
        self._taken.add(candidate)
        return candidate
