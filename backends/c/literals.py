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

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "STRING_LIMIT",
    "array_body",
    "array_dimensions",
    "array_pieces",
    "c_type",
    "integer",
    "row_width",
    "string_rows",
]

Array = npt.NDArray[Any]

#: Longest string literal that C99 promises to accept.
STRING_LIMIT = 4095
#: Arrays of fewer bytes are written as numbers, which read better.
STRINGS_FROM = 512
#: Bytes on one source line.
_LINE = 192
_COLUMNS = 96
#: Elements that are turned into text at a time.
_PIECE = 2**18

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


def _words() -> Array:
    """Return the escape of every byte as four characters, zeros for none, in one 32-bit word.

    The second half of the table is for bytes that an octal digit follows.
    """
    table = np.zeros((512, 4), np.uint8)
    for byte in range(256):
        if byte in _NAMED or byte in _SPECIAL:
            short = long = {**_NAMED, **_SPECIAL}[byte]
        elif 32 <= byte < 127:
            short = long = chr(byte)
        else:
            short, long = f"\\{byte:o}", f"\\{byte:03o}"
        for index, text in ((byte, short), (byte + 256, long)):
            table[index, : len(text)] = list(text.encode("ascii"))
    return table.view(np.uint32).reshape(512)


_WORDS = _words()
#: What stands between two lines of one row, and between two rows; zeros are left out.
_NEXT_LINE = np.frombuffer(b'"\n    "\0', np.uint32)
_NEXT_ROW = np.frombuffer(b'",\n    "', np.uint32)


def row_width(shape: tuple[int, ...]) -> int:
    """Return the row length for an array: its last extent, or a divisor that strings allow."""
    size, last = int(np.prod(shape)), shape[-1] if shape else 1
    if last <= STRING_LIMIT:
        return max(last, 1)
    return max(d for d in range(1, STRING_LIMIT + 1) if size % d == 0)


def _escape(block: Array) -> bytes:
    """Return the escaped text of some rows, all that stands between the lines included."""
    rows, width = block.shape
    starts = range(0, width, _LINE)
    following = np.zeros_like(block)
    following[:, :-1] = block[:, 1:]
    following[:, [end - 1 for end in starts[1:]]] = 0
    digit = (following >= ord("0")) & (following <= ord("7"))
    words = _WORDS[block + digit * np.uint16(256)]
    made = np.empty((rows, width + 2 * len(starts)), np.uint32)
    for line, start in enumerate(starts):
        end = min(start + _LINE, width)
        made[:, start + 2 * line : end + 2 * line] = words[:, start:end]
        between = _NEXT_ROW if end == width else _NEXT_LINE
        made[:, end + 2 * line : end + 2 * line + 2] = between
    return made.tobytes().translate(None, b"\0")


def string_rows(data: Array, width: int) -> str:
    """Return the initializer rows of an int8 array, `width` elements each."""
    return "".join(_string_pieces(data, width))


def _string_pieces(data: Array, width: int) -> Iterator[str]:
    flat = np.ascontiguousarray(data).reshape(-1, width).view(np.uint8)
    step = max(1, _PIECE // width)
    yield '    "'
    for start in range(0, len(flat), step):
        text = _escape(flat[start : start + step]).decode("ascii")
        yield text if start + step < len(flat) else text.removesuffix('\n    "')


def _decimals(flat: Array) -> Array:
    """Return the constants as fixed-width byte strings."""
    if flat.dtype.itemsize > 2 or flat.size < 2**16:
        return np.array([integer(v) for v in flat.tolist()], np.bytes_)
    info = np.iinfo(flat.dtype)
    table = np.array([integer(v) for v in range(info.min, info.max + 1)], np.bytes_)
    return np.asarray(table[flat.astype(np.int32) - info.min])


def _number_pieces(array: Array) -> Iterator[str]:
    """Yield lines of numbers: as many on each as fit."""
    flat, start = np.ascontiguousarray(array).reshape(-1), 0
    while start < flat.size:
        words = _decimals(flat[start : start + _PIECE])
        ends = np.concatenate([[0], np.cumsum(np.char.str_len(words) + 2)])
        following = np.searchsorted(ends, ends[:-1] + _COLUMNS - 3, "right") - 1
        following = np.maximum(following, np.arange(1, len(following) + 1)).tolist()
        lines, at = [], 0
        while at < len(words):
            lines.append(at)
            at = following[at]
        if start + len(words) < flat.size:
            words = words[: lines.pop()]  # the last line may not be full yet
        cells = np.zeros((len(words), words.itemsize + 6), np.uint8)
        cells[:, 4] = ord(" ")
        cells[lines, :5] = list(b"\n    ")
        cells[:, 5:-1] = words.view(np.uint8).reshape(len(words), -1)
        cells[:, -1] = ord(",")
        text = cells.tobytes().translate(None, b"\0").decode("ascii")
        yield text if start else text.removeprefix("\n")
        start += len(words)
    if not flat.size:
        yield "   "


def array_dimensions(array: Array, *, strings: bool = True) -> str:
    """Return the dimensions of a C array, as `[2][3]`."""
    if not (strings and _as_strings(array)):
        return f"[{array.size}]"
    width = row_width(array.shape)
    return f"[{array.size // width}][{width}]"


def _as_strings(array: Array) -> bool:
    return array.dtype == np.int8 and array.size >= STRINGS_FROM


def array_pieces(array: Array, *, strings: bool = True) -> Iterator[str]:
    """Yield the initializer's lines of a C array in pieces, as they can take gigabytes."""
    if strings and _as_strings(array):
        return _string_pieces(array, row_width(array.shape))
    return _number_pieces(array)


def array_body(array: Array, *, strings: bool = True) -> str:
    """Return the initializer's lines of a C array."""
    return "".join(array_pieces(array, strings=strings))
