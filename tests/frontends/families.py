"""Tiny random-weight models of every supported family; no extent is a power of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FAMILIES", "WORDS", "build", "feeds", "reference"]

WORDS = 99
_TEXT = {
    "hidden_size": 60,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 77,
    "vocab_size": WORDS,
    "max_position_embeddings": 40,
}
_DISTIL = {
    "dim": 60,
    "n_layers": 2,
    "n_heads": 3,
    "hidden_dim": 77,
    "vocab_size": WORDS,
    "max_position_embeddings": 40,
}
_NARROW = {**_TEXT, "embedding_size": 36}
_IMAGE = {
    "hidden_size": 60,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 77,
    "image_size": 30,
    "patch_size": 6,
}
_CLASSES = {"num_labels": 3}

#: Name to (model class, config class, config).
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertModel", "BertConfig", _TEXT),
    "bert-tanh-gelu": ("BertModel", "BertConfig", {**_TEXT, "hidden_act": "gelu_new"}),
    "bert-classifier": ("BertForSequenceClassification", "BertConfig", _TEXT | _CLASSES),
    "roberta": ("RobertaModel", "RobertaConfig", _TEXT),
    "roberta-classifier": ("RobertaForSequenceClassification", "RobertaConfig", _TEXT | _CLASSES),
    "distilbert": ("DistilBertModel", "DistilBertConfig", _DISTIL),
    "distilbert-classifier": (
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        _DISTIL | _CLASSES,
    ),
    "electra": ("ElectraModel", "ElectraConfig", _NARROW),
    "electra-classifier": ("ElectraForSequenceClassification", "ElectraConfig", _NARROW | _CLASSES),
    "albert": ("AlbertModel", "AlbertConfig", _NARROW),
    "albert-classifier": ("AlbertForSequenceClassification", "AlbertConfig", _NARROW | _CLASSES),
    "mpnet": ("MPNetModel", "MPNetConfig", _TEXT),
    "mpnet-classifier": ("MPNetForSequenceClassification", "MPNetConfig", _TEXT | _CLASSES),
    "vit": ("ViTModel", "ViTConfig", _IMAGE),
    "vit-classifier": ("ViTForImageClassification", "ViTConfig", _IMAGE | _CLASSES),
    "deit": ("DeiTModel", "DeiTConfig", _IMAGE),
    "deit-classifier": ("DeiTForImageClassification", "DeiTConfig", _IMAGE | _CLASSES),
    "deit-distilled": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", _IMAGE | _CLASSES),
}


def build(name: str, attention: str = "eager", **changes: Any) -> Any:
    """Return a torch model in evaluation mode with lively weights."""
    import torch
    import transformers

    model_class, config_class, settings = FAMILIES[name]
    config = getattr(transformers, config_class)(**{**settings, **changes})
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, model_class)._from_config(config, attn_implementation=attention)
    for key, parameter in model.named_parameters():
        gain = "norm" in key.lower() and key.endswith("weight")
        torch.nn.init.normal_(parameter, 1.0 if gain else 0.0, 0.2)
    return model.eval()


def save(name: str, folder: Path, **changes: Any) -> Any:
    """Write the model as a Hugging Face folder; return it."""
    model = build(name, **changes)
    model.save_pretrained(folder)
    return model


def feeds(name: str, batch: int, length: int, pairs: bool) -> dict[str, npt.NDArray[Any]]:
    """Return inputs; every row but the first is padded."""
    random = np.random.default_rng(length)
    if FAMILIES[name][2] is _IMAGE or "image_size" in FAMILIES[name][2]:
        return {"pixel_values": random.standard_normal((batch, 3, 30, 30)).astype(np.float32)}
    ids = random.integers(5, WORDS, (batch, length))
    mask = np.ones_like(ids)
    for row in range(1, batch):
        mask[row, max(1, length - 3 * row) :] = 0
    given = {"input_ids": ids, "attention_mask": mask}
    if pairs:
        given["token_type_ids"] = random.integers(0, 2, ids.shape)
    return given


def reference(model: Any, given: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Run torch: logits or token states."""
    import torch

    with torch.no_grad():
        out = model(**{key: torch.from_numpy(array) for key, array in given.items()})
    return np.asarray((out.logits if "logits" in out else out.last_hidden_state).numpy())
