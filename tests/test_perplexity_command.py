"""`intcc eval --perplexity`: figures that follow from the logits, equal on every backend."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intcc
from examples.tiny_llama.task import answer, prompts
from intcc.agreement import TERNARY_NOTE, evaluate_perplexity, read_documents
from intcc.cli import main
from intcc.errors import DataError
from intcc.runtime.artifact import Artifact
from tests.conftest import WORDS, write_tokenizer
from tests.frontends.decoders import save

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answered inputs, blank lines between, and a line of one token."""
    path = tmp_path_factory.mktemp("text") / "sorted.txt"
    lines = [prompt + answer(prompt) for prompt in prompts()[7::5000]]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return path


def evaluate(capsys: Capture, *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["eval", *(str(a) for a in arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    data: dict[str, Any] = json.loads(out)
    return data


def test_figures(decoder: Path, text: Path, capsys: Capture) -> None:
    data = evaluate(capsys, decoder, "--perplexity", text)
    model = intcc.load(decoder)
    texts = read_documents(text)
    losses, counts = [], []
    for feeds in model.tokenize(texts):
        ids = feeds["input_ids"][0]
        assert ids[0] == 0  # beginning of sequence
        real = model.dequantize("logits", model(feeds)["logits"])[0]
        rows = real[np.arange(len(ids) - 1), ids[1:]] - np.log(np.exp(real[:-1]).sum(-1))
        losses.append(-rows.sum())
        counts.append(len(rows))
    assert data["tokens"] == sum(counts) and data["documents"] == len(texts)
    assert data["perplexity"] == pytest.approx(math.exp(sum(losses) / sum(counts)), rel=1e-9)
    assert [d["tokens"] for d in data["per_document"]] == counts
    assert data["per_document"][3]["perplexity"] == pytest.approx(
        math.exp(losses[3] / counts[3]), rel=1e-9
    )
    shares = [d["agreement"] * d["tokens"] for d in data["per_document"]]
    assert data["agreement"] == pytest.approx(sum(shares) / sum(counts), rel=1e-9)
    assert data["agreement"] > 0.9
    assert abs(data["perplexity"] / data["float_perplexity"] - 1) < 0.05
    assert data["note"] is None


@pytest.mark.parametrize("backend", ["c", "reference"])
def test_backends_agree(decoder: Path, text: Path, capsys: Capture, backend: str) -> None:
    arguments = (decoder, "--perplexity", text, "--limit", "3")
    data = evaluate(capsys, *arguments, "--backend", backend)
    assert data == evaluate(capsys, *arguments)
    assert data["documents"] == 3


def test_table_and_bare_figure(decoder: Path, text: Path, capsys: Capture) -> None:
    assert main(["eval", str(decoder), "--perplexity", str(text)]) == 0
    out, _ = capsys.readouterr()
    assert "perplexity" in out and "12 documents" in out and "next token preferred at" in out
    assert main(["eval", str(decoder), "--perplexity", str(text), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and float(out) > 1


def test_a_document_of_one_token_predicts_nothing(decoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("</s>\nsort: ab =\n", encoding="utf-8")
    result = evaluate_perplexity(Artifact.open(decoder), path).to_json()
    assert result["documents"] == 2 and result["per_document"][0]["tokens"] in (0, 1)
    assert result["tokens"] == sum(d["tokens"] for d in result["per_document"])


def test_ternary_models_come_with_a_note(tmp_path: Path) -> None:
    """The float graph leaves out the quantization of activations."""
    folder, text = tmp_path / "model", tmp_path / "text.txt"
    folder.mkdir()
    save("bitnet", folder)
    write_tokenizer(folder)
    text.write_text(" ".join(WORDS) + "\n", encoding="utf-8")
    artifact = intcc.compile(
        folder, tmp_path / "out", calibration=text, emit="onnx", scheme="w1.58a8"
    )
    assert evaluate_perplexity(artifact, text).note == TERNARY_NOTE


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "Give either --sts or --perplexity"),
        (["--perplexity", "none.txt"], 1, "File 'none.txt' cannot be read"),
        (["--perplexity", "none.txt", "--limit", "0"], 2, "--limit"),
    ],
)
def test_wrong_requests(
    decoder: Path, capsys: Capture, arguments: list[str], status: int, words: str
) -> None:
    assert main(["eval", str(decoder), *arguments]) == status
    out, err = capsys.readouterr()
    assert out == "" and words in err and "Traceback" not in err


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no text"):
        read_documents(tmp_path / "empty.txt")


def test_embeddings_have_no_perplexity(artifact: Path, text: Path, capsys: Capture) -> None:
    assert main(["eval", str(artifact), "--perplexity", str(text)]) == 1
    assert "computes sentence-embedding, not the next token" in capsys.readouterr().err


@pytest.mark.slow
def test_stories(stories: Path, shared: Path) -> None:
    path = shared / "data/tinystories-validation.txt"
    result = evaluate_perplexity(Artifact.open(stories), path, limit=40)
    assert abs(result.exact.perplexity - 3.5436) <= 1e-4
    assert result.ours.perplexity <= 1.01 * result.exact.perplexity
    assert result.agreement >= 0.96
