"""The report: complete, self-contained, and the same bytes every time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from intcc.report import plots
from intcc.report.html import render


@pytest.fixture(scope="module")
def report(artifact: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((artifact / "report.json").read_text(encoding="utf-8"))
    return data


def test_report_has_the_figures(report: dict[str, object], artifact: Path) -> None:
    figures = report["figures"]
    assert isinstance(figures, dict)
    assert figures["arena"] > 0
    assert figures["flash"] > 0
    assert figures["sqnr"] > 20
    files = report["files"]
    assert isinstance(files, dict)
    assert files["model.onnx"] == (artifact / "model.onnx").stat().st_size
    assert report["macs"] == macs(length=24, width=60, inner=100, layers=2)


def macs(length: int, width: int, inner: int, layers: int) -> int:
    linear = 4 * width * width + 2 * width * inner
    attention = 2 * length * width
    return layers * length * (linear + attention)


def test_html_is_self_contained_and_repeatable(report: dict[str, object], artifact: Path) -> None:
    text = (artifact / "report.html").read_text(encoding="utf-8")
    assert render(report) == text
    outside = re.findall(r'(?:src|href)="(?!#)[^"]*"', text)
    assert not outside
    assert "<script" not in text
    assert text.count("<svg") == 4
    assert not re.search(r"\d\d:\d\d:\d\d", text)


def test_plots_are_xml(report: dict[str, object]) -> None:
    for svg in (plots.sqnr_plot(report), plots.histogram_plot(report)):
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_empty_reports_draw(report: dict[str, object]) -> None:
    bare = {**report, "layers": [], "weights": {}, "bytes_by_layer": {}}
    assert plots.histogram_plot(bare) == ""
    assert "<svg" in plots.sqnr_plot(bare)
    assert "<svg" in plots.bytes_plot({})
    assert "<svg" in plots.memory_plot([], 0)
