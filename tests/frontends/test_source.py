"""Names, lengths, pixel normalisation, tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from intcc.errors import ModelError
from intcc.frontends import load_source
from intcc.frontends.source import ImageSpec, identifier, image_spec, resolve_max_length
from intcc.frontends.tokenizer import TextTokenizer, tokenizer_files
from tests.conftest import write_tokenizer


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("all-MiniLM-L6-v2", "all_minilm_l6_v2"),
        ("2bert", "m_2bert"),
        ("Ünïcode.onnx", "n_code_onnx"),
        ("---", "m"),
        ("", "m"),
    ],
)
def test_identifier(text: str, name: str) -> None:
    assert identifier(text) == name and name.isidentifier()


@pytest.mark.parametrize(
    ("requested", "own", "limit", "length"),
    [(None, None, 512, 128), (None, 256, 512, 256), (None, 512, 40, 40), (9, 256, 512, 9),
     (512, None, 512, 512), (None, None, 0, 128), (1000, None, 0, 1000)],
)  # fmt: skip
def test_max_length(requested: int | None, own: int | None, limit: int, length: int) -> None:
    assert resolve_max_length(requested, own, limit) == length


def test_max_length_out_of_range() -> None:
    with pytest.raises(
        ModelError, match="--max-length 513 is outside the model's range of 1 to 512"
    ):
        resolve_max_length(513, None, 512)
    with pytest.raises(ModelError, match="--max-length 0 is below 1"):
        resolve_max_length(0, None, 0)


def test_image_normalisation(tmp_path: Path) -> None:
    spec = image_spec(tmp_path, 3, 4, 5)
    assert spec == ImageSpec(3, 4, 5, (0.5,) * 3, (0.5,) * 3, 1 / 255)
    assert spec.normalize(np.zeros((1, 3, 4, 5), np.uint8)).max() == -1
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4], "rescale_factor": 0.5}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    pixels = np.full((1, 3, 4, 5), 2, np.uint8)
    got = image_spec(tmp_path, 3, 4, 5).normalize(pixels)[0, :, 0, 0]
    assert np.allclose(got, [0.9, 0.4, 0.175])
    (tmp_path / "preprocessor_config.json").write_text(
        '{"do_normalize": false, "do_rescale": false}'
    )
    assert image_spec(tmp_path, 3, 4, 5).normalize(pixels).max() == 2


def test_tokenizer(tmp_path: Path) -> None:
    size = write_tokenizer(tmp_path)
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.vocabulary_size == size and tokenizer.own_length is None
    (long, short) = tokenizer.encode(["cat " * 30, ""], 7)
    assert long["input_ids"].shape == (1, 7) and short["input_ids"].tolist() == [[2, 3]]
    assert all(array.dtype == np.int64 for array in long.values())
    assert [p.name for p in tokenizer_files(tmp_path)] == [
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_own_length_and_padding_of_the_file(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    content["truncation"] = {
        "max_length": 9, "strategy": "LongestFirst", "stride": 0, "direction": "Right"
    }  # fmt: skip
    content["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    path.write_text(json.dumps(content))
    tokenizer = TextTokenizer(path)
    assert tokenizer.own_length == 9
    assert tokenizer.encode(["the cat"], 20)[0]["input_ids"].shape == (1, 4)  # never padded


def test_a_head_that_is_left_out_is_told(tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        vocab_size=9,
    )
    transformers.BertForTokenClassification(config).save_pretrained(tmp_path)
    (note,) = load_source(tmp_path).notes
    assert note == (
        "feature-extraction compiles BertModel: the head of BertForTokenClassification is left out"
    )
