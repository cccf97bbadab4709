"""The command line: what it prints, where, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intcc.cli import main

COMMANDS = ("compile", "verify", "run", "generate", "eval", "bench", "inspect", "ops")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_common_options(run: Run, command: str) -> None:
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert f"Example: intcc {command}" in out
    assert "--quiet" in out
    assert "--json" in out


def test_help_lists_all_commands(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(command in out for command in COMMANDS)


def test_version(run: Run) -> None:
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("intcc 0.")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["compile"], ["verify", "--nonsense", "x"]])
def test_wrong_usage_exits_2(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert "Traceback" not in err


def test_compile_says_what_it_made(
    run: Run, tiny_encoder: Path, sentences: Path, tmp_path: Path
) -> None:
    status, out, err = run(
        "compile", tiny_encoder, "-o", tmp_path / "out", "--emit", "onnx", "--calibration",
        sentences, "--calibration-samples", "4", "--float-io",
    )  # fmt: skip
    assert status == 0
    assert "sentence-embedding, integers only" in out
    assert "model.onnx" in out
    assert "calibrate (4)" in err
    status, out, _ = run("verify", tmp_path / "out", "--inputs", "4", "--reference", "2")
    assert status == 0
    assert "before the dequantize that --float-io asked for" in out
    assert "All checks passed." in out


def test_verify_prints_a_table(run: Run, artifact: Path) -> None:
    status, out, _ = run("verify", artifact, "--inputs", "6", "--reference", "3")
    assert status == 0
    assert "0 float of" in out
    assert "reference" in out
    assert "C, cc -O3 -march=native" in out


def test_verify_as_json(run: Run, artifact: Path) -> None:
    status, out, err = run("verify", artifact, "--inputs", "2", "--reference", "1", "--json")
    data = json.loads(out)
    assert (status, err) == (0, "")
    assert data["ok"] is True
    assert {"name", "ok", "detail", "seconds"} == set(data["checks"][0])


def test_run_text_prints_values_and_similarities(run: Run, artifact: Path) -> None:
    status, out, _ = run("run", artifact, "--text", "the cat sat", "--text", "a dog ran")
    assert status == 0
    assert "sentence_embedding: int32[1, 60]" in out
    assert "similarity" in out


@pytest.mark.parametrize("backend", ["onnx", "c", "reference"])
def test_run_backends_agree(run: Run, artifact: Path, tmp_path: Path, backend: str) -> None:
    np.savez(tmp_path / "x.npz", input_ids=np.array([[2, 5, 9, 3]]))
    file = tmp_path / "y.npz"
    status, _, _ = run(
        "run", artifact, "--input", tmp_path / "x.npz", "--backend", backend, "--output", file
    )
    assert status == 0
    with np.load(file) as result:
        got = result["sentence_embedding"]
    assert got.dtype == np.int32
    status, out, _ = run("run", artifact, "--input", tmp_path / "x.npz", "--json")
    expected = json.loads(out)[0]["sentence_embedding"]["integers"]
    assert got.tolist() == expected


def test_run_needs_one_kind_of_input(run: Run, artifact: Path) -> None:
    status, _, err = run("run", artifact)
    assert status == 2
    assert err.startswith("error: Give either --text or --input")


def test_eval_and_bench_find_the_float_model_again(
    run: Run, artifact: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(
        "sentence1,sentence2,score\nthe cat sat,a cat sat,4.5\nthe tree,red bird,1\na dog,"
        "the dog ran,3\n",
        encoding="utf-8",
    )
    status, out, _ = run("eval", artifact, "--sts", path, "--json")
    assert status == 0
    data = json.loads(out)
    assert data["pairs"] == 3
    assert data["cosine_mean"] > 0.99
    status, out, _ = run("bench", artifact, "--repeat", "2", "--json")
    assert status == 0
    timings = json.loads(out)
    assert [t["name"].split(",")[0] for t in timings] == ["float", "integers", "integers"]
    assert timings[0]["ratio"] == 1.0


def test_bench_of_a_language_model(run: Run, decoder: Path) -> None:
    options = ("--length", "6", "--steps", "3", "--repeat", "2")
    status, out, err = run("bench", decoder, *options, "--json")
    assert (status, err) == (0, "")
    timings = json.loads(out)
    names = [
        "float, onnxruntime with a cache", "float, transformers generate",
        "integers, onnxruntime", "integers, C -O3 -march=native",
    ]  # fmt: skip
    assert [t["phase"] for t in timings] == ["prefill"] * 4 + ["decode"] * 4
    assert [t["name"] for t in timings] == names * 2
    assert timings[0]["ratio"] == timings[4]["ratio"] == 1.0
    assert all(0 < t["best_ms"] <= t["median_ms"] for t in timings)
    assert timings[0]["tokens_per_second"] == pytest.approx(6000 / timings[0]["median_ms"])
    status, out, _ = run("bench", decoder, *options)
    assert status == 0 and "tokens/s" in out
    status, _, err = run("bench", decoder, "--length", "6000")
    assert status == 1 and "A prompt of 6000 tokens and 32 more do not fit a context of" in err
    status, _, err = run("bench", decoder, "--batch", "2")
    assert status == 2 and "Texts go one by one" in err


@pytest.mark.parametrize("backend", ["onnx", "c", "reference"])
def test_run_a_language_model(run: Run, decoder: Path, backend: str) -> None:
    """Logits of a whole text; caches are not shown."""
    arguments = ("run", decoder, "--text", "sort: ab =", "--backend", backend)
    status, out, _ = run(*arguments)
    assert status == 0
    assert "logits: int32[1, 7, 262]" in out and "present" not in out
    status, out, _ = run(*arguments, "--json")
    assert status == 0 and set(json.loads(out)[0]) == {"logits"}


def test_inspect_a_language_model(run: Run, decoder: Path) -> None:
    status, out, _ = run("inspect", decoder)
    assert status == 0
    assert "text-generation, up to" in out and "past_key.0" in out and "CachedAttention 2" in out
    status, out, _ = run("inspect", decoder, "--why", "logits", "--json")
    assert status == 0 and json.loads(out)["made_by"]


def test_inspect_artifact(run: Run, artifact: Path) -> None:
    status, out, _ = run("inspect", artifact)
    assert status == 0
    assert "q * 1 / 2^20" in out
    assert "C arena" in out
    status, out, _ = run("inspect", artifact, "--layers")
    assert status == 0
    assert "dB" in out
    status, out, _ = run("inspect", artifact, "--why", "sentence_embedding", "--json")
    assert status == 0
    low, high = json.loads(out)["proved_range"]
    assert -(2**21) < low <= -(2**20) and 2**20 <= high < 2**21
    status, _, err = run("inspect", artifact, "--why", "sentence_embeding")
    assert status == 1
    assert "Nearest: sentence_embedding" in err


def test_inspect_model(run: Run, tiny_encoder: Path) -> None:
    status, out, _ = run("inspect", tiny_encoder)
    assert status == 0
    assert "every operator has an integer rule" in out
    assert "LayerNormalization 5" in out


def test_ops_is_computed(run: Run) -> None:
    status, out, _ = run("ops", "--json")
    assert status == 0
    names = [o["name"] for o in json.loads(out)["integer"]]
    assert "Linear" in names
    assert names == sorted(names)
    status, out, _ = run("ops", "--markdown")
    assert "| Linear |" in out


def test_quiet_prints_the_bare_result(run: Run, artifact: Path) -> None:
    status, out, err = run("verify", artifact, "--inputs", "2", "--reference", "1", "--quiet")
    assert (status, out, err) == (0, "ok\n", "")


def test_errors_are_one_message(run: Run, tmp_path: Path) -> None:
    status, out, err = run("verify", tmp_path / "nothing")
    assert (status, out) == (1, "")
    assert err == (
        f"error: Artifact '{tmp_path / 'nothing'}' does not exist. "
        "Give a folder that `intcc compile` wrote.\n"
    )
    status, out, err = run("verify", tmp_path / "nothing", "--json")
    assert (status, out) == (1, "")
    assert json.loads(err)["error"]["kind"] == "ArtifactError"


def test_no_color_in_files_or_with_no_color(artifact: Path) -> None:
    command = [sys.executable, "-m", "intcc", "verify", str(artifact), "--inputs", "1"]
    for extra in ({}, {"NO_COLOR": "1", "FORCE_COLOR": ""}):
        result = subprocess.run(command, capture_output=True, env=os.environ | extra, check=True)
        assert b"\x1b[" not in result.stdout + result.stderr
