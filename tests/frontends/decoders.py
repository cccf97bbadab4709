"""Tiny random-weight decoders of every supported family; few extents are powers of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONTEXT", "DECODERS", "WORDS", "build", "ids", "reference", "save"]

WORDS, CONTEXT = 99, 40
_BASE = {
    "hidden_size": 60,
    "num_hidden_layers": 2,
    "intermediate_size": 77,
    "vocab_size": WORDS,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _heads(query: int, key: int, size: int | None = None) -> dict[str, Any]:
    heads = {"num_attention_heads": query, "num_key_value_heads": key}
    return heads if size is None else {**heads, "head_dim": size}


_GPT2 = {
    "n_embd": 60,
    "n_layer": 2,
    "n_head": 3,
    "n_inner": 77,
    "n_positions": CONTEXT,
    "vocab_size": WORDS,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_OPT = {**_BASE, "num_attention_heads": 5, "ffn_dim": 77, "word_embed_proj_dim": 60}
_TIED, _LOOSE = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}
_MIXED = {"layer_types": ["sliding_attention", "full_attention"]}
_TWO_ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0},
}

#: Name to (model class, config class, config).
DECODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", _BASE | _heads(6, 2, 12) | _TIED),
    "llama-untied-biased": (
        "LlamaForCausalLM",
        "LlamaConfig",
        _BASE | _heads(3, 3, 20) | _LOOSE | {"attention_bias": True, "mlp_bias": True},
    ),
    "llama3-rope": (
        "LlamaForCausalLM",
        "LlamaConfig",
        _BASE
        | _heads(4, 1, 20)
        | {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 10,
            }
        },
    ),
    "yarn": (
        "LlamaForCausalLM",
        "LlamaConfig",
        _BASE
        | _heads(4, 2, 20)
        | {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 500.0,
                "factor": 4.0,
                "original_max_position_embeddings": 10,
            }
        },
    ),
    "mistral": (
        "MistralForCausalLM",
        "MistralConfig",
        _BASE | _heads(4, 1, 20) | _LOOSE | {"sliding_window": 5},
    ),
    "qwen2": (
        "Qwen2ForCausalLM",
        "Qwen2Config",
        _BASE
        | _heads(6, 3)
        | _TIED
        | _MIXED
        | {"hidden_size": 72, "use_sliding_window": True, "sliding_window": 7},
    ),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", _BASE | _heads(6, 2, 20) | _TIED),
    "smollm3": (
        "SmolLM3ForCausalLM",
        "SmolLM3Config",
        _BASE | _heads(4, 2) | {"hidden_size": 48, "no_rope_layers": [1, 0]},
    ),
    "phi3": (
        "Phi3ForCausalLM",
        "Phi3Config",
        _BASE
        | _heads(3, 1)
        | {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100.0,
                "partial_rotary_factor": 0.6,
            }
        },
    ),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", _BASE | _heads(5, 5)),
    "gemma2": (
        "Gemma2ForCausalLM",
        "Gemma2Config",
        _BASE
        | _heads(4, 2, 12)
        | {
            "sliding_window": 5,
            "query_pre_attn_scalar": 7,
            "attn_logit_softcapping": 1.5,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": (
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        _BASE
        | _heads(4, 1, 20)
        | _MIXED
        | {"sliding_window": 6, "query_pre_attn_scalar": 9, "rope_parameters": _TWO_ROPES},
    ),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2),
    "opt": ("OPTForCausalLM", "OPTConfig", _OPT),
    "opt-projected": (
        "OPTForCausalLM",
        "OPTConfig",
        _OPT | {"word_embed_proj_dim": 36, "do_layer_norm_before": False},
    ),
    "gpt-neox": (
        "GPTNeoXForCausalLM",
        "GPTNeoXConfig",
        _BASE
        | {"num_attention_heads": 3}
        | {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100.0,
                "partial_rotary_factor": 0.3,
            }
        },
    ),
    "gpt-neox-serial": (
        "GPTNeoXForCausalLM",
        "GPTNeoXConfig",
        _BASE | {"num_attention_heads": 5, "use_parallel_residual": False},
    ),
    "bitnet": ("BitNetForCausalLM", "BitNetConfig", _BASE | _heads(6, 2) | {"hidden_size": 72}),
    "bitnet-silu": (
        "BitNetForCausalLM",
        "BitNetConfig",
        _BASE | _heads(3, 1) | {"hidden_act": "silu"},
    ),
}


def build(name: str, **changes: Any) -> Any:
    """Return a torch model in evaluation mode with lively weights, ternary ones for BitNet."""
    import torch
    import transformers

    model_class, config_class, settings = DECODERS[name]
    config = getattr(transformers, config_class)(**{**settings, **changes})
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, model_class)._from_config(config, attn_implementation="eager")
    offset = 0.0 if "gemma" in name else 1.0
    for key, parameter in model.named_parameters():
        gain = ("norm" in key.lower() or ".ln_" in key) and key.endswith("weight")
        torch.nn.init.normal_(parameter, offset if gain else 0.0, 0.2)
        if "bitnet" in name and "proj" in key:
            parameter.data = torch.sign(parameter).mul(parameter.abs() > 0.1).mul(0.13)
    model.tie_weights()
    return model.eval()


def save(name: str, folder: Path, **changes: Any) -> Any:
    """Write the model as a Hugging Face folder; return it."""
    model = build(name, **changes)
    model.save_pretrained(folder)
    return model


def ids(batch: int, length: int) -> npt.NDArray[np.int64]:
    """Return random token ids."""
    return np.random.default_rng(length).integers(0, WORDS, (batch, length))


def reference(model: Any, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Run torch: logits."""
    import torch

    with torch.no_grad():
        logits = model(torch.from_numpy(tokens), use_cache=False).logits
    return np.asarray(logits.float().numpy())
