"""Read generated C back: calls, kernels and constants, as text and as the compiler sees them."""

from __future__ import annotations

import ctypes
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.runtime.c_model import included
from intcc.runtime.compiler import find_compiler, shared_library
from intcc.verification.report import FailedError

__all__ = ["AcceleratedCall", "DirectKernel", "Emitted", "ProductCall", "ProductKernel"]

Array = npt.NDArray[Any]

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_FUNCTION = re.compile(r"^static void ((?:linear|conv_)\w*)\(([^)]*)\)\n\{\n(.*?)^\}", re.M | re.S)
_TILE = re.compile(r"(\w+)\(left, width, \w+ \+ \w+ \* (\d+), w \+ n \* (\d+), acc\);", re.DOTALL)
_COLUMNS = re.compile(r"for \(size_t n = \w+; n < (\w+); n \+= (\d+)\)")
_ROWS = re.compile(r"int32_t acc\[(\d+)\](?: \w+)?;")
_CALL = re.compile(r"^ {4,}((?:linear|conv_)\w*)\((.*?)\);", re.M | re.S)
#: Of a kernel that reads an image where it lies: the byte outside, columns, and where weights lie.
_ZERO = re.compile(r"\(from\[\w\] - (\d+)\)")
_PLACE = re.compile(r"y\[p \* (\d+) \+ ")
_TAP = re.compile(r"tap = w \+ \((\(j \* \d+ \+ r\)|r) \* \d+ \+ s\) \*")
_ACCELERATED = re.compile(
    r"^ {4,}(intcc_accel_matmul_u8s8_(?:u8|s32)|accel_conv_(?:u8|s32)_\w+)\((.*?)\);", re.M | re.S
)
#: The geometry that such a convolution has, by the name of its function.
_WINDOW = re.compile(r"^static void (accel_conv_\w+)\([^)]*\)\n\{\n[^}]*window = \{([^}]*)\}", re.M)
#: Where a thread's columns begin or end: among how many, in multiples of what.
_RANGE = re.compile(r"begin\([^,]+, \w+, (\d+), \d+\)")
_CONSTANT = re.compile(r"^extern (?:\w+_ALIGNED )?const (\w+)_t (\w+)((?:\[\d+\])+);", re.M)
_REFERENCE = re.compile(r"(\w+)(?:\[0\])?(?: \+ (\d+))?")


@dataclass(frozen=True)
class ProductKernel:
    """A kernel that multiplies by constant weights, as its text tells.

    Attributes:
        name: of the function.
        parameters: names in order.
        tile: function that computes the sums.
        body: text of the function.
        inner: length of a sum.
        columns: number of sums in a row, or the parameter that tells it.
        step: columns of a tile.
        height: rows of a tile.
        stride: bytes of a column of packed weights.
    """

    name: str
    parameters: tuple[str, ...]
    tile: str
    body: str
    inner: int
    columns: str
    step: int
    height: int
    stride: int


@dataclass(frozen=True)
class DirectKernel:
    """A convolution that reads an image where it lies, as its text tells.

    Attributes:
        name: of the function.
        body: text of the function.
        columns: number of filters.
        zero: what is subtracted from each byte.
        by_filter: whether the weights of a filter lie side by side, else those of a tap.
    """

    name: str
    body: str
    columns: str
    zero: int
    by_filter: bool


@dataclass(frozen=True)
class ProductCall:
    """One call of such a kernel, with its arguments by parameter."""

    kernel: ProductKernel | DirectKernel
    arguments: Mapping[str, str]

    @property
    def columns(self) -> int:
        """Number of sums in a row."""
        name = self.kernel.columns
        given = self.arguments.get(name, name)
        shared = _RANGE.fullmatch(given)
        return int(shared[1] if shared else given)


@dataclass(frozen=True)
class AcceleratedCall:
    """A product that an accelerator computes.

    Attributes:
        name: of the function.
        narrow: whether its results are bytes.
        inner: length of a sum.
        columns: number of sums in a row, or of filters.
        zero: what is subtracted from each byte.
        operands: arguments from the weights on.
    """

    name: str
    narrow: bool
    inner: int
    columns: int
    zero: int
    operands: tuple[str, ...]


