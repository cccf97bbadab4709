"""The files of an accelerator's interface, and the shapes that its conformance test runs.

intcc_accel.h               the functions, and what each computes to the bit
intcc_accel_reference.h     the same in plain C
NAME_accel.c                weak definitions, which those of an accelerator replace
examples/accel_test.c       compares what is linked with the plain C
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from intcc._version import __version__
from intcc.backends.c.offload import PREFIX, window_fields
from intcc.backends.c.program import Program
from intcc.backends.c.render import render
from intcc.ops.windows import Windows

__all__ = ["accelerator_files"]

#: Rows, inner and columns of the test's own products: one, odd, and past any block.
_SHAPES = ((1, 1, 1), (1, 3, 2), (5, 7, 9), (4, 16, 16), (3, 64, 33), (6, 130, 17))
#: What is left of a model's shapes there, as the arrays must fit a small machine.
_ROWS, _COLUMNS, _CHANNELS, _PIXELS = 3, 17, 64, 12
#: The test's own images: height, width, channels, columns, group, zero point, and the window's
#: kernel, strides, pads, dilations.
_IMAGES = (
    ((1, 1, 1, 1, 1, 0), Windows((1, 1), (1, 1), (0, 0, 0, 0), (1, 1))),
    ((5, 6, 3, 4, 1, 7), Windows((3, 3), (1, 1), (1, 1, 1, 1), (1, 1))),
    ((7, 5, 4, 17, 1, 255), Windows((3, 2), (2, 1), (0, 1, 1, 0), (1, 1))),
    ((9, 8, 8, 8, 8, 128), Windows((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))),
    ((9, 9, 6, 4, 2, 3), Windows((2, 3), (1, 2), (1, 2, 0, 1), (2, 2))),
    ((4, 4, 16, 33, 1, 0), Windows((1, 1), (1, 1), (0, 0, 0, 0), (1, 1))),
)


def _small(window: Mapping[str, int]) -> dict[str, int] | None:
    """Return a smaller image under the same window; None for groups of several channels."""
    sizes = dict(window)
    if window["group"] == 1:
        sizes["channels"] = min(window["channels"], _CHANNELS)
        sizes["columns"] = min(window["columns"], _COLUMNS)
    elif window["group"] == window["channels"] == window["columns"]:
        sizes["group"] = sizes["channels"] = sizes["columns"] = min(window["group"], _COLUMNS)
    else:
        return None
    for axis, (extent, count) in (("height", ("height", "high")), ("width", ("width", "wide"))):
        reach = window[f"dilation_{axis}"] * (window[f"kernel_{axis}"] - 1) + 1
        sizes[extent] = min(window[extent], max(_PIXELS, reach))
        before = window["pad_top" if axis == "height" else "pad_left"]
        left = sizes[extent] + before - reach
        sizes[count] = min(window[count], max(left, 0) // window[f"stride_{axis}"] + 1)
    return sizes


def accelerator_files(program: Program) -> dict[str, str]:
    """Return the interface, its reference, weak definitions and the conformance test, by path."""
    shapes = dict.fromkeys(_SHAPES)
    windows = [window_fields(sizes, window) for sizes, window in _IMAGES]
    for call in program.calls:
        if call.kernel.name.startswith(f"{PREFIX}matmul_u8s8"):
            inner, columns = (int(str(a)) for a in call.arguments[1:3])
            shapes[_ROWS, inner, min(columns, _COLUMNS)] = None
        elif call.kernel.template.startswith("accel/conv"):
            small = _small(call.kernel.parameters["window"])
            if small is not None and small not in windows:
                windows.append(small)
    context = {
        "version": __version__,
        "name": program.name,
        "shapes": list(shapes),
        "windows": windows,
        "room": _room(shapes, windows),
    }
    names = {
        "intcc_accel.h": "accel.h",
        "intcc_accel_reference.h": "reference.h",
        f"{program.name}_accel.c": "accel.c",
        "examples/accel_test.c": "test.c",
    }
    return {path: render(f"accel/{template}", context) for path, template in names.items()}


def _room(
    shapes: Iterable[tuple[int, int, int]], windows: Iterable[Mapping[str, int]]
) -> dict[str, Any]:
    """Return the largest number of elements of every array of the test."""
    sizes = [(m * k, k * n, m * n, n) for m, k, n in shapes]
    for w in windows:
        taps = w["kernel_height"] * w["kernel_width"] * (w["channels"] // w["group"])
        pixels = w["height"] * w["width"] * w["channels"]
        results = w["high"] * w["wide"] * w["columns"]
        sizes.append((pixels, taps * w["columns"], results, w["columns"]))
    names = ("inputs", "weights", "outputs", "columns")
    return dict(zip(names, map(max, zip(*sizes, strict=True)), strict=True))
