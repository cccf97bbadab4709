"""Calibration samples from every kind of file, and every way to get them wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from intcc.errors import CalibrationError
from intcc.frontends.calibration import built_in_text, load_samples, vocabulary_size
from intcc.frontends.source import ImageSpec, SourceModel
from intcc.frontends.tokenizer import TextTokenizer
from tests.conftest import write_tokenizer

ROWS = 40


def graph(*inputs: ir.Value) -> ir.Model:
    """Return a graph that looks token ids up in a table of ROWS rows."""
    nodes = []
    if inputs[0].name == "input_ids":
        table = ir.Value(
            name="table", shape=ir.Shape([ROWS, 6]), type=ir.TensorType(ir.DataType.FLOAT)
        )
        nodes = [ir.node("Gather", [table, inputs[0]])]
    return ir.Model(ir.Graph(list(inputs), [], nodes=nodes, opset_imports={"": 23}), ir_version=10)


def value(name: str, *shape: int | str, dtype: ir.DataType = ir.DataType.INT64) -> ir.Value:
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype))


@pytest.fixture
def source(tmp_path: Path) -> SourceModel:
    """Return a text model with the tests' word tokenizer."""
    write_tokenizer(tmp_path)
    inputs = [value(name, "batch", "sequence") for name in ("input_ids", "attention_mask")]
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    return SourceModel(graph(*inputs), "m", "feature-extraction", 12, tokenizer=tokenizer)


@pytest.fixture
def bare() -> SourceModel:
    """Return a text model without a tokenizer."""
    inputs = [
        value(n, "batch", "sequence") for n in ("input_ids", "attention_mask", "token_type_ids")
    ]
    return SourceModel(graph(*inputs), "m", "feature-extraction", 12)


@pytest.fixture
def image() -> SourceModel:
    pixels = value("pixel_values", "batch", 3, 8, 10, dtype=ir.DataType.FLOAT)
    spec = ImageSpec(3, 8, 10, (0.5,) * 3, (0.25,) * 3, 1 / 255)
    return SourceModel(graph(pixels), "m", "image-classification", 0, image=spec)


def file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def refused(source: SourceModel, path: Path, *fragments: str, column: str | None = None) -> None:
    with pytest.raises(CalibrationError) as caught:
        load_samples(source, path, 8, column)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert caught.value.remedy and "\n" not in message


def test_built_in_text_is_varied() -> None:
    texts = built_in_text()
    assert len(texts) > 100 and len(set(texts)) == len(texts)
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) <= 2 and max(lengths) >= 60
    assert all(text.isprintable() for text in texts)


def test_built_in_samples(source: SourceModel) -> None:
    samples = load_samples(source, None, 10)
    assert len(samples) == 10
    assert all(set(s) == {"input_ids", "attention_mask"} for s in samples)
    assert all(s["input_ids"].shape == s["attention_mask"].shape for s in samples)
    assert max(s["input_ids"].shape[1] for s in samples) == 12  # truncated to max_length


def test_text(source: SourceModel, tmp_path: Path) -> None:
    path = file(tmp_path, "a.txt", "the cat\n\n  \na dog sat on the mat\n")
    samples = load_samples(source, path, 8)
    assert [s["input_ids"].shape for s in samples] == [(1, 4), (1, 8)]
    assert samples[0]["input_ids"][0, [0, -1]].tolist() == [2, 3]  # special tokens


def test_evenly_spaced_selection(source: SourceModel, tmp_path: Path) -> None:
    lines = ["cat " * n for n in range(1, 10)]
    samples = load_samples(source, file(tmp_path, "a.txt", "\n".join(lines)), 3)
    assert [s["input_ids"].shape[1] - 2 for s in samples] == [1, 4, 7]


def test_json_lines(source: SourceModel, tmp_path: Path) -> None:
    rows = [{"id": 3, "text": "the cat"}, {"id": 4, "text": "a dog sat"}]
    path = file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)) + '\n\n"a bird"\n')
    assert [s["input_ids"].shape[1] for s in load_samples(source, path, 8)] == [4, 5, 4]


