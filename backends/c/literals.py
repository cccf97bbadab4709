r"""C literals: large int8 arrays as string literals, the rest as decimal numbers.

A compiler reads a string literal some hundred times faster than a list of numbers, so bytes are
written as

    const int8_t name[384][384] = {
        "\1A\377..."
        "...",
    };

Each row is one string, exactly as long as the row (no terminating zero), at most 4095 bytes, the
length that every C99 compiler accepts. Escapes are the shortest ones that stay unambiguous:
octal escapes get three digits where an octal digit follows; `?` is always escaped (trigraphs).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STRING_LIMIT", "array_body", "c_type", "integer", "row_width", "string_rows"]

Array = npt.NDArray[Any]

#: Longest string literal that C99 promises to accept.
STRING_LIMIT = 4095
#: Arrays of fewer bytes are written as numbers, which read better.
STRINGS_FROM = 512
#: Bytes on one source line.
_LINE = 192
_COLUMNS = 96

_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
}
_NAMED = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
_SPECIAL = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}


def c_type(dtype: Any) -> str:
    """Return the <stdint.h> type of a numpy dtype."""
    return _TYPES[np.dtype(dtype).name]


def integer(value: int) -> str:
    """Return an integer constant of any width up to 64 bits; the minima need an expression."""
    if value == -(2**63):
        return "(-INT64_C(9223372036854775807) - 1)"
    if value == -(2**31):
        return "(-2147483647 - 1)"
    if value > 2**63 - 1:
        return f"UINT64_C({value})"
    if value > 2**32 - 1 or value < -(2**31):
        return f"INT64_C({value})"
    return f"{value}u" if value > 2**31 - 1 else str(value)


def _tables() -> tuple[Array, Array, Array]:
    """Characters per byte, a mask of those used, and the mask when an octal digit follows."""
    characters = np.zeros((256, 4), np.uint8)
    short = np.zeros((256, 4), bool)
    long = np.zeros((256, 4), bool)
    for byte in range(256):
        octal = f"\\{byte:03o}"
        if byte in _NAMED or byte in _SPECIAL:
            text = {**_NAMED, **_SPECIAL}[byte]
            positions, used = range(len(text)), range(len(text))
        elif 32 <= byte < 127:
            text, positions, used = chr(byte), range(1), range(1)
        else:
            text, positions = octal, range(4)
            digits = len(f"{byte:o}")
            used = range(4 - digits, 4)
        characters[byte, : len(text)] = list(text.encode())
        long[byte, list(positions)] = True
        short[byte, list(used)] = True
        if text == octal:
            short[byte, 0] = True
    return characters, short, long


_CHARACTERS, _SHORT, _LONG = _tables()


def row_width(shape: tuple[int, ...]) -> int:
    """Return the row length for an array: its last extent, or a divisor that strings allow."""
    size, last = int(np.prod(shape)), shape[-1] if shape else 1
    if last <= STRING_LIMIT:
        return max(last, 1)
    return max(d for d in range(1, STRING_LIMIT + 1) if size % d == 0)


def _escape(data: Array, ends: Array) -> bytes:
    """Return the escaped text of all bytes, quotes, commas and line ends included.

    Args:
        data: bytes.
        ends: 0 inside a line, 1 where a line ends after this byte, 2 where a row ends.
    """
    following = np.append(data[1:], 0)
    digit = (following >= ord("0")) & (following <= ord("7")) & (ends == 0)
    keep = np.where(digit[:, None], _LONG[data], _SHORT[data])
    tail = np.frombuffer(b'",\n    "', np.uint8)
    width = 4 + len(tail)
    text = np.zeros((data.size, width), np.uint8)
    mask = np.zeros((data.size, width), bool)
    text[:, :4], mask[:, :4] = _CHARACTERS[data], keep
    text[:, 4:] = tail
    mask[ends == 2, 4:] = True
    mask[ends == 1, 4:] = True
    mask[ends == 1, 5] = False
    return text[mask].tobytes()


def string_rows(data: Array, width: int) -> str:
    """Return the initializer rows of an int8 array, `width` elements each."""
    flat = np.ascontiguousarray(data).reshape(-1, width).view(np.uint8)
    ends = np.zeros(flat.shape, np.uint8)
    ends[:, _LINE - 1 :: _LINE] = 1
    ends[:, -1] = 2
    pieces, step = [], max(1, (1 << 20) // width)
    for start in range(0, len(flat), step):
        block, marks = flat[start : start + step].ravel(), ends[start : start + step].ravel()
        pieces.append(_escape(block, marks))
    text = b'    "' + b"".join(pieces)
    return text.decode("ascii").removesuffix('\n    "')


def _number_rows(array: Array) -> str:
    words = [integer(int(v)) for v in array.ravel().tolist()]
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > _COLUMNS:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])


def array_body(array: Array, *, body: bool = True, strings: bool = True) -> tuple[str, str]:
    """Return the dimensions (as `[2][3]`) and the initializer's lines of a C array."""
    if strings and array.dtype == np.int8 and array.size >= STRINGS_FROM:
        width = row_width(array.shape)
        dimensions = f"[{array.size // width}][{width}]"
        return dimensions, string_rows(array, width) if body else ""
    return f"[{array.size}]", _number_rows(array) if body else ""
