"""Windows: where the taps of convolutions and of pooling lie in an image [B, H, W, C].

    extent of the result = (H + top + bottom - dilation * (kernel - 1) - 1) // stride + 1

Attributes are spelled as in ONNX: strides and dilations [vertical, horizontal], pads [top, left,
bottom, right].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intcc.errors import RangeProofError
from intcc.ops.operator import Array

__all__ = ["Windows"]


@dataclass(frozen=True)
class Windows:
    """The geometry of a sliding window.

    Attributes:
        kernel: taps per axis.
        strides: distance between neighbouring windows per axis.
        pads: rows and columns around the image: top, left, bottom, right.
        dilations: distance between neighbouring taps per axis.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    @classmethod
    def of(
        cls, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int],
        dilations: Sequence[int],
    ) -> Windows:  # fmt: skip
        """Build from attributes of ONNX."""
        (a, b), (c, d), (e, f, g, h), (i, j) = kernel, strides, pads, dilations
        return cls((a, b), (c, d), (e, f, g, h), (i, j))

    @property
    def padded(self) -> bool:
        """Whether any window reaches over the edge."""
        return any(self.pads)

    def extent(self, axis: int, size: int) -> int:
        """Return the number of windows along an axis (0 vertical, 1 horizontal) of `size`."""
        covered = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        return (size + self.pads[axis] + self.pads[axis + 2] - covered) // self.strides[axis] + 1

    def require(self, what: str, height: int, width: int) -> None:
        """Check that there are windows, and that each holds some pixel of the image."""
        legal = (
            min(*self.kernel, *self.strides, *self.dilations) >= 1
            and min(self.pads) >= 0
            and self._each_has_a_pixel(0, height)
            and self._each_has_a_pixel(1, width)
        )
        if not legal:
            raise RangeProofError(
                what,
                f"has windows {self} over {height} x {width} pixels, some of them without a pixel",
                "Check the kernel, strides, pads and dilations of the model",
            )

    def _each_has_a_pixel(self, axis: int, size: int) -> bool:
        """Tell whether there are windows along an axis, and a tap of each inside the image.

        Taps that are far from each other can lie on both sides of a small image.
        """
        first = np.arange(self.extent(axis, size)) * self.strides[axis] - self.pads[axis]
        places = first[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]
        inside = ((places >= 0) & (places < size)).any(1)
        return bool(inside.size and inside.all())

    def taps(self, x: Array, fill: Any) -> Iterator[tuple[int, int, Array]]:
        """Yield row, column and the pixels [B, OH, OW, C] that each tap reads, `fill` outside."""
        top, left, bottom, right = self.pads
        y = np.pad(
            x, ((0, 0), (top, bottom), (left, right), (0, 0)), "constant", constant_values=fill
        )
        count = [self.extent(axis, x.shape[axis + 1]) for axis in (0, 1)]
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                first = (i * self.dilations[0], j * self.dilations[1])
                rows, columns = (
                    slice(f, f + (n - 1) * s + 1, s)
                    for f, n, s in zip(first, count, self.strides, strict=True)
                )
                yield i, j, y[:, rows, columns]
