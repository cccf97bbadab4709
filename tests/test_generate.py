"""`intcc generate`: text as it comes, the same on every backend, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import intcc
from examples.tiny_llama.task import answer
from intcc.cli import main
from intcc.frontends.tokenizer import TextTokenizer

PROMPT = "sort: dacbfa ="
Capture = pytest.CaptureFixture[str]


def generate(capsys: Capture, *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["generate", *(str(a) for a in arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def as_json(capsys: Capture, *arguments: str | Path) -> dict[str, Any]:
    status, out, err = generate(capsys, *arguments, "--json")
    assert (status, err) == (0, "")
    data: dict[str, Any] = json.loads(out)
    return data


@pytest.mark.parametrize("backend", ["onnx", "c", "reference"])
def test_answer_of_every_backend(decoder: Path, capsys: Capture, backend: str) -> None:
    status, out, err = generate(
        capsys, decoder, "--prompt", PROMPT, "--max-new-tokens", "7", "--backend", backend
    )
    assert status == 0
    assert out == f"{answer(PROMPT)}\n"
    assert err.startswith("7 tokens after 11 of prompt, ") and err.endswith(" tokens/s\n")


def test_quiet_is_the_bare_text(decoder: Path, capsys: Capture) -> None:
    status, out, err = generate(
        capsys, decoder, "--prompt", PROMPT, "--max-new-tokens", "7", "--quiet"
    )
    assert (status, out, err) == (0, f"{answer(PROMPT)}\n", "")


def test_json(decoder: Path, capsys: Capture) -> None:
    data = as_json(capsys, decoder, "--prompt", PROMPT, "--max-new-tokens", "5", "--seed", "9")
    assert set(data) == {
        "text", "tokens", "prompt_tokens", "seconds", "tokens_per_second", "backend", "seed",
    }  # fmt: skip
    tokenizer = TextTokenizer(decoder / "tokenizer.json")
    assert data["prompt_tokens"] == tokenizer.encode([PROMPT], None)[0]["input_ids"][0].tolist()
    assert data["text"] == tokenizer.decode(data["tokens"]) == " aabc"
    assert (data["backend"], data["seed"]) == ("onnx", 9)
    assert data["tokens_per_second"] == pytest.approx(5 / data["seconds"])
    ids = ",".join(map(str, data["prompt_tokens"]))
    again = as_json(capsys, decoder, "--tokens", ids, "--max-new-tokens", "5")
    assert again["tokens"] == data["tokens"] and again["text"] == data["text"]


def test_draws_depend_on_the_seed_and_on_nothing_else(decoder: Path, capsys: Capture) -> None:
    options = (
        "--prompt",
        "sort:",
        "--max-new-tokens=12",
        "--temperature=3",
        "--top-p=0.99",
        "--seed",
    )
    drawn = {
        (seed, backend): as_json(capsys, decoder, *options, seed, "--backend", backend)["tokens"]
        for seed in ("1", "2")
        for backend in ("onnx", "c")
    }
    assert drawn["1", "onnx"] == drawn["1", "c"] != drawn["2", "onnx"] == drawn["2", "c"]
    model = intcc.load(decoder)
    prompt = TextTokenizer(decoder / "tokenizer.json").encode(["sort:"], None)[0]["input_ids"][0]
    same = list(model.stream(prompt.tolist(), 12, temperature=3, top_p=0.99, seed=1))
    assert same == drawn["1", "onnx"]


def test_no_tokens_asked_for(decoder: Path, capsys: Capture) -> None:
    data = as_json(capsys, decoder, "--prompt", PROMPT, "--max-new-tokens", "0")
    assert (data["text"], data["tokens"]) == ("", [])


def test_the_context_ends_a_text(decoder: Path, capsys: Capture) -> None:
    context = intcc.load(decoder).artifact.max_length
    assert context is not None
    ids = ",".join(["66"] * (context - 1))
    assert len(as_json(capsys, decoder, "--tokens", ids)["tokens"]) <= 2
    status, out, err = generate(capsys, decoder, "--tokens", f"{ids},66,66")
    assert (status, out) == (1, "")
    assert f"{context + 1} tokens do not fit the {context} that are left" in err


def test_without_a_tokenizer(decoder: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(decoder, tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer.json").unlink()
    status, out, err = generate(capsys, tmp_path / "bare", "--prompt", PROMPT)
    assert (status, out) == (1, "")
    assert "has no tokenizer. Give token ids with --tokens." in err
    status, out, _ = generate(capsys, tmp_path / "bare", "--tokens", "0,261", "--max-new-tokens=2")
    assert status == 0
    assert [int(word) for word in out.split()] == as_json(
        capsys, decoder, "--tokens", "0,261", "--max-new-tokens=2"
    )["tokens"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "Give either --prompt or --tokens"),
        (["--prompt", "a", "--tokens", "1"], 2, "Give either --prompt or --tokens"),
        (["--tokens", "1,x"], 2, "'1,x' is no list of token ids"),
        (["--tokens", "1,99999"], 1, "Token 99999 is not in the vocabulary"),
        (["--tokens=-1"], 1, "Token -1 is not in the vocabulary"),
        (["--prompt", "a", "--max-new-tokens=-1"], 2, "--max-new-tokens"),
        (["--prompt", "a", "--backend", "java"], 2, "Backend 'java' does not exist"),
        (["--prompt", "a", "--temperature=-1"], 2, "is not a number from 0 up"),
        (["--prompt", "a", "--temperature", "nan"], 2, "is not a number from 0 up"),
        (["--prompt", "a", "--top-p", "1.5"], 2, "is not between 0 and 1"),
        (["--prompt", "a", "--top-k=-2"], 2, "is not a count"),
    ],
)
def test_wrong_requests(
    decoder: Path, capsys: Capture, arguments: list[str], status: int, words: str
) -> None:
    got, out, err = generate(capsys, decoder, *arguments)
    assert (got, out) == (status, "")
    assert words in err and "Traceback" not in err


def test_an_encoder_generates_nothing(artifact: Path, capsys: Capture) -> None:
    status, out, err = generate(capsys, artifact, "--prompt", "the cat")
    assert (status, out) == (1, "")
    assert "computes sentence-embedding, it generates nothing" in err


@pytest.mark.slow
def test_stories(stories: Path, capsys: Capture) -> None:
    """Real text, greedy, on both backends."""
    texts = [
        as_json(capsys, stories, "--prompt", "Once upon a time", "--backend", backend)["text"]
        for backend in ("onnx", "c")
    ]
    assert texts[0] == texts[1]
    assert texts[0].startswith(", there was a little girl named Lily. She loved to play outside")
