"""What each layer of an artifact's C has to do: multiply-accumulates, and weights to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from intcc.backends.c.last_token import generates_text, keep_last_token
from intcc.backends.c.program import Call, Place, View
from intcc.backends.c.select import select
from intcc.backends.c.shapes import Extent
from intcc.backends.c.target import load_target
from intcc.runtime.artifact import Artifact

__all__ = ["LayerWork", "layer_work"]


@dataclass(frozen=True)
class LayerWork:
    """The work of one layer, as NAME_LAYER counts layers.

    Attributes:
        name: its banner in the C.
        extents: multiply-accumulates of its products.
        weight_bytes: constants that its products read in every call.
    """

    name: str
    extents: tuple[Extent, ...]
    weight_bytes: int

    def macs(self, tokens: int) -> int:
        """Multiply-accumulates of a call; those of attention are for a full context."""
        return sum(e.at(tokens) for e in self.extents)


def layer_work(artifact: Artifact) -> list[LayerWork]:
    """Return the layers in the order of execution."""
    settings, integer = artifact.settings, ir.load(artifact.integer_onnx)
    generates = generates_text(integer)
    program = select(
        keep_last_token(integer) if generates else integer,
        load_target(settings.get("target", "generic")),
        settings.get("chunk") if generates else None,
    )
    return [
        LayerWork(
            layer or "(model)",
            tuple(c.macs for c in calls if c.macs is not None),
            _weight_bytes([c for c in calls if c.macs is not None]),
        )
        for layer, calls in program.layers()
    ]


def _weight_bytes(calls: Sequence[Call]) -> int:
    storages = {
        a.storage
        for call in calls
        for a in call.arguments
        if isinstance(a, View) and a.storage.place is Place.FLASH
    }
    return sum(s.bytes_at(1) for s in storages)
