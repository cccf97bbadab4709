"""NPU: where the products of a small BERT are placed, and Vela's estimates, by accelerator.

The BERT is random, of MiniLM's structure: what is placed where, and its cycles, do not depend on
the weights. Takes torch, and the tools of `pip install 'intcc[npu]'`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

import intcc

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")


def bert(folder: Path, hidden: int, layers: int, length: int) -> Path:
    """Write a random BERT whose heads are 32 wide; return its folder."""
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=64,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden,
        max_position_embeddings=length,
    )
    BertModel(config).eval().save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--accelerators", nargs="+", default=ACCELERATORS)
    options = parser.parse_args()
    print("| accelerator | share of the products | parts | cycles | milliseconds |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        model = bert(work / "model", options.hidden, options.layers, options.length)
        for name in options.accelerators:
            artifact = intcc.compile(
                model, work / name, emit="vela", accelerator=name, max_length=options.length
            )
            npu = artifact.report()["npu"]
            print(
                f"| {name} | {100 * npu['macs_share']:.2f} % | {len(npu['parts'])} "
                f"| {npu['cycles']:,} | {npu['milliseconds']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
