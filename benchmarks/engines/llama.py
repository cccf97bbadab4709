"""llama.cpp: a checkpoint of transformers in its own file format, matrices in Q8_0."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines import timing

#: Names in a checkpoint and in the file, of each layer.
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def paired(weights: timing.Array, heads: int) -> timing.Array:
    """Return rows in llama.cpp's order: it rotates neighbours where transformers rotates halves."""
    rows, columns = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def convert(checkpoint: Path, path: Path) -> None:
    """Write a Llama as a GGUF file without a vocabulary."""
    import gguf
    import safetensors
    import torch

    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    for layer in range(config["num_hidden_layers"]):
        for theirs, other in LAYER.items():
            names[f"model.layers.{layer}.{theirs}.weight"] = f"blk.{layer}.{other}.weight"
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safetensors.safe_open(file, framework="pt") as tensors:
            for name in sorted(tensors.keys()):
                array = tensors.get_tensor(name).to(torch.float32).numpy()
                if "q_proj" in name or "k_proj" in name:
                    array = paired(array, heads if "q_proj" in name else groups)
                kind = gguf.GGMLQuantizationType.F32
                if array.ndim == 2:
                    kind = gguf.GGMLQuantizationType.Q8_0
                    array = gguf.quantize(array, kind)
                writer.add_tensor(names[name], array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Decoder(timing.Decoder):
    """A language model, called as llama-bench calls it."""

    def __init__(self, checkpoint: str, file: str, context: int = 512, threads: int = 1) -> None:
        """Open it; the file is made on first use."""
        import llama_cpp

        if not Path(file).exists():
            scratch = Path(f"{file}.part")
            convert(Path(checkpoint), scratch)
            scratch.rename(file)
        self._api: Any = llama_cpp
        self._model = llama_cpp.Llama(
            file, n_ctx=context, n_batch=context, n_threads=threads, n_threads_batch=threads,
            verbose=False,
        )  # fmt: skip
        self._context = self._model.ctx

    def begin(self) -> None:
        """Begin a text."""
        memory = self._api.llama_get_memory(self._context)
        self._api.llama_memory_clear(memory, True)

    def feed(self, ids: Sequence[int]) -> None:
        """Take in tokens."""
        array = (self._api.llama_token * len(ids))(*ids)
        status = self._api.llama_decode(
            self._context, self._api.llama_batch_get_one(array, len(ids))
        )
        if status:
            raise RuntimeError(f"llama_decode returned {status}")
        self._logits = self._api.llama_get_logits(self._context)

    def last(self) -> timing.Array:
        """Return the logits."""
        count = ctypes.c_float * self.vocabulary
        return np.array(ctypes.cast(self._logits, ctypes.POINTER(count)).contents)
