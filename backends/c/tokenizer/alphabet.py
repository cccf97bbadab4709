"""ByteLevel's alphabet: one printable character for each byte."""

from __future__ import annotations

__all__ = ["bytes_of", "character_of"]


def _alphabet() -> dict[str, int]:
    """Printable Latin-1 stands for itself, the other bytes follow from U+0100 in order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(others)}


_BYTES = _alphabet()
_CHARACTERS = {byte: character for character, byte in _BYTES.items()}


def bytes_of(token: str) -> bytes | None:
    """Return the bytes that a token stands for; None if it has a character outside the alphabet."""
    try:
        return bytes(map(_BYTES.__getitem__, token))
    except KeyError:
        return None


def character_of(byte: int) -> str:
    """Return the character that stands for a byte."""
    return _CHARACTERS[byte]