def test_csv(source: SourceModel, tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", 'left,right\n"the cat, a dog",a\n"the\ncat",a bird sat\n')
    counts = [s["input_ids"].shape[1] for s in load_samples(source, path, 8, "right")]
    assert counts == [3, 5]
    assert len(load_samples(source, path, 8, "left,right")) == 4
    refused(source, path, "several columns: 'left', 'right'", "--calibration-column")
    refused(source, path, "no column 'middle'; columns found: 'left', 'right'", column="middle")


def test_json_column(source: SourceModel, tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl", '{"left": "a", "right": "b", "n": 1}')
    refused(source, path, "several columns: 'left', 'right'")
    refused(source, path, "no column 'n'", column="n")
    assert len(load_samples(source, path, 8, "left")) == 1
    path = file(tmp_path, "b.jsonl", '{"input_ids": [3, 4], "n": 1}')
    refused(source, path, "has no column of texts", "token ids as input_ids in an .npz")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
@pytest.mark.parametrize("content", ["", "\n\n \n"])
def test_empty(name: str, content: str, source: SourceModel, tmp_path: Path) -> None:
    refused(source, file(tmp_path, name, content), "holds no text")


def test_header_alone(source: SourceModel, tmp_path: Path) -> None:
    refused(source, file(tmp_path, "a.csv", "text\n"), "holds no text")


@pytest.mark.parametrize("content", ["{", "[1]", "17"])
def test_damaged_json(content: str, source: SourceModel, tmp_path: Path) -> None:
    refused(source, file(tmp_path, "a.jsonl", f'"a cat"\n{content}\n'), "line 2")


def test_not_utf8(source: SourceModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 cat\n")
    refused(source, tmp_path / "a.txt", "is not UTF-8 text (byte 3)")


def test_missing_and_unknown(source: SourceModel, tmp_path: Path) -> None:
    refused(source, tmp_path / "none.txt", "does not exist")
    refused(source, file(tmp_path, "a.pdf", "x"), "unknown extension '.pdf'", ".jsonl, .csv")
    refused(source, tmp_path, "does not exist")


def test_text_needs_a_tokenizer(bare: SourceModel, tmp_path: Path) -> None:
    refused(bare, file(tmp_path, "a.txt", "the cat"), "has no tokenizer", ".npz")


def test_text_for_an_image_model(image: SourceModel, tmp_path: Path) -> None:
    refused(image, file(tmp_path, "a.txt", "the cat"), "takes images", "pixel_values")


def test_ids_beyond_the_vocabulary(source: SourceModel, tmp_path: Path) -> None:
    words = {f"w{i}": i for i in range(ROWS + 5)} | {"[UNK]": ROWS + 5}
    from tokenizers import Tokenizer, models, pre_tokenizers

    foreign = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    foreign.pre_tokenizer = pre_tokenizers.Whitespace()
    foreign.save(str(tmp_path / "foreign.json"))
    source.tokenizer = TextTokenizer(tmp_path / "foreign.json")
    refused(source, file(tmp_path, "a.txt", "w3\nw41"), "token id 41 in sample 1", "ends at 39")


def arrays(folder: Path, **content: object) -> Path:
    path = folder / "a.npz"
    np.savez(path, **content)  # type: ignore[arg-type]
    return path


def test_arrays(bare: SourceModel, tmp_path: Path) -> None:
    ids = np.arange(10).reshape(2, 5)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    samples = load_samples(bare, arrays(tmp_path, input_ids=ids, attention_mask=mask), 8)
    assert [s["input_ids"].tolist() for s in samples] == [[[0, 1, 2]], [[5, 6, 7, 8, 9]]]
    assert all(s["token_type_ids"].sum() == 0 for s in samples)
    only_ids = load_samples(bare, arrays(tmp_path, input_ids=ids.astype(np.int32)), 8)
    assert only_ids[0]["attention_mask"].tolist() == [[1] * 5]
    assert only_ids[0]["input_ids"].dtype == np.int64


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ({"input_ids": [[1, ROWS]]}, ("token id 40 in sample 0", "ends at 39")),
        ({"input_ids": [[1, -1]]}, ("token id -1",)),
        ({"input_ids": [[1.5, 2.0]]}, ("'input_ids' of type float64",)),
        ({"input_ids": [[np.nan, 2.0]]}, ("NaN or infinite values in 'input_ids'",)),
        ({"input_ids": [1, 2]}, ("of shape [2]",)),
        ({"input_ids": np.zeros((0, 4), int)}, ("holds no samples",)),
        ({"words": [[1, 2]]}, ("an array 'words'", "inputs are: input_ids")),
        ({"attention_mask": [[1, 1]]}, ("lacks the array 'input_ids'", "attention_mask")),
        ({"input_ids": [[1, 2]], "attention_mask": [[0, 0]]}, ("hides every token",)),
        ({"input_ids": [[1, 2]], "attention_mask": [[1]]}, ("attention_mask",)),
        ({"input_ids": [[1, 2], [3, 4]], "attention_mask": [[1, 1]]}, ("has 2 samples",)),
    ],
)
def test_wrong_arrays(
    content: dict[str, object], fragments: tuple[str, ...], bare: SourceModel, tmp_path: Path
) -> None:
    refused(bare, arrays(tmp_path, **content), *fragments)


def test_pickled_and_damaged_arrays(bare: SourceModel, tmp_path: Path) -> None:
    refused(bare, arrays(tmp_path, input_ids=np.array([{}], dtype=object)), "cannot be read")
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 nothing")
    refused(bare, tmp_path / "b.npz", "cannot be read", "numpy.savez")


def test_images(image: SourceModel, tmp_path: Path) -> None:
    pixels = np.full((3, 3, 8, 10), 255, np.uint8)
    samples = load_samples(image, arrays(tmp_path, pixel_values=pixels), 8)
    assert len(samples) == 3 and samples[0]["pixel_values"].dtype == np.float32
    assert np.allclose(samples[0]["pixel_values"], (1 - 0.5) / 0.25)
    real = load_samples(image, arrays(tmp_path, pixel_values=pixels / 3.0), 8)
    assert np.allclose(real[0]["pixel_values"], 85)
    refused(
        image, arrays(tmp_path, pixel_values=pixels[:, :, :4]), "[1, 3, 4, 10]", "[1, 3, 8, 10]"
    )
    spoiled = pixels.astype(np.float32)
    spoiled[1, 0, 0, 0] = np.nan
    refused(
        image, arrays(tmp_path, pixel_values=spoiled), "NaN or infinite values in 'pixel_values'"
    )


def test_random_inputs_where_nothing_is_given(bare: SourceModel, image: SourceModel) -> None:
    samples = load_samples(bare, None, 6)
    assert len(samples) == 6 and all(s["input_ids"].max() < ROWS for s in samples)
    assert max(s["input_ids"].shape[1] for s in samples) <= 12
    again = load_samples(bare, None, 6)
    assert all(
        (a["input_ids"] == b["input_ids"]).all() for a, b in zip(samples, again, strict=True)
    )
    pixels = [s["pixel_values"] for s in load_samples(image, None, 2)]
    assert pixels[0].shape == (1, 3, 8, 10) and np.abs(pixels[0]).max() <= 2.001


def test_vocabulary_size(source: SourceModel, image: SourceModel) -> None:
    assert vocabulary_size(source.model) == ROWS
    assert vocabulary_size(image.model) == 0
