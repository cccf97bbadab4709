"""Llamas of random weights: a checkpoint as transformers writes it, compiled in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

#: Extents of SmolLM-135M without its layers.
SMALL = {
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
#: 341 million parameters, of which a token reads all.
MEDIUM = {
    "num_hidden_layers": 24,
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 2816,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


class Cost(NamedTuple):
    """What one process used: seconds, seconds of processors, bytes."""

    wall: float
    cpu: float
    peak: int


def make(folder: Path, geometry: Mapping[str, Any], dtype: str, shard: str = "50GB") -> int:
    """Write a checkpoint; return the number of parameters."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(**geometry)
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size=shard)
    return sum(p.numel() for p in model.parameters())


def compile_apart(model: Path, output: Path, *options: str) -> Cost:
    """Run `intcc compile` as a process of its own."""
    command = [sys.executable, "-m", "intcc", "compile", str(model), "-o", str(output), "--force"]
    start = time.monotonic()
    process = subprocess.Popen([*command, "--quiet", *options])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: compilation of {model} failed")
    wall = time.monotonic() - start
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
