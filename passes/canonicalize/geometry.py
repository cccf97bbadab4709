"""Geometry: strides, pads and dilations of a window operator, every default written out."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from intcc.passes.canonicalize.graph import dims

__all__ = ["static_image", "windows_made", "windows_of"]


def static_image(value: ir.Value | None) -> tuple[int, int, int] | None:
    """Return channels, height and width of an image [B, C, H, W] of fixed extents."""
    extents = dims(value)
    if len(extents) != 4 or not all(isinstance(d, int) for d in extents[1:]):
        return None
    channels, height, width = (int(str(d)) for d in extents[1:])
    return channels, height, width


def windows_of(node: ir.Node, kernel: Sequence[int]) -> dict[str, list[int]] | None:
    """Return strides, pads and dilations; None where the extents are not known.

    Windows that `ceil_mode` adds become pads at the end, and automatic pads numbers.
    """
    image, made = static_image(node.inputs[0]), static_image(node.outputs[0])
    if image is None or made is None:
        return None
    strides = list(node.attributes.get_ints("strides", [1, 1]))
    dilations = list(node.attributes.get_ints("dilations", [1, 1]))
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    pads = [0] * 4
    if automatic == "NOTSET":
        pads = list(node.attributes.get_ints("pads", pads))
    for axis in (0, 1):
        covered = dilations[axis] * (kernel[axis] - 1) + 1
        needed = (made[axis + 1] - 1) * strides[axis] + covered - image[axis + 1]
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            more, less = max(needed, 0) - max(needed, 0) // 2, max(needed, 0) // 2
            first = less if automatic == "SAME_UPPER" else more
            pads[axis], pads[axis + 2] = first, max(needed, 0) - first
        elif node.attributes.get_int("ceil_mode", 0):
            pads[axis + 2] = max(pads[axis + 2], needed - pads[axis])
    return {"strides": strides, "pads": pads, "dilations": dilations}


def windows_made(node: ir.Node) -> list[int]:
    """Return rows and columns that a Conv or MaxPool with channels last makes of an image's.

    Per axis: 1 + (extent + pads - (dilation * (kernel - 1) + 1)) // stride.
    """
    attributes, image = node.attributes, dims(node.inputs[0])
    kernel = attributes.get_ints("kernel_shape", None) or dims(node.inputs[1])[1:3]
    strides, pads, dilations = (
        attributes.get_ints(name, []) for name in ("strides", "pads", "dilations")
    )
    made = []
    for axis in (0, 1):
        covered = dilations[axis] * (int(str(kernel[axis])) - 1) + 1
        padded = int(str(image[axis + 1])) + pads[axis] + pads[axis + 2]
        made.append(1 + (padded - covered) // strides[axis])
    return made
