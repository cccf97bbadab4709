"""Whole models on every emulated machine: equal bits, instructions, flash, RAM, stack.

Flash is code and constant data of model, weights and sampler. Weights are the matrices as they are
stored: int8, and the embedding in 16 bits.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import onnx_ir as ir

import intcc
from examples.tiny_llama.demo import compile_model
from intcc.backends.c.target import available, load_target
from intcc.emulation.machine import PREFIX
from intcc.instructions import bench_instructions
from intcc.objects import build, call_graph, model_sources
from intcc.objects.callgraph import FLAGS
from intcc.runtime.artifact import Artifact
from intcc.toolchain import find_tools

#: Tokens of the prompt before the token that is counted.
PROMPT = 16


def stories(folder: Path, **settings: Any) -> Artifact:
    """Compile the teller of children's stories."""
    model, data = common.SHARED / "models" / "stories260k", common.SHARED / "data"
    return intcc.compile(
        model, folder, calibration=data / "tinystories-calibration.txt", **settings
    )


MODELS: dict[str, Callable[..., Artifact]] = {"stories260k": stories, "tiny_llama": compile_model}


def weight_bytes(artifact: Artifact) -> int:
    """Return the bytes of the matrices, as the integer graph holds them."""
    graph = ir.load(artifact.integer_onnx).graph
    constants = [v.const_value for v in graph.initializers.values()]
    return sum(
        c.nbytes for c in constants if c is not None and len(c.shape) > 1 and c.dtype.itemsize < 4
    )


def row(name: str, target: str) -> list[str]:
    """Compile a model for a machine, run it there, measure its objects."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        artifact = MODELS[name](folder / "out", target=target, rope="phase", emit="onnx,c")
        step = bench_instructions(artifact, PREFIX + target, PROMPT)[-1]
        sources = [p for p in model_sources(artifact.c_folder) if "_tokenizer" not in p.name]
        objects = build(sources, find_tools(load_target(target)), folder / "objects", *FLAGS)
        flash, stack = objects.sizes().flash, call_graph(objects).deepest()[0]
        memory = artifact.report()["memory"]
        return [
            name, target, f"{step.instructions:,}", f"{flash:,}",
            f"{flash - weight_bytes(artifact):,}", f"{memory['arena_bytes']:,}",
            f"{memory['arena_bytes'] / memory['arena_lower_bound']:.3f}", f"{stack:,}",
        ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    known = [t for t in available() if load_target(t).emulator is not None]
    parser.add_argument("--targets", nargs="+", choices=known, default=known)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    header = [
        "model", "target", f"instructions of a token after {PROMPT}", "flash",
        "flash beyond the weights", "arena", "arena / lower bound", "stack",
    ]  # fmt: skip
    rows = [row(name, target) for name in options.models for target in options.targets]
    table = common.markdown(header, rows)
    print(table)
    if options.write:
        note = (
            "\nBytes, from `python benchmarks/firmware.py`: `--rope phase`, the tokenizer aside; "
            "every output of prompt and token is equal to that of onnxruntime.\n"
        )
        common.replace_section(options.write, "firmware", table + note)


if __name__ == "__main__":
    main()
