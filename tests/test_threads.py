"""Artifacts whose runs threads share, and the target that is this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import intcc
from intcc import host
from intcc.backends.c.target import available, load_target
from intcc.cli import main
from intcc.runtime.compiler import DEFAULT_FLAGS, find_compiler
from intcc.verification import constant_ranges
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def shared_encoder(
    tiny_encoder: Path, sentences: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("threads") / "tiny"
    intcc.compile(
        tiny_encoder, folder, calibration=sentences, calibration_samples=16,
        target="native", threads=True, emit="c",
    )  # fmt: skip
    return folder


def test_native_is_a_target_by_name(shared_encoder: Path) -> None:
    model = intcc.load(shared_encoder, "c")
    assert model.artifact.settings["target"] in available()
    assert model.artifact.settings["threads"] is True


def test_verify_runs_threads(shared_encoder: Path) -> None:
    report = intcc.verify(shared_encoder)
    assert report.ok, [c for c in report.checks if not c.ok]
    assert {"C, 2 threads", "C, 3 threads"} <= {c.name for c in report.checks}


def test_command_line(shared_encoder: Path, tmp_path: Path) -> None:
    results = []
    for threads in ("1", "2", "3"):
        output = tmp_path / f"{threads}.npz"
        options = ["--backend", "c", "--threads", threads, "--output", str(output), "--quiet"]
        assert main(["run", str(shared_encoder), "--text", "the cat sat", *options]) == 0
        results.append(np.load(output)["sentence_embedding"])
    assert all(np.array_equal(result, results[0]) for result in results)


def test_language_model(tmp_path: Path) -> None:
    model = ROOT / "examples/tiny_llama/model"
    intcc.compile(model, tmp_path / "llama", threads=True, emit="c", calibration_samples=4)
    prompt = [3, 50, 60, 70, 80, 90, 100, 110, 120, 40, 33, 3, 50, 60, 70, 80, 90, 100, 110]
    texts = [
        intcc.load(tmp_path / "llama", "c", threads=threads).generate(prompt, 20)
        for threads in (1, 2, 3)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_first_target_that_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in host._HOSTS if name in available()]
    runs: set[str] = set()
    monkeypatch.setattr(host, "_runs", lambda target, compiler: target.name in runs)
    assert host.native_target("cc") == "generic"
    for name in reversed(names):
        runs.add(name)
        assert host.native_target("cc") == name


def test_flags_of_a_target_need_its_instructions() -> None:
    compiler = find_compiler()
    best = host.native_target(compiler)
    toolchain = load_target(best).toolchain
    assert host.host_flags(best, compiler) == (toolchain.flags if toolchain else DEFAULT_FLAGS)
    assert host.host_flags("cortex-m4", compiler) == DEFAULT_FLAGS
    assert host.host_flags("", compiler) == DEFAULT_FLAGS


def test_ranges_are_proved_from_shared_calls(shared_encoder: Path) -> None:
    """The check reads the columns of a call from the ranges that its parts take."""
    artifact = intcc.load(shared_encoder, "c").artifact
    proved = constant_ranges.prove(artifact.c_folder, artifact.name)
    assert (proved.calls, proved.columns) == (12, 800)
