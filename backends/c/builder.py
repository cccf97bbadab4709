"""Builder: what the kernel rules use to turn nodes into calls.

A rule reads its operands as views (`view`), as constants (`constant`) or as per-channel parameters
(`vector`), claims storage for its result (`result`) or shares its operand's (`alias`), and adds
calls (`call`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.literals import c_type
from intcc.backends.c.names import Names, identifier
from intcc.backends.c.program import (
    Argument,
    Call,
    InPlace,
    Kernel,
    Parameter,
    Place,
    Program,
    Storage,
    View,
)
from intcc.backends.c.shapes import Extent, dimensions, product
from intcc.backends.c.state import Cache, is_cache
from intcc.backends.c.target import Target
from intcc.errors import UnsupportedOperatorError

__all__ = ["Builder", "Vector", "storage_dtype", "unsupported"]

Array = npt.NDArray[Any]


def unsupported(node: ir.Node, fact: str) -> UnsupportedOperatorError:
    """Return the error for a node that has no C form."""
    return UnsupportedOperatorError(
        f"{node.op_type} {node.name!r}",
        fact,
        "Report the model to us: this is a gap in the C backend",
    )


def storage_dtype(value: ir.Value) -> np.dtype[Any]:
    """Return the C element type of a computed value; indices are int32 in C."""
    assert value.dtype is not None, f"{value.name} has no type"
    dtype = value.dtype.numpy()
    return np.dtype(np.int32) if dtype == np.int64 else np.dtype(dtype)


#: Elements of an array that may be stored in bytes.
_LONG = 512


def narrowest(array: Array) -> np.dtype[Any]:
    """Return int16 where it holds all elements, else int32; int8 only pays in long arrays.

    Few types make few kernels.
    """
    for kind in (np.int8, np.int16) if array.size >= _LONG else (np.int16,):
        limits = np.iinfo(kind)
        if limits.min <= array.min(initial=0) and array.max(initial=0) <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.int32)


@dataclass(frozen=True)
class Vector:
    """A parameter of a kernel: one number, or one per channel.

    Attributes:
        name: its name in the kernel.
        c_type: its element type.
        per_channel: whether it is an array.
    """

    name: str
    c_type: str
    per_channel: bool

    @property
    def declaration(self) -> str:
        """Parameter declaration."""
        if self.per_channel:
            return f"const {self.c_type} *restrict {self.name}"
        return f"{self.c_type} {self.name}"

    def at(self, index: str) -> str:
        """Element for a channel."""
        return f"{self.name}[{index}]" if self.per_channel else self.name

    def behind(self, index: str) -> str:
        """Argument for a function that begins at a channel."""
        return f"{self.name} + {index}" if self.per_channel else self.name

    @property
    def code(self) -> str:
        """One letter for the kernel's name: s, or for arrays b and h of 8 and 16 bits, else v."""
        if not self.per_channel:
            return "s"
        return {"int8_t": "b", "int16_t": "h"}.get(self.c_type, "v")


