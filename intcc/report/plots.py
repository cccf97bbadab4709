"""The report's plots as SVG text: same figures in, same bytes out.

No pyplot, so that no global state or display is involved; element ids are salted with a constant
and no date is written. Marks are few paths in fixed margins: a patch for every bar and a search for
the best margins take longer than compiling a small model.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from intcc.report.collect import worst_layers

__all__ = ["bytes_plot", "histogram_plot", "memory_plot", "sqnr_plot"]

#: Blue for integers, orange for what deserves a look, grey for context.
BLUE, ORANGE, GREY = "#2f6f9f", "#d9822b", "#9aa5ad"
#: Bars above this are exact for all purposes.
SQNR_TOP = 70
_STYLE = {
    "svg.hashsalt": "intcc",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.alpha": 0.3,
}


def _figure(width: float, height: float, left: float = 0.6, **margins: float) -> Figure:
    """Return a figure in inches, with its margins in inches: what labels and ticks need."""
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=left / width,
        right=1 - 0.1 / width,
        bottom=0.45 / height,
        top=1 - margins.pop("top", 0.1) / height,
        **margins,
    )
    return figure


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _wrapped(name: str, width: int = 22, lines: int = 3) -> str:
    """Break a dotted name into short lines; the end of it is what tells values apart."""
    made = [""]
    for part in name.split("."):
        joined = f"{made[-1]}.{part}" if made[-1] else part
        if len(joined) <= width:
            made[-1] = joined
        else:
            made.append(part)
    return "\n".join(line[-width:] for line in made[-lines:])


def sqnr_plot(report: Mapping[str, Any]) -> str:
    """Signal to quantization noise of every value, in graph order; the worst are marked."""
    layers = report["layers"]
    with mpl.rc_context(_STYLE):
        figure = _figure(9, 2.8)
        axes = figure.subplots()
        worst = {r["name"] for r in worst_layers(report)}
        colors = [ORANGE if r["name"] in worst else BLUE for r in layers]
        heights = [r["sqnr_db"] for r in layers]
        thick = 0.8 * 72 * 8.3 / max(len(layers), 1)
        axes.vlines(range(len(layers)), 0, heights, colors=colors, linewidths=thick)
        axes.set_ylim(0, SQNR_TOP)
        axes.set_xlabel("value, in the order of execution")
        axes.set_ylabel("SQNR [dB]")
        return _svg(figure)


def histogram_plot(report: Mapping[str, Any]) -> str:
    """Activations (top) and the weights that made them (bottom) of the worst layers."""
    chosen = worst_layers(report)
    if not chosen:
        return ""
    with mpl.rc_context(_STYLE):
        figure = _figure(9, 3.8, top=0.55, wspace=0.35, hspace=0.25)
        grid = figure.subplots(2, len(chosen), squeeze=False)
        for column, record in enumerate(chosen):
            top, bottom = grid[0][column], grid[1][column]
            counts = np.asarray(record["histogram"] or [0], dtype=float)
            edges = np.linspace(0, record["reach"] or 1.0, len(counts) + 1)
            top.stairs(counts, edges, fill=True, color=ORANGE)
            top.set_yscale("log", nonpositive="clip")
            top.yaxis.set_minor_locator(NullLocator())
            top.set_ylim(0.7, max(10.0, 1.5 * counts.max()))
            # A title without a height of its own measures all ticks to find one.
            title = f"{_wrapped(record['name'])}\n{record['sqnr_db']:.1f} dB"
            top.set_title(title, fontsize=6, y=1.0)
            weights = report["weights"].get(record["name"])
            if weights is None:
                bottom.text(0.5, 0.5, "no weights", ha="center", color=GREY, fontsize=7)
                bottom.set_axis_off()
            else:
                bottom.stairs(
                    weights, np.linspace(-128, 128, len(weights) + 1), fill=True, color=BLUE
                )
        grid[0][0].set_ylabel("|activation|")
        grid[1][0].set_ylabel("weight codes")
        return _svg(figure)


def memory_plot(memory_map: Sequence[Sequence[Any]], arena: int) -> str:
    """The arena over time: each buffer a rectangle from its first to its last step."""
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        figure = _figure(9, 3.2)
        axes = figure.subplots()
        boxes = [
            [(x, y), (x, y + height), (x + width, y + height), (x + width, y)]
            for x, width, y, height in (
                (first, last - first + 1, offset / 1024, size / 1024)
                for _, offset, size, first, last in memory_map
            )
        ]
        colors = [(BLUE, "#5b9bc4", "#8fbfdc")[i % 3] for i in range(len(boxes))]
        axes.add_collection(
            PolyCollection(boxes, facecolors=colors, edgecolors="white", linewidths=0.3)
        )
        axes.set_xlim(0, max((last + 1 for *_, last in memory_map), default=1))
        axes.axhline(arena / 1024, color=ORANGE, linewidth=1)
        axes.set_xlabel("step")
        axes.set_ylabel("arena offset [KiB]")
        axes.set_ylim(0, max(arena / 1024 * 1.05, 1e-3))
        return _svg(figure)


def bytes_plot(sizes: Mapping[str, int]) -> str:
    """Bytes of constants by layer, largest first."""
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:24]
    with mpl.rc_context({**_STYLE, "axes.grid.axis": "x"}):
        figure = _figure(9, 0.6 + 0.19 * len(largest), left=2.6)
        axes = figure.subplots()
        names = [name[-44:] for name, _ in largest]
        axes.barh(range(len(largest)), [size / 1024 for _, size in largest], color=BLUE)
        axes.set_yticks(range(len(largest)), names, fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel("KiB")
        return _svg(figure)
