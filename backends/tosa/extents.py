"""The extents of an artifact's TOSA graph: TOSA 1.0 knows no symbolic dimensions."""

from __future__ import annotations

import onnx_ir as ir

from intcc.errors import SettingsError
from intcc.specs import PAST, TOTAL

__all__ = ["fixed_extents"]


def fixed_extents(model: ir.Model) -> dict[str, int]:
    """Return the extent of every symbolic dimension.

    Encoders see a whole text of the longest length, of which a mask tells what is padding. Decoders
    take the last step that their context has place for: one token after all others.

    Raises:
        SettingsError: a decoder whose context holds a single token.
    """
    longest = int(model.metadata_props.get("intcc.max_length", "0") or 0)
    names = {
        str(d) for v in model.graph.inputs if v.shape for d in v.shape if not isinstance(d, int)
    }
    if PAST not in names:
        return {"batch": 1, "sequence": max(longest, 1)}
    context = int(model.metadata_props.get("intcc.max_positions", "0") or 0) or longest
    if context < 2:
        raise SettingsError(
            f"--context {context}", "leaves a step no earlier token", "Choose at least 2 for TOSA"
        )
    return {"batch": 1, "sequence": 1, PAST: context - 1, TOTAL: context}