class Builder:
    """The program under construction."""

    def __init__(self, model: ir.Model, target: Target, max_tokens: int | None = None) -> None:
        """Start with an empty program.

        Args:
            model: the integer graph.
            target: the choices of a machine family.
            max_tokens: most tokens of a call, in place of the model's longest sequence.
        """
        self.model, self.target = model, target
        name = identifier(model.metadata_props.get("intcc.name", "model"))
        longest = int(model.metadata_props.get("intcc.max_length", "0") or 0)
        context = int(model.metadata_props.get("intcc.max_positions", "0") or 0)
        most = longest if max_tokens is None else min(longest, max_tokens)
        self.program = Program(
            name,
            most,
            context=context or longest,
            machine=target.kernels,
            headers=target.headers,
            alignment=target.alignment,
        )
        self.names = Names()
        #: Names of the run function's parameters, taken before any other.
        self.public = {
            v: self.names.unique(str(v.name))
            for v in (*model.graph.inputs, *model.graph.outputs)
            if not is_cache(v)
        }
        #: Banner of the calls to come.
        self.layer = ""
        self.operator = ""
        #: Values that are zero whenever they are read: key masks, as every token is valid in C.
        self.zeros: set[ir.Value] = set()
        #: Leading elements of constants along several axes: read in place where a kernel can.
        self.windows: dict[ir.Value, View] = {}
        #: Caches of keys and values, by each of the values that stand for one in the graph.
        self.caches: dict[ir.Value, Cache] = {}
        self._views: dict[ir.Value, View] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Storage] = {}

    # -- operands -------------------------------------------------------------------------------

    def constant(self, value: ir.Value | None) -> Array:
        """Return a compile-time operand's elements."""
        array = self.maybe_constant(value)
        assert array is not None, f"{value.name if value else value} must be a constant"
        return array

    def maybe_constant(self, value: ir.Value | None) -> Array | None:
        """Return the elements of a constant, None for a computed value."""
        if value is None or value.const_value is None:
            return None
        return np.asarray(value.const_value.numpy())

    def is_zero(self, value: ir.Value) -> bool:
        """Tell whether all elements are zero whenever they are read."""
        array = self.maybe_constant(value)
        return value in self.zeros or (array is not None and not array.any())

    def score_table(self, value: ir.Value) -> tuple[View, Extent, Extent]:
        """Return a table [1, H, rows, keys] and the distances between its heads and its rows."""
        view = self.windows[value] if value in self.windows else self.view(value)
        rows, keys = view.dims[-2], view.dims[-1]
        return view, rows * keys, keys

    def scalar(self, value: ir.Value | None) -> int:
        """Return a constant of one element."""
        return int(self.constant(value).reshape(-1)[0])

    def view(self, value: ir.Value | None) -> View:
        """Return where a value lies; a constant is placed in flash at its first use."""
        assert value is not None
        if value not in self._views:
            array = self.constant(value)
            if array.dtype == np.int64:
                array = array.astype(np.int32)
            dims = tuple(Extent(n) for n in array.shape)
            self._views[value] = View(self.flash(array, str(value.name)), dims)
        return self._views[value]

    def flash(self, array: Array, name: str, *, hot: bool = False) -> Storage:
        """Return constant storage; equal arrays are stored once, hot if any use of them is."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.data).digest())
        if key not in self._constants:
            storage = Storage(
                name,
                array.dtype,
                Extent(array.size),
                Place.FLASH,
                array,
                self.layer,
            )
            self._constants[key] = storage
            self.program.constants.append(storage)
        self._constants[key].hot |= hot
        return self._constants[key]

    def flash_view(self, array: Array, name: str, *, hot: bool = False) -> View:
        """Return a view of constant storage."""
        return View(self.flash(array, name, hot=hot), tuple(Extent(n) for n in array.shape))

    def vector(
        self, array: Array, name: str, stem: str, dtype: Any = np.int32
    ) -> tuple[Vector, Argument]:
        """Return a [C|1] parameter: its place in the kernel and the argument that fills it.

        Args:
            array: the numbers.
            name: parameter name in the kernel.
            stem: name of the array in flash.
            dtype: element type in C; arrays of int32 lie in 16 bits where these hold them.
        """
        flat = np.asarray(array).reshape(-1)
        if (flat == flat[0]).all():
            return Vector(name, c_type(dtype), False), int(flat[0])
        if np.dtype(dtype) == np.int32:
            dtype = narrowest(flat)
        return Vector(name, c_type(dtype), True), self.flash_view(
            flat.astype(dtype), stem, hot=True
        )

    def narrowed(self, value: ir.Value | None) -> View:
        """Return where a value lies; a constant table of int32 in 16 bits where these hold it."""
        view = self.view(value)
        storage = view.storage
        if storage.data is None or storage.dtype != np.int32:
            return view
        data = storage.data.astype(narrowest(storage.data))
        return replace(view, storage=self.flash(data, storage.name))

    # -- results --------------------------------------------------------------------------------

    def storage(self, name: str, dtype: Any, extent: Extent, *, scratch: bool = False) -> Storage:
        """Return new storage in the arena."""
        return Storage(name, np.dtype(dtype), extent, layer=self.layer, scratch=scratch)

    def result(self, value: ir.Value) -> View:
        """Claim storage for a computed value."""
        dims = dimensions(value)
        storage = self.storage(str(value.name), storage_dtype(value), product(dims))
        return self.alias(value, View(storage, dims))

    def alias(self, value: ir.Value, view: View) -> View:
        """Let a value live in existing storage."""
        self._views[value] = view
        return view

    def same(self, value: ir.Value, source: ir.Value) -> None:
        """Let a value be another one."""
        if source in self.windows:
            self.windows[value] = self.windows[source]
        else:
            self.alias(value, self.view(source))

    def input(self, value: ir.Value) -> None:
        """Declare an argument of the run function."""
        dims = dimensions(value)
        storage = Storage(self.public[value], storage_dtype(value), product(dims), Place.INPUT)
        view = self.alias(value, View(storage, dims))
        self.program.inputs.append(Parameter(view, str(value.name)))

    def require_below(self, view: View, limit: int) -> None:
        """Have the run function check that an input's elements index a table of `limit` rows."""
        for parameter in self.program.inputs:
            if parameter.view.storage is view.storage:
                parameter.limit = min(limit, parameter.limit or limit)

    def call(
        self,
        kernel: Kernel,
        arguments: Sequence[Argument],
        writes: Sequence[View],
        *,
        note: str = "",
        macs: Extent | None = None,
        scratch: Sequence[Storage] = (),
        in_place: Sequence[InPlace] = (),
    ) -> None:
        """Append a call; what it reads are its other views."""
        written = {w.storage for w in writes}
        reads = tuple(
            a for a in arguments if isinstance(a, View) and a.storage not in {*written, *scratch}
        )
        self.program.calls.append(
            Call(
                kernel,
                tuple(arguments),
                reads,
                tuple(writes),
                self.layer,
                self.operator,
                note,
                macs,
                tuple(scratch),
                tuple(in_place),
            )
        )
