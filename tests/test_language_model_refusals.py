"""Backends that take no language model tell so before calibration, which may take minutes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import intcc
from intcc.errors import SettingsError
from intcc.flavours import require_task
from intcc.settings import Settings
from tests.conftest import ROOT


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a compilation go on where NPU tools are missing, and fail where it calibrates."""

    def calibrated(*_: object) -> None:
        raise AssertionError("it was not refused before calibration")

    monkeypatch.setattr("intcc.build.require_tools", lambda settings: None)
    monkeypatch.setattr("intcc.frontends.calibration.load_samples", calibrated)


@pytest.mark.parametrize(
    ("emit", "reason", "remedy"),
    [
        ("c,qlinear", "QLinear operators have no scales per token", "or --activations static"),
        ("onnx,qdq", "QDQ has no form for keys and values", "Use --emit onnx, c or tosa."),
        ("vela", "parts of an NPU keep no keys and values", "Use --emit onnx, c or tosa."),
    ],
)
def test_it_is_told_before_calibration(
    emit: str, reason: str, remedy: str, no_tools: None, tmp_path: Path
) -> None:
    backend = emit.split(",")[-1]
    message = f"--emit {backend} does not take the language model 'model': {reason}"
    with pytest.raises(SettingsError, match=f"{re.escape(message)}.*{re.escape(remedy)}"):
        intcc.compile(ROOT / "examples/tiny_llama/model", tmp_path / "out", emit=emit)
    assert not (tmp_path / "out").exists()


def test_what_has_a_form_passes() -> None:
    require_task("llama", "text-generation", Settings.of(emit="onnx,c,tosa"))
    require_task("opt", "text-generation", Settings.of(emit="qlinear", activations="static"))
    require_task("bert", "sentence-embedding", Settings.of(emit="qlinear,qdq,vela"))
