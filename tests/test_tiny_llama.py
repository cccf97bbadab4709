"""The tiny Llama of the examples: its task, its folder, its tokenizer, its answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import intcc
from examples.tiny_llama.task import answer, prompts

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "tiny_llama"
MODEL = FOLDER / "model"
#: Rows of a call: what they compute stays in the caches of a processor.
BATCH = 32


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


def test_every_input_has_an_answer() -> None:
    everything = prompts()
    assert len(set(everything)) == len(everything) == sum(6**n for n in range(1, 7))
    assert answer("sort: dacbfa =") == " aabcdf"
    assert answer(everything[0]) == " a" and answer(everything[-1]) == " ffffff"


@pytest.mark.parametrize("text", ["", "sort:  =", "sort: abcdefa =", "sort: g =", "sort: ab = "])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an input of this task"):
        answer(text)


def test_each_letter_is_a_token(tokenizer: Tokenizer) -> None:
    encoding = tokenizer.encode("sort: dacbfa =")
    assert encoding.tokens == ["<s>", "sort", ":", "Ġ", *"dacbfa", "Ġ="]
    assert tokenizer.decode(encoding.ids) == "sort: dacbfa ="


def test_all_text_fits_the_model(tokenizer: Tokenizer) -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert tokenizer.get_vocab_size() == config["vocab_size"]
    longest = max(prompts(), key=len)
    tail = tokenizer.encode(answer(longest), add_special_tokens=False).ids
    assert len(tokenizer.encode(longest).ids) + len(tail) + 1 == 19
    assert config["max_position_embeddings"] >= 19
    assert (MODEL / "model.safetensors").stat().st_size < 2**20


@pytest.mark.slow
def test_trained_model_answers_every_input() -> None:
    command = [sys.executable, str(FOLDER / "train.py"), "--check", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all inputs        55,986 of 55,986 right" in done.stdout
    assert "'sort: dacbfa =' -> ' aabcdf'" in done.stdout


def wrong_in_integers(artifact: Path, texts: list[str], tokenizer: Tokenizer) -> list[str]:
    """Return the inputs that the integer model answers wrongly, by one pass as in train.py."""
    model = intcc.load(artifact)
    caches = {spec.name: spec.empty_cache for spec in model.inputs if spec.cached}
    end = tokenizer.token_to_id("</s>")
    assert end is not None
    wrong = []
    by_length: dict[int, list[str]] = {}
    for text in texts:
        by_length.setdefault(len(text), []).append(text)
    for same in by_length.values():
        for start in range(0, len(same), BATCH):
            part = same[start : start + BATCH]
            heads = [tokenizer.encode(text).ids for text in part]
            tails = [
                [*tokenizer.encode(answer(text), add_special_tokens=False).ids, end]
                for text in part
            ]
            tokens = np.array([h + t for h, t in zip(heads, tails, strict=True)])
            empty = {name: make(len(part)) for name, make in caches.items()}
            best = model({"input_ids": tokens[:, :-1], **empty})["logits"].argmax(-1)
            first = len(heads[0]) - 1
            right = (best[:, first:] == tokens[:, first + 1 :]).all(-1)
            wrong += [text for text, ok in zip(part, right.tolist(), strict=True) if not ok]
    return wrong


@pytest.mark.slow
def test_integers_answer_every_input(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """The float model solves all of them (see above), so the integers must."""
    calibration = tmp_path / "calibration.txt"
    lines = [prompt + answer(prompt) for prompt in prompts()[::400]]
    calibration.write_text("\n".join(lines), encoding="utf-8")
    intcc.compile(MODEL, tmp_path / "out", calibration=calibration, context=32)
    assert wrong_in_integers(tmp_path / "out", prompts(), tokenizer) == []
    prompt = tokenizer.encode("sort: dacbfa =").ids
    for backend in ("onnx", "c"):
        made = intcc.load(tmp_path / "out", backend).generate(prompt, 8)
        text = tokenizer.decode(made[len(prompt) :], skip_special_tokens=True)
        assert text.strip() == "aabcdf"
