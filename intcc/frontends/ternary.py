"""BitNet checkpoints: their linear layers as plain float matrices of the values -s, 0 and s.

    packed        weight uint8 [N / 4, K], two bits a value; the effective weight is
                  (code - 1) / weight_scale, or (code - 1) * weight_scale in an AutoBitLinear
    offline       weight float (or packed); weight * weight_scale
    online        weight float; s * clip(round(weight / s), -1, 1) with s = mean |weight|
    unquantized   weight float, which may hold just -s, 0 and s

The rounding of activations that these layers do (8 bits per token) is left out: the integer
model rounds each token's activations to 8 bits itself. An RMSNorm inside of a layer stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir

from intcc.errors import ModelError
from intcc.frontends.sentence_transformers import read_json

__all__ = ["TERNARY", "is_bitnet", "load_bitnet", "mark_ternary"]

#: Metadata key of models with a ternary layer.
TERNARY = "intcc.ternary"
_SCALE = ".weight_scale"
#: Values in a byte of packed weights, and the least mean magnitude that scales an online layer.
_PACKED, _LEAST = 4, 1e-5


def is_bitnet(config: dict[str, Any]) -> bool:
    """Tell whether the checkpoint's linear layers are stored in a form of BitNet's."""
    quantization = config.get("quantization_config") or {}
    return isinstance(quantization, dict) and quantization.get("quant_method") == "bitnet"


def unpack(packed: Any) -> Any:
    """Return the float values -1, 0, 1 [4 * R, K] of uint8 [R, K]: row i + r * R from bits 2r."""
    import torch

    parts = [(packed >> 2 * r) & 3 for r in range(_PACKED)]
    return torch.cat(parts).to(torch.float32) - 1


def _effective(name: str, tensors: dict[str, Any], quantization: dict[str, Any]) -> Any:
    """Return the float weight of the layer `name`."""
    import torch

    weight, scale = tensors[f"{name}.weight"], tensors.get(f"{name}{_SCALE}")
    automatic = quantization.get("linear_class") == "autobitlinear"
    if automatic and quantization.get("quantization_mode") == "online":
        weight = weight.float()
        inverse = 1.0 / weight.abs().mean().clamp(min=_LEAST)
        return (weight * inverse).round().clamp(-1, 1) / inverse
    weight = unpack(weight) if weight.dtype == torch.uint8 else weight.float()
    if scale is None:
        raise ModelError(
            f"Checkpoint weight '{name}.weight'",
            "is quantized and has no weight_scale",
            "The checkpoint is incomplete: download it again",
        )
    return weight * scale.float() if automatic else weight / scale.float()


def _quantized(model: Any, tensors: dict[str, Any], quantization: dict[str, Any]) -> list[str]:
    """Names of the layers that are quantized: stored so, or all but the head online."""
    import torch

    if quantization.get("quantization_mode") != "online":
        packed = {
            name.removesuffix(".weight")
            for name, tensor in tensors.items()
            if name.endswith(".weight") and tensor.dtype == torch.uint8
        }
        scaled = {name.removesuffix(_SCALE) for name in tensors if name.endswith(_SCALE)}
        return sorted(name for name in packed | scaled if f"{name}.weight" in tensors)
    kept = set(quantization.get("modules_to_not_convert") or ())
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module is not head
        and not any(name == k or name.endswith(f".{k}") or k in name.split(".") for k in kept)
        and f"{name}.weight" in tensors
    ]


def _shards(folder: Path) -> list[Path]:
    """Files of the checkpoint, chosen as transformers does."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        return [whole]
    names = set(read_json(index)["weight_map"].values())
    return [folder / Path(name).name for name in sorted(names)]


def load_bitnet(folder: Path, config: dict[str, Any], attention: str) -> tuple[Any, dict[str, Any]]:
    """Return the torch model with effective weights, and transformers' account of the loading."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    quantization = config["quantization_config"]
    settings = AutoConfig.from_pretrained(folder, local_files_only=True)
    del settings.quantization_config
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(settings)
    tensors: dict[str, Any] = {}
    for path in _shards(folder):
        tensors.update(load_file(path))
    names = _quantized(skeleton, tensors, quantization)
    for name in names:
        tensors[f"{name}.weight"] = _effective(name, tensors, quantization)
        tensors.pop(f"{name}{_SCALE}", None)
    norms = {key: tensors.pop(key) for key in list(tensors) if key.endswith(".rms_norm.weight")}
    model, info = type(skeleton).from_pretrained(
        None,
        config=settings,
        state_dict=tensors,
        dtype=torch.float32,
        attn_implementation=attention,
        output_loading_info=True,
    )
    if quantization.get("use_rms_norm"):
        epsilon = float(quantization.get("rms_norm_eps", 1e-6))
        for name in names:
            _add_norm(model, name, norms, epsilon)
    return model, info


def _add_norm(model: Any, name: str, norms: dict[str, Any], epsilon: float) -> None:
    """Put the RMSNorm of a layer before it."""
    import torch

    key = f"{name}.rms_norm.weight"
    linear = model.get_submodule(name)
    if key not in norms or tuple(norms[key].shape) != (linear.in_features,):
        raise ModelError(
            f"Checkpoint weight '{key}'",
            "has the wrong shape" if key in norms else "is missing",
            "The checkpoint is incomplete: download it again",
        )
    norm = torch.nn.RMSNorm(linear.in_features, eps=epsilon)
    norm.weight.data = norms[key].float()
    model.set_submodule(name, torch.nn.Sequential(norm, linear))


def mark_ternary(model: Any, graph: ir.Model) -> None:
    """Write TERNARY into the metadata where a linear layer holds only -s, 0 and s."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            magnitude = module.weight.detach().abs()
            largest = magnitude.max()
            if largest > 0 and bool(((magnitude == largest) | (magnitude == 0)).all()):
                graph.metadata_props[TERNARY] = "1"
                return