class Emitted:
    """The C of one model."""

    def __init__(self, folder: Path, name: str) -> None:
        """Read the text.

        Args:
            folder: the generated C.
            name: prefix of the files.
        """
        self.folder, self.name = folder, name
        self._kernels = self._text(f"{name}_kernels.h")
        self._model = self._text(f"{name}.c")
        self._types = {
            match[2]: np.dtype(match[1])
            for match in _CONSTANT.finditer(self._text(f"{name}_weights.h"))
        }
        self._sizes = {
            match[2]: int(np.prod([int(d) for d in re.findall(r"\d+", match[3])]))
            for match in _CONSTANT.finditer(self._text(f"{name}_weights.h"))
        }

    def _text(self, name: str) -> str:
        return _COMMENT.sub("", (self.folder / name).read_text(encoding="utf-8"))

    @cached_property
    def _functions(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """Names of the parameters, and the body, of each kernel with constant weights."""
        return {
            name: (tuple(re.findall(r"\w+$", p.strip())[0] for p in head.split(",")), body)
            for name, head, body in _FUNCTION.findall(self._kernels)
        }

    def _called(self, name: str, text: str) -> tuple[str, dict[str, str]]:
        """Return the kernel that multiplies, and its arguments by parameter.

        A convolution on gathered windows hands its own parameters on to the layer of their rows.
        """
        if name not in self._functions:
            raise FailedError(f"call of {name}, which is not among the kernels")
        parameters, body = self._functions[name]
        arguments = [" ".join(a.split()) for a in _split(text)]
        if len(arguments) != len(parameters):
            raise FailedError(f"call of {name} with {len(arguments)} arguments")
        given = dict(zip(parameters, arguments, strict=True))
        inner = _CALL.search(body)
        if inner is None or not name.startswith(f"{inner[1]}_on_"):
            return name, given
        layer, passed = self._called(inner[1], inner[2])
        return layer, {key: given.get(argument, argument) for key, argument in passed.items()}

    def _kernel(self, name: str) -> ProductKernel | DirectKernel:
        parameters, body = self._functions[name]
        unknown = FailedError(f"kernel {name} has a form that this check cannot read")
        if name.startswith("conv_"):
            zero, place, tap = (p.search(body) for p in (_ZERO, _PLACE, _TAP))
            if zero is None or place is None or tap is None:
                raise unknown
            return DirectKernel(name, body, place[1], int(zero[1]), tap[1] != "r")
        tile, columns, acc = (p.search(body) for p in (_TILE, _COLUMNS, _ROWS))
        if tile is None or columns is None or acc is None:
            raise unknown
        step = int(columns[2])
        return ProductKernel(
            name=name,
            parameters=parameters,
            tile=tile[1],
            body=body,
            inner=int(tile[2]),
            columns=columns[1],
            step=step,
            height=int(acc[1]) // step,
            stride=int(tile[3]),
        )

    @cached_property
    def calls(self) -> list[ProductCall]:
        """Every call of a kernel with constant weights, in order.

        Raises:
            FailedError: a call does not fit its kernel, or that has a form not known here.
        """
        called = [self._called(name, text) for name, text in _CALL.findall(self._model)]
        kernels = {name: self._kernel(name) for name in dict.fromkeys(name for name, _ in called)}
        return [ProductCall(kernels[name], arguments) for name, arguments in called]

    def accelerated(self) -> list[AcceleratedCall]:
        """Return the products with constant weights that an accelerator computes."""
        windows = {
            name: [int(n) for n in re.findall(r"\d+", numbers)]
            for name, numbers in _WINDOW.findall(self._kernels)
        }
        found = []
        for name, text in _ACCELERATED.findall(self._model):
            arguments = tuple(" ".join(a.split()) for a in _split(text))
            narrow = name.endswith("_u8") or name.startswith("accel_conv_u8")
            if name in windows:
                _, _, channels, _, _, columns, height, width, *_, group, zero = windows[name]
                inner, operands = height * width * channels // group, arguments[1:]
            else:
                inner, columns = (int(a) for a in arguments[1:3])
                zero, operands = 0, arguments[4:]
            found.append(AcceleratedCall(name, narrow, inner, columns, zero, operands))
        return found

    @cached_property
    def _library(self) -> ctypes.CDLL:
        """Constants, and the tiles made public."""
        kernels = [call.kernel for call in self.calls]
        tiles = sorted({k.tile for k in kernels if isinstance(k, ProductKernel)})
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "tiles.c"
            lines = [f'#include "{self.name}_kernels.h"']
            for tile in tiles:
                lines.append(
                    f"void public_{tile}(size_t left, size_t width, const uint8_t *x, "
                    f"const int8_t *w, int32_t *acc) {{ {tile}(left, width, x, w, acc); }}"
                )
            source.write_text("\n".join(lines) + "\n", encoding="utf-8")
            flags = ["-O3", "-Wno-unused-function", "-Wno-error", "-I", str(self.folder)]
            weights = self.folder / f"{self.name}_weights.c"
            return shared_library([source, weights], included(self.folder), find_compiler(), flags)

    def constant(self, argument: str) -> Array:
        """Return the elements that an argument points to, or the number that it is.

        Raises:
            FailedError: it is neither.
        """
        if re.fullmatch(r"-?\d+u?", argument):
            return np.array([int(argument.removesuffix("u"))])
        if argument == "(-2147483647 - 1)":
            return np.array([-(2**31)])
        match = _REFERENCE.fullmatch(argument)
        if match is None or match[1] not in self._types:
            raise FailedError(f"argument '{argument}' is no constant")
        dtype, size = self._types[match[1]], self._sizes[match[1]]
        kind = ctypes.c_char * (size * dtype.itemsize)
        data: Array = np.frombuffer(bytes(kind.in_dll(self._library, match[1])), dtype)
        return data[int(match[2] or 0) :]

    def sums(self, call: ProductCall) -> tuple[Array, Array]:
        """Return what each input adds to each sum, [K][N], and the sums of zeros, [N].

        The kernel's own tile computes them from inputs that are all zero but one, so that every
        order of the weights in memory is read as the program reads it.
        """
        kernel, packed = call.kernel, self.constant(call.arguments["w"])
        if isinstance(kernel, DirectKernel):
            shape = (call.columns, -1) if kernel.by_filter else (-1, call.columns)
            taps = packed.reshape(shape).astype(np.int64)
            taps = taps.T if kernel.by_filter else taps
            return taps, -kernel.zero * taps.sum(0)
        tile = getattr(self._library, f"public_{kernel.tile}")
        size, byte = ctypes.c_size_t, ctypes.c_void_p
        made = np.zeros((kernel.inner + 1, call.columns), np.int64)
        acc = np.zeros((kernel.height, kernel.step), np.int32)
        # The last row of inputs is zero everywhere.
        inputs = np.vstack([np.eye(kernel.inner, dtype=np.uint8),
                            np.zeros((1, kernel.inner), np.uint8)])  # fmt: skip
        for n in range(0, call.columns, kernel.step):
            width = min(kernel.step, call.columns - n)
            w = np.ascontiguousarray(packed[n * kernel.stride :])
            for k in range(0, kernel.inner + 1, kernel.height):
                left = min(kernel.height, kernel.inner + 1 - k)
                x = np.ascontiguousarray(inputs[k : k + left])
                tile(size(left), size(width), byte(x.ctypes.data), byte(w.ctypes.data),
                     byte(acc.ctypes.data))  # fmt: skip
                made[k : k + left, n : n + width] = acc[:left, :width]
        return made[:-1] - made[-1], made[-1]


def _split(text: str) -> list[str]:
    """Split arguments at the commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
