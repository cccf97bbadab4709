"""The C program before it is text: storages, kernels and calls.

Storage   a region of memory: in the arena, in the state that lives from call to call, a caller's
          array, or constant data in flash
View      a typed window into a storage, with the extents of the value that it shows
Kernel    one C function, specialised on compile-time constants; equal kernels are one function
Call      one line of the run function
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.backends.c.literals import c_type
from intcc.backends.c.shapes import ONE, Extent, product

__all__ = [
    "Argument",
    "Call",
    "InPlace",
    "Kernel",
    "Parameter",
    "Place",
    "Program",
    "Storage",
    "View",
]

Array = npt.NDArray[Any]


class Place(Enum):
    """Where a storage lies."""

    ARENA = "arena"
    INPUT = "input"
    OUTPUT = "output"
    FLASH = "flash"
    STATE = "state"


@dataclass(eq=False)
class Storage:
    """A region of memory that holds `extent` elements of `dtype`.

    Attributes:
        name: C identifier.
        data: the elements of constant data.
        layer: where the storage was made, for the size tables.
        scratch: working memory of one call, without a value's name.
        hot: constant data that is small and read again for every row, as numbers per channel are.
        padded: it holds rows behind the last token, up to the largest count: an NPU writes all.
    """

    name: str
    dtype: np.dtype[Any]
    extent: Extent
    place: Place = Place.ARENA
    data: Array | None = None
    layer: str = ""
    scratch: bool = False
    hot: bool = False
    padded: bool = False

    def bytes_at(self, tokens: int) -> int:
        """Size for a token count."""
        return self.extent.at(tokens) * self.dtype.itemsize

    @property
    def c_type(self) -> str:
        """Element type in C."""
        return c_type(self.dtype)


@dataclass(frozen=True)
class View:
    """`dims` elements of a storage, from element `offset` on, contiguous.

    With `stride`, from that many elements further on for every token that came in earlier calls.
    With `last`, from the last token's row on: that many elements further for each token before it.
    """

    storage: Storage
    dims: tuple[Extent, ...]
    offset: Extent | None = None
    stride: int = 0
    last: int = 0

    @property
    def extent(self) -> Extent:
        """Number of elements."""
        return product(self.dims)

    @property
    def rows(self) -> Extent:
        """Product of all extents but the last."""
        return product(self.dims[:-1])

    @property
    def columns(self) -> Extent:
        """Last extent; one for a scalar."""
        return self.dims[-1] if self.dims else ONE

    @property
    def whole(self) -> bool:
        """Whether the view covers its storage."""
        moved = self.offset is not None or self.stride or self.last
        return not moved and self.extent == self.storage.extent


#: A view becomes a pointer, an Extent or int a number, a str stands for itself.
Argument = View | Extent | int | str


@dataclass(frozen=True)
class Kernel:
    """A C function made from a template.

    Attributes:
        template: path below templates/c, without the suffix; empty for a function of another file.
        name: name of the function; equal names must mean equal text.
        parameters: what the template needs, computed and proved.
        needs: kernels that the function calls.
        stack: bytes of local arrays.
    """

    template: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[Kernel, ...] = ()
    stack: int = 0


@dataclass(frozen=True)
class InPlace:
    """The form of a call that overwrites one of its inputs.

    Attributes:
        source: input whose storage becomes the result's.
        kernel: the function of that form.
        arguments: its arguments; the result's view stands for both.
    """

    source: View
    kernel: Kernel
    arguments: tuple[Argument, ...]


@dataclass
class Call:
    """One call in execution order.

    Attributes:
        kernel: the function.
        arguments: in the order of its parameters.
        reads: values read.
        writes: values written.
        layer: banner under which the call stands.
        operator: operator of the integer graph, for the counts.
        note: shapes, as a comment.
        macs: multiply-accumulates.
        scratch: working memory; no value survives in it.
        in_place: the form that may replace this one when its source dies here.
        fails: status that the run ends with where the function returns anything but 0; empty for
            functions that return nothing.
    """

    kernel: Kernel
    arguments: tuple[Argument, ...]
    reads: tuple[View, ...]
    writes: tuple[View, ...]
    layer: str
    operator: str
    note: str = ""
    macs: Extent | None = None
    scratch: tuple[Storage, ...] = ()
    in_place: tuple[InPlace, ...] = ()
    fails: str = ""


@dataclass
class Parameter:
    """An argument of the public run function.

    Attributes:
        view: the caller's array.
        source: name in the integer graph.
        limit: elements must lie in [0, limit), checked at run time; None where all are legal.
    """

    view: View
    source: str
    limit: int | None = None


@dataclass
class Program:
    """A whole model.

    Attributes:
        name: prefix of all public names.
        max_tokens: largest token count of a call; zero where no extent depends on it.
        context: largest token count of all calls on one state.
        generates: whether texts are continued: the logits are those of a call's last token.
        state: what lives from call to call.
        machine: a target's own templates, by the name of the general one.
        headers: of intrinsics by the macro of a compiler that has them.
        alignment: bytes; every offset in the arena and in the state is a multiple of it.
        threads: whether a run can be shared among threads.
        offload: what an accelerator is called for.
        kept: names of products that it cannot compute to the bit.
    """

    name: str
    max_tokens: int
    calls: list[Call] = field(default_factory=list)
    constants: list[Storage] = field(default_factory=list)
    inputs: list[Parameter] = field(default_factory=list)
    outputs: list[Parameter] = field(default_factory=list)
    context: int = 0
    generates: bool = False
    state: list[Storage] = field(default_factory=list)
    machine: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    alignment: int = 8
    threads: bool = False
    offload: tuple[str, ...] = ()
    kept: list[str] = field(default_factory=list)

    def aligned(self, size: int) -> int:
        """Return a size in bytes, rounded up to the alignment."""
        return -(-size // self.alignment) * self.alignment

    def storages(self) -> list[Storage]:
        """Return every storage that a call touches, in order of first use."""
        found: dict[Storage, None] = {}
        for call in self.calls:
            views = [a for a in call.arguments if isinstance(a, View)]
            found.update(dict.fromkeys(v.storage for v in (*views, *call.reads, *call.writes)))
        return list(found)

    @property
    def flash_bytes(self) -> int:
        """Size of all constant data."""
        return sum(s.bytes_at(1) for s in self.constants)

    def layers(self) -> list[tuple[str, list[Call]]]:
        """Return the calls in order, grouped under the banners that they stand under."""
        return [(name, list(calls)) for name, calls in groupby(self.calls, lambda c: c.layer)]

    def kernels(self) -> list[Kernel]:
        """Return all kernels, each once, callees first."""
        found: dict[str, Kernel] = {}

        def visit(kernel: Kernel) -> None:
            for needed in kernel.needs:
                visit(needed)
            known = found.setdefault(kernel.name, kernel)
            assert known == kernel, f"two kernels are called {kernel.name}"

        for call in self.calls:
            visit(call.kernel)
        return list(found.values())
