"""Instructions of single kernels on every emulated machine, exact, beside the bars to reach."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import common
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from kernel_graphs import graph, manifest, value

from intcc.backends.c.emit import emit_c
from intcc.backends.c.target import available, load_target
from intcc.emulation.machine import PREFIX
from intcc.emulation.model import EmulatedModel
from intcc.ops.softmax import parameters
from intcc.runtime.reference import evaluate

Array = npt.NDArray[Any]
#: Rows, columns and terms of a sum.
SIZE = 64
#: Instructions: the bar, and what CMSIS-NN (-O3) needs.
BARS: Mapping[str, Mapping[str, tuple[int | None, int | None]]] = {
    "matmul": {
        "cortex-m0": (1_550_000, 1_824_138),
        "cortex-m3": (680_000, 819_674),
        "cortex-m4": (460_000, 542_006),
        "cortex-m7": (460_000, 542_060),
        "cortex-m33": (460_000, 540_984),
        "cortex-m55": (90_000, 103_134),
        "rv32imc": (950_000, None),
        "rv64gcv": (150_000, None),
        "aarch64": (70_000, None),
    },
    "softmax": {"cortex-m4": (110_000, 2_147_222)},
}
LABELS = {
    "matmul": "int8 matmul 64 × 64 × 64 with a rescale for each channel",
    "softmax": "softmax of 64 rows of 64",
}


def matmul(rng: np.random.Generator) -> tuple[ir.Model, Array]:
    x = value("x", np.uint8, ["batch", SIZE, SIZE])
    weights = rng.integers(-64, 64, (SIZE, SIZE), endpoint=True).astype(np.int8)
    divisor = (2 * rng.integers(50, 300, SIZE) + 1).astype(np.int32)
    bias = rng.integers(-20000, 20000, SIZE).astype(np.int32)
    limits = [np.asarray(0, np.int32), np.asarray(255, np.int32)]
    model = graph("Linear", [x], [weights, bias, divisor, *limits], np.uint8)
    return model, rng.integers(0, 256, (1, SIZE, SIZE)).astype(np.uint8)


def softmax(rng: np.random.Generator) -> tuple[ir.Model, Array]:
    x = value("x", np.int32, ["batch", 1, SIZE, SIZE])
    x.metadata_props["intcc.range"] = "-60000 60000"
    model = graph("Softmax", [x], list(parameters(2.0**-12)), np.int32)
    return model, rng.integers(-30000, 30000, (1, 1, SIZE, SIZE)).astype(np.int32)


KERNELS: Mapping[str, Callable[[np.random.Generator], tuple[ir.Model, Array]]] = {
    "matmul": matmul,
    "softmax": softmax,
}


def count(kernel: str, target: str) -> int:
    """Return the instructions of one call, after a comparison of every output."""
    model, x = KERNELS[kernel](np.random.default_rng(1))
    with tempfile.TemporaryDirectory() as folder:
        emit_c(model, Path(folder), target=target)
        machine = EmulatedModel(Path(folder), manifest(model), on=PREFIX + target)
        made, expected = machine.run({"x": x})["y"], evaluate(model, {"x": x})["y"]
    if (made != expected).any():
        raise SystemExit(f"error: {kernel} on {target} differs from the reference")
    return machine.calls[0].counts.layers[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    known = [t for t in available() if load_target(t).emulator is not None]
    parser.add_argument("--targets", nargs="+", choices=known, default=known)
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=list(KERNELS))
    options = parser.parse_args()
    rows = []
    for kernel in options.kernels:
        for target in options.targets:
            made = count(kernel, target)
            bar, other = BARS[kernel].get(target, (None, None))
            terms = f"{made / SIZE**3:.2f}" if kernel == "matmul" else "–"
            reached = "–" if bar is None else f"{bar:,}" + ("" if made <= bar else " (not reached)")
            rows.append([
                LABELS[kernel], target, f"{made:,}", terms, reached, f"{other:,}" if other else "–",
            ])  # fmt: skip
    header = ["kernel", "target", "instructions", "per multiply-accumulate", "bar", "CMSIS-NN"]
    table = common.markdown(header, rows)
    print(table)
    if options.write:
        note = "\nExact, from `python benchmarks/microcontrollers.py`; every output is compared.\n"
        common.replace_section(options.write, "microcontrollers", table + note)


if __name__ == "__main__":
    main()
