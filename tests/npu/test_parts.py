"""`--emit vela` from a file to a verified artifact: a text model and a convolutional network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import intcc
from intcc.backends.npu.vela import VARIABLE, find_vela
from intcc.errors import MissingToolError
from intcc.objects import model_sources
from intcc.runtime.npu import on_reference_model, read_parts
from tests.npu.test_tosa_models import cnn
from tests.test_tiny import WORDS, perceptron

Array = npt.NDArray[Any]


@pytest.fixture(scope="module", params=["perceptron", "cnn"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        find_vela()
    except MissingToolError as error:
        pytest.skip(str(error))
    folder, random = tmp_path_factory.mktemp(request.param), np.random.default_rng(6)
    if request.param == "cnn":
        cnn(folder / "model.onnx")
        images = random.normal(size=(12, 2, 12, 12)).astype("f4")
        np.savez(folder / "inputs.npz", pixel_values=images)
    else:
        perceptron(folder / "model.onnx")
        np.savez(folder / "inputs.npz", input_ids=random.integers(0, WORDS, (12, 9)))
    intcc.compile(
        folder / "model.onnx",
        folder / "out",
        calibration=folder / "inputs.npz",
        max_length=16,
        emit="c,vela" if request.param == "cnn" else "onnx,vela",
        accelerator="ethos-u55-64",
    )
    return folder / "out"


def test_verification_runs_the_parts(compiled: Path) -> None:
    report = intcc.verify(compiled)
    assert report.ok, [c for c in report.checks if not c.ok]
    checks = {c.name: c.detail for c in report.checks}
    assert "0 of" in checks["C, NPU parts on the TOSA reference model"]
    around = len(model_sources(compiled / "npu/c"))
    count = around + (around - 1) * (compiled / "c").is_dir()
    assert f"{count} files" in checks["C compiles without float registers"]


def test_the_report_tells_the_placement(compiled: Path) -> None:
    entry = json.loads((compiled / "report.json").read_text(encoding="utf-8"))["npu"]
    assert entry["accelerator"] == "ethos-u55-64"
    assert entry["macs_share"] == 1.0
    page = (compiled / "report.html").read_text(encoding="utf-8")
    assert "<h2>ethos-u55-64</h2>" in page
    assert all(kept["reason"] in page for kept in entry["elsewhere"])


def test_a_wrong_part_is_found(compiled: Path) -> None:
    """A simulated NPU whose results are off by one gives other bits than the C."""
    simulate = on_reference_model(read_parts(compiled / "npu"))

    def wrong(part: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {k: v + np.ones_like(v) for k, v in simulate(part, feeds).items()}

    whole = intcc.load(compiled, "c" if (compiled / "c").is_dir() else "onnx")
    feeds = {
        s.name: np.ones([d if isinstance(d, int) else 1 for d in s.shape], s.dtype)
        for s in whole.artifact.inputs
    }
    ((name, expected),) = whole(**feeds).items()
    same = [
        np.array_equal(intcc.load(compiled, "npu", simulate=how)(**feeds)[name], expected)
        for how in (simulate, wrong)
    ]
    assert same == [True, False]


def test_a_missing_tool_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tosa_serializer", reason="tosa-tools is not installed: make test-npu")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "vela"))
    with pytest.raises(MissingToolError, match="was not found"):
        intcc.compile(tmp_path / "no.onnx", tmp_path / "out", emit="vela")
    assert not (tmp_path / "out").exists()
