"""BitNet checkpoints in all their forms: the graph holds what their layers multiply by.

The reference is the layer code of transformers with its rounding of activations taken out.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from intcc.errors import ModelError
from intcc.frontends import load_source
from intcc.frontends.ternary import unpack
from intcc.passes.canonicalize import canonicalize
from tests.frontends.decoders import build, ids, reference

pytestmark = pytest.mark.usefixtures("traced_anew")
SIZES = {"hidden_size": 60, "num_attention_heads": 3, "num_key_value_heads": 1,
         "intermediate_size": 76}  # fmt: skip
#: linear_class, quantization_mode, packed, with a norm inside.
FORMS = [
    ("bitlinear", "offline", True, False),
    ("bitlinear", "offline", True, True),
    ("autobitlinear", "offline", True, False),
    ("autobitlinear", "offline", False, True),
    ("autobitlinear", "online", False, False),
    ("autobitlinear", "online", False, True),
]


def write(folder: Path, kind: str, mode: str, packed: bool, norm: bool) -> Any:
    """Write a checkpoint; return the torch model of transformers' own layers."""
    import torch
    from safetensors.torch import save_file
    from transformers.integrations import bitnet

    model = build("bitnet", **SIZES)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    options = {
        "quant_method": "bitnet",
        "linear_class": kind,
        "quantization_mode": mode,
        "use_rms_norm": norm,
        "rms_norm_eps": 1e-5,
    }
    bitnet.replace_with_bitnet_linear(model, ["lm_head"], SimpleNamespace(**options))
    generator = torch.Generator().manual_seed(1)
    for name, layer in model.named_modules():
        if not isinstance(layer, bitnet.BitLinear | bitnet.AutoBitLinear):
            continue
        weight = tensors.pop(f"{name}.weight")
        codes = torch.sign(weight)
        stored = {"weight": bitnet.pack_weights(codes.clone()) if packed else codes}
        if mode == "online":
            noise = torch.randn(weight.shape, generator=generator)
            stored = {"weight": weight + 0.05 * noise}
        else:
            stored["weight_scale"] = torch.tensor([7.3 if kind == "bitlinear" else 0.13])
        if norm:
            gain = torch.randn(weight.shape[1], generator=generator)
            stored["rms_norm.weight"] = 1 + 0.2 * gain
        tensors |= {f"{name}.{key}": tensor for key, tensor in stored.items()}
        layer.to_empty(device="cpu")
        layer.dtype = torch.float32
        unpacked = {"weight": codes} if kind == "autobitlinear" and packed else {}
        layer.load_state_dict(stored | unpacked)
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["BitNetForCausalLM"], "quantization_config": options}
    (folder / "config.json").write_text(json.dumps(config))
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
    return model


@pytest.fixture
def exact_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the rounding of activations out of transformers' layers."""
    import torch
    from transformers.integrations import bitnet

    monkeypatch.setattr(
        bitnet.BitLinear, "activation_quant", lambda self, x, num_bits=8: (x, torch.ones(()))
    )
    monkeypatch.setattr(
        bitnet.BitLinear,
        "post_quant_process",
        lambda self, x, input_scale, weight_scale: x / (input_scale * weight_scale),
    )
    monkeypatch.setattr(bitnet.ActQuant, "apply", lambda activation: activation)

    def online(weight: Any) -> Any:
        scale = 1.0 / weight.abs().mean().clamp(min=1e-5)
        return (weight * scale).round().clamp(-1, 1) / scale

    monkeypatch.setattr(bitnet.WeightQuant, "apply", online)


@pytest.mark.usefixtures("exact_activations")
@pytest.mark.parametrize("form", FORMS)
def test_effective_weights(form: tuple[str, str, bool, bool], tmp_path: Path) -> None:
    model = write(tmp_path, *form)
    graph = canonicalize(load_source(tmp_path).model)
    assert graph.metadata_props["intcc.ternary"] == "1"
    norms = [node for node in graph.graph if node.op_type == "RMSNormalization"]
    assert len(norms) == (9 + 14 if form[3] else 9)
    for node in graph.graph:
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is not None and not node.outputs[0].is_graph_output():
            assert weight.const_value is not None
            assert len(np.unique(np.asarray(weight.const_value))) == 3
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    got = session.run(None, {"input_ids": ids(2, 9)})[0]
    expected = reference(model, ids(2, 9))
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


def test_unpack() -> None:
    """Row i + r R comes from bits 2 r and 2 r + 1 of row i."""
    import torch

    packed = torch.tensor([[0b10_01_00_10], [0b01_01_10_00]], dtype=torch.uint8)
    assert unpack(packed).ravel().tolist() == [1, -1, -1, 1, 0, 0, 1, 0]


def change(folder: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("mlp.up_proj.rms_norm.weight", "mlp.up_proj.rms_norm.weight' is missing"),
        ("mlp.up_proj.weight_scale", "mlp.up_proj.weight' is quantized and has no weight_scale"),
        ("mlp.up_proj.weight", "lacks 1 weight"),
        ("input_layernorm.weight", "lacks 1 weight"),
    ],
)
def test_missing_parts_are_named(missing: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "bitlinear", "offline", True, True)
    change(tmp_path, f"model.layers.1.{missing}")
    with pytest.raises(ModelError, match=message):
        load_source(tmp_path)


def test_float_weights_are_not_ternary(tmp_path: Path) -> None:
    from tests.frontends.decoders import save

    save("llama", tmp_path)
    assert "intcc.ternary" not in load_source(tmp_path).model.metadata_props
