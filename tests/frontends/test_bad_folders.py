"""Folders and names that are no sound model: one message of subject, fact and remedy each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intcc.errors import ModelError, ToolError
from intcc.frontends import load_source
from tests.frontends.families import save


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    save("bert", folder)
    return folder


@pytest.fixture
def model(sound: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may damage."""
    for path in sound.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the hub fails at once."""
    import huggingface_hub

    def refuse(*_: Any, **__: Any) -> str:
        raise ConnectionError("no network in tests")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


def refused(path: Path | str, *fragments: str, **options: Any) -> None:
    with pytest.raises(ModelError) as caught:
        load_source(path, **options)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert "\n" not in message and "Traceback" not in message
    assert caught.value.remedy


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_weights(model: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def test_missing() -> None:
    refused("./nowhere", "'./nowhere' does not exist", "folder, a hub name, or an .onnx file")
    refused("/no/such/folder", "does not exist")


def test_hub_name_without_network() -> None:
    refused("somebody/some-model", "'somebody/some-model'", "the hub did not give it", "network")


def test_local_folder_never_asks_the_network(sound: Path) -> None:
    assert load_source(sound).task == "feature-extraction"


def test_empty_folder(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "is empty")


def test_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, "holds no config.json", "model.safetensors")
    refused(tmp_path / "notes.txt", "neither a model folder nor an .onnx file")


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\xff\xfe"])
def test_damaged_config(content: str, model: Path) -> None:
    (model / "config.json").write_text(content, encoding="latin-1")
    refused(model, "config.json")


def test_unknown_model_type(model: Path) -> None:
    edit(model / "config.json", lambda c: c.update(model_type="no-such-type"))
    refused(model, "cannot be loaded")


def test_config_without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    refused(model, "has a config but no weights", "Download the weights")


def test_pickle_is_refused_unless_allowed(model: Path) -> None:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    torch.save(tensors, model / "pytorch_model.bin")
    refused(model, "pickled weights (pytorch_model.bin)", "--allow-pickle")
    assert load_source(model, allow_pickle=True).task == "feature-extraction"


@pytest.mark.parametrize("kept", [0, 5, 100, 5000])
def test_truncated_weights(kept: int, model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError):
        load_source(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named(value: float, model: Path) -> None:
    name = "encoder.layer.1.output.dense.weight"

    def spoil(tensors: dict[str, Any]) -> None:
        tensors[name][2, 3] = value

    change_weights(model, spoil)
    refused(model, f"'{name}'", "1 NaN or infinite value")


def test_missing_weight_is_named(model: Path) -> None:
    change_weights(model, lambda t: t.pop("encoder.layer.0.output.dense.bias"))
    refused(model, "lacks 1 weight(s)", "'encoder.layer.0.output.dense.bias'")


def test_unused_pooler_may_be_missing(model: Path) -> None:
    def drop(tensors: dict[str, Any]) -> None:
        for name in [n for n in tensors if n.startswith("pooler")]:
            del tensors[name]

    change_weights(model, drop)
    assert load_source(model).notes == []


def test_weights_of_another_shape(model: Path) -> None:
    edit(model / "config.json", lambda c: c.update(intermediate_size=78))
    with pytest.raises(ModelError):
        load_source(model)


def test_head_that_was_never_trained(model: Path) -> None:
    refused(model, "lacks", "classifier", "--task", task="text-classification")


def test_unknown_task(model: Path) -> None:
    refused(model, "Task 'poetry' is not known", "sentence-embedding", task="poetry")
    refused(model, "does not fit the model type 'bert'", task="image-classification")


@pytest.mark.parametrize("length", [0, -3, 41])
def test_length_outside_the_position_table(length: int, model: Path) -> None:
    refused(model, f"--max-length {length}", "1 to 40", max_length=length)


def test_length_within_the_position_table(model: Path) -> None:
    assert load_source(model, max_length=40).max_length == 40
    assert load_source(model).max_length == 40  # 128 by default, and the table ends at 40


def test_damaged_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").write_text("{}")
    refused(model, "Tokenizer 'tokenizer.json'", "cannot be read")


def test_unknown_sentence_module(model: Path) -> None:
    modules = [{"type": "sentence_transformers.models.LSTM", "path": "1_LSTM"}]
    (model / "modules.json").write_text(json.dumps(modules))
    refused(model, "module of type LSTM", "Transformer, Pooling, Normalize")


def test_unknown_pooling(model: Path) -> None:
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]
    (model / "modules.json").write_text(json.dumps(modules))
    refused(model, "config.json")
    (model / "1_Pooling").mkdir()
    config = {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}
    (model / "1_Pooling" / "config.json").write_text(json.dumps(config))
    refused(model, "asks for max_tokens + mean_tokens", "mean of the tokens")


def test_pooling_outside_the_folder(model: Path) -> None:
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "../elsewhere"}]
    (model / "modules.json").write_text(json.dumps(modules))
    refused(model, "keeps its pooling outside its own folder ('../elsewhere')")


@pytest.mark.parametrize("content", ["{}", "[1]", "]"])
def test_damaged_modules(content: str, model: Path) -> None:
    (model / "modules.json").write_text(content)
    refused(model, "File 'modules.json'")


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_missing_package(package: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ToolError, match=r"pip install intcc\[hf\]"):
        load_source(model)


@pytest.mark.usefixtures("traced_anew")
def test_model_that_cannot_be_traced(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("data-dependent branch\nand a long story")

    monkeypatch.setattr(torch.onnx, "export", fail)
    refused(model, "BertModel cannot be traced (data-dependent branch)", ".onnx")
