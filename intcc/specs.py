"""The outside of a compiled model: each input's and output's shape, type and scale.

    real = (q - zero) * mul / 2**shift

`pipeline` fills these in, the manifest stores them, every runtime reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["INTEGER_SUFFIX", "LOGITS", "PAST", "TOTAL", "Scale", "TensorSpec", "integer_feeds"]

Array = npt.NDArray[Any]
#: Symbolic extents of a cache before and after a call.
PAST, TOTAL = "past", "total"
#: Name of a decoder's output.
LOGITS = "logits"
#: Name of the integer value behind a float output of `--float-io`, after the output's own name.
INTEGER_SUFFIX = "_integer"


@dataclass(frozen=True)
class Scale:
    """An affine integer code: real = (q - zero) * mul / 2**shift.

    Attributes:
        mul: integer multiplier, or one per element of `axis`.
        shift: right shift.
        zero: the code of 0.0, or one per element of `axis`.
        axis: dimension of per-channel figures.
    """

    mul: int | tuple[int, ...]
    shift: int
    zero: int | tuple[int, ...] = 0
    axis: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scale:
        """Read the manifest's form."""

        def whole(x: Any) -> int | tuple[int, ...]:
            return tuple(int(v) for v in x) if isinstance(x, list | tuple) else int(x)

        return cls(whole(data["mul"]), int(data["shift"]), whole(data.get("zero", 0)),
                   data.get("axis"))  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's form."""

        def plain(x: int | tuple[int, ...]) -> int | list[int]:
            return list(x) if isinstance(x, tuple) else x

        data = {"mul": plain(self.mul), "shift": self.shift, "zero": plain(self.zero)}
        return data if self.axis is None else {**data, "axis": self.axis}

    def describe(self) -> str:
        """Return the meaning of a code q as a formula."""

        def short(figure: int | tuple[int, ...]) -> str:
            if isinstance(figure, tuple) and len(set(figure)) == 1:
                return str(figure[0])
            return str(list(figure) if isinstance(figure, tuple) else figure)

        zero = short(self.zero)
        code = "q" if zero == "0" else f"(q - {zero})"
        return f"{code} * {short(self.mul)} / 2^{self.shift}"

    def _spread(self, figure: int | tuple[int, ...], rank: int) -> Array:
        array = np.asarray(figure, dtype=np.float64)
        if array.ndim == 0 or self.axis is None:
            return array
        shape = [1] * rank
        shape[self.axis] = array.size
        return array.reshape(shape)

    def dequantize(self, q: Array) -> Array:
        """Return the real values as float64."""
        unit = np.ldexp(self._spread(self.mul, q.ndim), -self.shift)
        return np.asarray((q.astype(np.float64) - self._spread(self.zero, q.ndim)) * unit)

    def quantize(self, real: Array, lo: int, hi: int) -> Array:
        """Return the nearest codes in [lo, hi], ties upwards, as int64."""
        unit = np.ldexp(self._spread(self.mul, real.ndim), -self.shift)
        code = np.floor(real / unit + self._spread(self.zero, real.ndim) + 0.5)
        return np.clip(code, lo, hi).astype(np.int64)


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a compiled model.

    Attributes:
        name: name in the graph.
        dtype: numpy name of the integer type.
        shape: extents; symbolic ones ("batch", "sequence") by name.
        scale: meaning of the integers; None for indices and masks.
        lo: smallest legal value of an input.
        hi: largest legal value of an input.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    scale: Scale | None = None
    lo: int | None = None
    hi: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Read the manifest's form."""
        scale = data.get("scale")
        lo, hi = data.get("range") or (None, None)
        return cls(data["name"], data["dtype"], tuple(data["shape"]),
                   Scale.from_json(scale) if scale else None, lo, hi)  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's form."""
        data: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.scale is not None:
            data["scale"] = self.scale.to_json()
        if self.lo is not None and self.hi is not None:
            data["range"] = [self.lo, self.hi]
        return data

    @cached_property
    def cached(self) -> bool:
        """Whether this is a cache of earlier tokens."""
        return PAST in self.shape

    def empty_cache(self, batch: int = 1) -> Array:
        """Return the cache before the first token."""
        extents = {PAST: 0, "batch": batch}
        shape = [d if isinstance(d, int) else extents[d] for d in self.shape]
        return np.zeros(shape, self.dtype)

    @cached_property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest legal value: the declared range, else the type's."""
        info = np.iinfo(self.dtype)
        return (
            int(info.min) if self.lo is None else self.lo,
            int(info.max) if self.hi is None else self.hi,
        )


def integer_feeds(specs: Sequence[TensorSpec], sample: Mapping[str, Array]) -> dict[str, Array]:
    """Turn one sample of the float graph into integers: indices stay, real inputs are coded.

    Caches of keys and values that a sample does not hold are empty.
    """
    feeds: dict[str, Array] = {}
    for spec in specs:
        if spec.cached and spec.name not in sample:
            feeds[spec.name] = spec.empty_cache()
            continue
        array = np.asarray(sample[spec.name])
        if array.dtype.kind == "f" and spec.scale is not None:
            array = spec.scale.quantize(array, *spec.limits)
        feeds[spec.name] = array.astype(spec.dtype)
    return feeds
