"""report.html: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

from intcc.budget import format_bytes
from intcc.report import plots
from intcc.report.collect import worst_layers
from intcc.specs import Scale

__all__ = ["render"]


def render(report: Mapping[str, Any]) -> str:
    """Return the page for a report.

    Args:
        report: what `collect` returned, or report.json read back.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intcc.templates", "report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["bytes"] = format_bytes
    environment.filters["meaning"] = lambda scale: Scale.from_json(scale).describe()
    environment.filters["number"] = lambda n: f"{n:,}"
    memory = report.get("memory")
    drawn = {
        "sqnr": plots.sqnr_plot(report),
        "histograms": plots.histogram_plot(report),
        "bytes": plots.bytes_plot(report["bytes_by_layer"]),
        "memory": plots.memory_plot(memory["map"], memory["arena_bytes"]) if memory else "",
    }
    return environment.get_template("report.html.j2").render(
        report=report, memory=memory, plots=drawn, worst=worst_layers(report, 12)
    )
