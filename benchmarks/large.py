"""Compile a decoder of 135 million parameters (random weights): time and memory by depth.

    python benchmarks/large.py [--layers 10 20 30] [--shards] [--dtype bfloat16]

Peak memory is the resident set of the whole process, libraries included. Wall time depends on
what else the machine does, processor time less so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from common import machine, markdown

#: Extents of SmolLM-135M.
GEOMETRY = {
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


class Cost(NamedTuple):
    """What one process used: seconds, seconds of processors, bytes."""

    wall: float
    cpu: float
    peak: int


def make(folder: Path, layers: int, dtype: str, shards: bool) -> int:
    """Write a checkpoint of random weights; return the number of parameters."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(num_hidden_layers=layers, **GEOMETRY)
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size="100MB" if shards else "50GB")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[10, 20, 30])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--shards", action="store_true", help="split the checkpoint")
    chosen = parser.parse_args()
    rows = []
    for layers in chosen.layers:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            count = make(folder / "model", layers, chosen.dtype, chosen.shards)
            cost = compile_apart(folder / "model", folder / "out", "--context", "512")
        figures = [f"{count / 1e6:.1f} M", f"{cost.wall:.0f} s", f"{cost.cpu:.0f} s"]
        rows.append([str(layers), *figures, f"{cost.peak / 2**20:.0f} MiB"])
    print(markdown(["layers", "parameters", "wall", "processors", "peak memory"], rows))
    print(machine())


if __name__ == "__main__":
    main()
