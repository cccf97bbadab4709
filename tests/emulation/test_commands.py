"""run, bench and generate with --on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import intcc
from intcc.cli import main
from intcc.errors import DataError, EqualityError, SettingsError
from intcc.instructions import bench_instructions, require_equal
from intcc.runtime.artifact import Artifact
from tests.emulation.machines import on_machine

PROMPT = "sort: dba ="


def test_generated_tokens_are_those_of_this_machine(
    decoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on = on_machine("cortex-m4")
    for sampling in ([], ["--temperature", "1.5", "--top-k", "9", "--seed", "5"]):
        command = ["generate", str(decoder), "--prompt", PROMPT, "--max-new-tokens", "4", "--json"]
        texts = []
        for place in (["--on", on], []):
            assert main([*command, *sampling, *place]) == 0
            texts.append(json.loads(capsys.readouterr().out))
        assert texts[0]["tokens"] == texts[1]["tokens"]
        assert (texts[0]["backend"], texts[1]["backend"]) == (on, "onnx")


def test_run_of_a_text_generator(decoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = on_machine("rv32imc")
    assert main(["run", str(decoder), "--text", PROMPT, "--on", on, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["run", str(decoder), "--text", PROMPT, "--json"]) == 0
    assert made["results"] == json.loads(capsys.readouterr().out)
    (call,) = made["calls"]
    assert call["calls"] == call["tokens"] == len(made["results"][0]["logits"]["integers"][0])
    assert call["instructions"] == sum(layer["instructions"] for layer in call["layers"])


def test_run_prints_layers(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = on_machine("cortex-m33")
    assert main(["run", str(artifact), "--text", "the cat sat", "--on", on]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(re.match(r"run on qemu:cortex-m33: \d+ tokens", line) for line in lines)
    assert any(re.match(r"layer 1: \S+ +[\d,]+ +\d+\.\d% +[\d,]+ +\d+\.\d\d", x) for x in lines)
    assert any(re.match(r"total +[\d,]+ +[\d,]+ +\d+\.\d\d", x) for x in lines)
    assert "Every output is the same as on this machine, bit for bit." in lines


def test_bench_counts_what_the_report_counts(
    artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on = on_machine("aarch64")
    assert main(["bench", str(artifact), "--on", on, "--json"]) == 0
    (tally,) = json.loads(capsys.readouterr().out)
    assert tally["macs"] == Artifact.open(artifact).report()["macs"]
    assert tally["instructions_per_mac"] == tally["instructions"] / tally["macs"]
    (short,) = bench_instructions(Artifact.open(artifact), on, 5)
    assert (short.tokens, short.position, short.stack_bytes) == (5, 0, 0)
    assert short.macs < tally["macs"]


def test_bench_of_a_text_generator(decoder: Path) -> None:
    prompt, step = bench_instructions(Artifact.open(decoder), on_machine("cortex-m0"), 18)
    assert (prompt.phase, prompt.calls, prompt.tokens, prompt.position) == ("prompt", 2, 18, 0)
    assert (step.phase, step.calls, step.tokens, step.position) == ("next token", 1, 1, 18)
    assert 0 < step.instructions < prompt.instructions
    assert 0 < step.stack_bytes < 8192


def test_changed_weights_are_seen(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on = on_machine("cortex-m7")
    changed = tmp_path / "changed"
    shutil.copytree(artifact, changed)
    (weights,) = (changed / "c").glob("*_weights.c")
    text = weights.read_text(encoding="utf-8")
    weights.write_text(re.sub(r"(?<=[{ ])-?\d\d,", "1,", text), encoding="utf-8")
    assert main(["run", str(changed), "--text", "the cat sat", "--on", on]) == 1
    message = capsys.readouterr().err
    assert re.match(r"error: Output 'sentence_embedding' on qemu:cortex-m7 differs in \d+ of 60 "
                    r"values, first at \[0, \d+\]: -?\d+, not -?\d+\. Report", message)  # fmt: skip


def test_a_single_bit_is_a_difference() -> None:
    with pytest.raises(
        EqualityError, match=r"differs in 1 of 6 values, first at \[1, 2\]: 6, not 5"
    ):
        require_equal(
            "m", {"y": np.array([[0, 1, 2], [3, 4, 6]])}, {"y": np.arange(6).reshape(2, 3)}
        )


def test_what_does_not_fit(decoder: Path, artifact: Path) -> None:
    on = on_machine("cortex-m4")
    with pytest.raises(DataError, match=r"A prompt of \d+ tokens and one more do not fit"):
        bench_instructions(Artifact.open(decoder), on, Artifact.open(decoder).max_length)
    with pytest.raises(DataError, match="has sequence length 25"):
        bench_instructions(Artifact.open(artifact), on, 25)
    with pytest.raises(SettingsError, match="Machine 'qemu:abacus' does not exist"):
        intcc.load(artifact, "qemu:abacus")
    assert main(["bench", str(artifact), "--on", on, "--batch", "2"]) == 2


def test_an_artifact_as_a_callable(artifact: Path) -> None:
    model = intcc.load(artifact, on_machine("rv64gcv"))
    (feeds,) = model.tokenize(["a dog ran"])
    np.testing.assert_array_equal(
        model(feeds)["sentence_embedding"], intcc.load(artifact)(feeds)["sentence_embedding"]
    )
