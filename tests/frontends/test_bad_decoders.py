"""Decoder folders that are no sound model: one message of subject, fact and remedy each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intcc.errors import ModelError, UnsupportedOperatorError
from intcc.frontends import load_source
from intcc.passes.canonicalize import canonicalize
from tests.frontends.decoders import CONTEXT, build, save
from tests.frontends.families import save as save_encoder

pytestmark = pytest.mark.usefixtures("traced_anew")


def refused(folder: Path, *fragments: str, **options: Any) -> None:
    with pytest.raises(ModelError) as caught:
        load_source(folder, **options)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert "\n" not in message and caught.value.remedy


def change_weights(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_context_out_of_range(tmp_path: Path) -> None:
    save("llama", tmp_path)
    for context in (0, -1, CONTEXT + 1):
        refused(tmp_path, f"--context {context}", f"1 to {CONTEXT}", context=context)


def test_context_is_for_language_models(tmp_path: Path) -> None:
    save_encoder("bert", tmp_path)
    refused(tmp_path, "--context 8", "is for language models", "--max-length", context=8)


@pytest.mark.parametrize("task", ["feature-extraction"])
def test_decoder_is_no_encoder(task: str, tmp_path: Path) -> None:
    save("llama", tmp_path)
    refused(tmp_path, f"Task '{task}'", "see only earlier ones", task=task)


def test_encoder_generates_nothing(tmp_path: Path) -> None:
    save_encoder("bert", tmp_path)
    refused(tmp_path, "lacks", task="text-generation")


def test_missing_weight_is_named(tmp_path: Path) -> None:
    save("llama", tmp_path)
    change_weights(tmp_path, lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))
    refused(tmp_path, "lacks 1 weight", "'model.layers.1.mlp.up_proj.weight'", "Download")


def test_missing_head_is_named(tmp_path: Path) -> None:
    save("llama-untied-biased", tmp_path)
    change_weights(tmp_path, lambda t: t.pop("lm_head.weight"))
    refused(tmp_path, "lacks 1 weight", "'lm_head.weight'")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    save("qwen3", tmp_path)
    name = "model.layers.0.self_attn.k_norm.weight"
    change_weights(tmp_path, lambda t: t[name].__setitem__(3, value))
    refused(tmp_path, f"'{name}'", "1 NaN or infinite value")


def test_weight_of_another_shape(tmp_path: Path) -> None:
    save("llama", tmp_path)

    def cut(tensors: dict[str, Any]) -> None:
        name = "model.layers.0.mlp.up_proj.weight"
        tensors[name] = tensors[name][:-1].clone()

    change_weights(tmp_path, cut)
    refused(tmp_path, str(tmp_path), "cannot be loaded")


def sharded(folder: Path, name: str = "llama") -> list[Path]:
    """Write a model in several files; return them."""
    save(name, folder)
    (folder / "model.safetensors").unlink()
    build(name).save_pretrained(folder, max_shard_size="60KB")
    return sorted(folder.glob("model-*.safetensors"))


def test_shards(tmp_path: Path) -> None:
    shards = sharded(tmp_path)
    assert len(shards) > 2
    assert load_source(tmp_path).task == "text-generation"


def test_missing_shard(tmp_path: Path) -> None:
    sharded(tmp_path)[1].unlink()
    refused(tmp_path, str(tmp_path), "cannot be loaded")


def test_shard_of_another_model(tmp_path: Path) -> None:
    """A shard whose tensors are those of another one: some names are gone, nothing is guessed."""
    shards = sharded(tmp_path)
    shards[1].write_bytes(shards[2].read_bytes())
    refused(tmp_path, str(tmp_path))


def test_truncated_shard(tmp_path: Path) -> None:
    shard = sharded(tmp_path)[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    refused(tmp_path, str(tmp_path))


def test_other_attention_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A family whose own code differs from plain causal attention is not mistaken for one."""
    from transformers.models.llama import modeling_llama

    own = modeling_llama.eager_attention_forward

    def biased(module: Any, query: Any, *rest: Any, **options: Any) -> Any:
        return own(module, query * 1.1, *rest, **options)

    monkeypatch.setattr(modeling_llama, "eager_attention_forward", biased)
    save("llama", tmp_path)
    refused(tmp_path, "LlamaForCausalLM", "does not compute plain causal attention")


def test_model_whose_own_code_fails(tmp_path: Path) -> None:
    """Heads of odd width cannot be rotated."""
    save("qwen2", tmp_path, hidden_size=78)
    refused(tmp_path, "Qwen2ForCausalLM fails on a few random tokens (", "config.json")


def save_random(folder: Path, family: str, spread: float = 0.3, **sizes: int) -> None:
    """Write a decoder of a family that is none of ours, with weights of some spread."""
    import torch
    import transformers

    tokens = {"vocab_size": 30, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = getattr(transformers, f"{family}Config")(**sizes, **tokens)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, spread)
    model.save_pretrained(folder)


@pytest.mark.parametrize(
    ("family", "spread", "fact"),
    [
        ("Cohere", 0.3, "rotates other than by halves"),
        ("Cohere", 0.001, "rotates other than by halves"),  # nothing of which shows in its logits
        ("Falcon", 0.3, "attention in code of its own"),
    ],
)
def test_families_of_other_rules(family: str, spread: float, fact: str, tmp_path: Path) -> None:
    """Rotation of neighbours, and attention that cannot be chosen."""
    sizes = {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1}
    save_random(tmp_path, family, spread, **sizes)
    refused(tmp_path, fact, "Use a decoder of another family", context=12)


def test_rotation_of_other_parameters_stays(tmp_path: Path) -> None:
    """GPT-J rotates neighbours by a function of one tensor, which no rule takes."""
    save_random(tmp_path, "GPTJ", n_embd=24, n_head=2, n_layer=1, rotary_dim=4)
    with pytest.raises(UnsupportedOperatorError, match=r"Neg .* has no integer rule"):
        canonicalize(load_source(tmp_path, context=12).model)


def test_config_of_another_kind(tmp_path: Path) -> None:
    save("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["LlamaModel"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_source(tmp_path, task="text-generation").task == "text-generation"
    refused(tmp_path, "see only earlier ones")
