"""What each layer of an artifact's C has to do: multiply-accumulates, and weights to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intcc.backends.c.last_token import generates_text, keep_last_token
from intcc.backends.c.program import Call, Place, View
from intcc.backends.c.select import select
from intcc.backends.c.shapes import Extent
from intcc.backends.c.target import load_target
from intcc.runtime.artifact import Artifact
from intcc.runtime.reference import load_graph

__all__ = ["LayerWork", "layer_work"]


@dataclass(frozen=True)
class LayerWork:
    """The work of one layer, as NAME_LAYER counts layers.

    Attributes:
        name: its banner in the C.
        extents: multiply-accumulates of its products, without attention to a cache.
        weight_bytes: constants that its products read in every call.
        cached: multiply-accumulates of attention to a cache, for one of its rows.
    """

    name: str
    extents: tuple[Extent, ...]
    weight_bytes: int
    cached: tuple[Extent, ...] = ()

    def macs(self, tokens: int, position: int = 0) -> int:
        """Return the multiply-accumulates of a call.

        Each query attends to all rows of the cache up to its own; q queries are the last of the
        tokens and attend to q * (position + tokens) - q * (q - 1) / 2 rows together.

        Args:
            tokens: of the call.
            position: tokens before it.
        """
        count = sum(e.at(tokens) for e in self.extents)
        for row in self.cached:
            queries = 1 if row.static else tokens
            attended = queries * (position + tokens) - queries * (queries - 1) // 2
            count += row.coefficient * attended
        return count


def layer_work(artifact: Artifact) -> list[LayerWork]:
    """Return the layers in the order of execution."""
    settings, integer = artifact.settings, load_graph(artifact.integer_onnx)
    generates = generates_text(integer)
    program = select(
        keep_last_token(integer) if generates else integer,
        load_target(settings.get("target", "generic")),
        settings.get("chunk") if generates else None,
    )
    return [_work(layer, calls, program.context) for layer, calls in program.layers()]


def _work(layer: str, calls: Sequence[Call], context: int) -> LayerWork:
    plain, cached = [], []
    for call in calls:
        if call.macs is not None and call.operator.startswith("CachedAttention"):
            cached.append(call.macs // Extent(context))
        elif call.macs is not None:
            plain.append(call.macs)
    weight_bytes = _weight_bytes([c for c in calls if c.macs is not None])
    return LayerWork(layer or "(model)", tuple(plain), weight_bytes, tuple(cached))


def _weight_bytes(calls: Sequence[Call]) -> int:
    storages = {
        a.storage
        for call in calls
        for a in call.arguments
        if isinstance(a, View) and a.storage.place is Place.FLASH
    }
    return sum(s.bytes_at(1) for s in storages)
