"""Compile a decoder of 135 million parameters (random weights): time and memory by depth.

    python benchmarks/large.py [--layers 10 20 30] [--shards] [--dtype bfloat16]

Peak memory is the resident set of the whole process, libraries included. Wall time depends on
what else the machine does, processor time less so.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import machine, markdown
from random_llama import SMALL, compile_apart, make


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
            geometry = {**SMALL, "num_hidden_layers": layers}
            shard = "100MB" if chosen.shards else "50GB"
            count = make(folder / "model", geometry, chosen.dtype, shard)
            cost = compile_apart(folder / "model", folder / "out", "--context", "512")
        figures = [f"{count / 1e6:.1f} M", f"{cost.wall:.0f} s", f"{cost.cpu:.0f} s"]
        rows.append([str(layers), *figures, f"{cost.peak / 2**20:.0f} MiB"])
    print(markdown(["layers", "parameters", "wall", "processors", "peak memory"], rows))
    print(machine())


if __name__ == "__main__":
    main()
