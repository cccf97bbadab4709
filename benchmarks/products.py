"""Products of an encoder's shapes: generated C against onnxruntime and the processor's peak.

Ours includes bias, rescale by exact division for each channel and saturation to bytes;
onnxruntime's MatMulInteger ends with the sums. Both, and the peak of the dot product instruction,
are timed in turn on one core.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort
from kernel_graphs import graph, manifest, value

from intcc.backends.c.emit import emit_c
from intcc.backends.c.target import load_target
from intcc.layer_times import PEAKS
from intcc.roofline import Meter, supported
from intcc.runtime.memory import aligned
from intcc.runtime.native import NativeModel
from intcc.runtime.reference import evaluate

Array = npt.NDArray[Any]
#: Rows, terms of a sum, columns.
SHAPES = ((128, 384, 1536), (128, 1536, 384), (128, 384, 384))
#: Seconds of one measurement of a peak. Rounds are short: others seldom interrupt one.
PEAK_SECONDS = 0.0003


class Prepared(NativeModel):
    """The C of a product, called with memory that is made once."""

    def prepare(self, x: Array, y: Array) -> Callable[[], object]:
        """Return the call for one input and output."""
        self._kept = (aligned(self.arena_bytes), x, y)
        arguments = [a.ctypes.data for a in self._kept]
        run = self._run
        run.argtypes = [ctypes.c_void_p] * len(arguments)
        return lambda: run(*arguments)


def product(shape: tuple[int, int, int]) -> tuple[ir.Model, Array, Array]:
    """Return the integer model, an input and the weights; sums spread over all bytes."""
    rng = np.random.default_rng(1)
    m, k, n = shape
    x = rng.integers(0, 256, (1, m, k)).astype(np.uint8)
    w = rng.integers(-64, 64, (k, n), endpoint=True).astype(np.int8)
    divisor = (2 * rng.integers(8 * k**0.5, 20 * k**0.5, n) + 1).astype(np.int32)
    bias = (128 * divisor - 128 * w.astype(np.int64).sum(0)).astype(np.int32)
    limits = [np.asarray(0, np.int32), np.asarray(255, np.int32)]
    given = value("x", np.uint8, ["batch", m, k])
    model = graph("Linear", [given], [w, bias, divisor, *limits], np.uint8, ["batch", m, n])
    return model, x, w


def peer(x: Array, w: Array) -> Callable[[], object]:
    """Return the call of a session with one MatMulInteger, weights packed, output bound."""
    given = value("x", np.uint8, x.shape)
    weight = ir.Value(
        name="w", const_value=ir.tensor(w), shape=ir.Shape(w.shape),
        type=ir.TensorType(ir.DataType.INT8),
    )  # fmt: skip
    result = value("y", np.int32, [1, x.shape[1], w.shape[1]])
    node = ir.Node("", "MatMulInteger", [given, weight], outputs=[result])
    made = ir.Graph(
        [given], [result], nodes=[node], initializers=[weight], opset_imports={"": 20}, name="peer"
    )
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    text = ir.to_proto(ir.Model(made, ir_version=10)).SerializeToString()
    session = ort.InferenceSession(text, settings, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    y = np.zeros((1, x.shape[1], w.shape[1]), np.int32)
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_numpy(y))
    return lambda: session.run_with_iobinding(binding)


def measure(shape: tuple[int, int, int], target: str, rounds: int) -> list[str]:
    """Return a row of the table, after a comparison of every output."""
    model, x, w = product(shape)
    m, k, n = shape
    toolchain = load_target(target).toolchain
    assert toolchain is not None
    y = np.zeros((1, m, n), np.uint8)
    chosen = next(s for s in supported() if s.name == PEAKS[target])
    meter = Meter(1 << 20)
    with tempfile.TemporaryDirectory() as folder:
        emit_c(model, Path(folder), target=target)
        ours = Prepared(
            Path(folder), manifest(model), compiler=toolchain.compiler, flags=toolchain.flags
        ).prepare(x, y)
    ours()
    if (y != evaluate(model, {"x": x})["y"]).any():
        raise SystemExit(f"error: {shape} on {target} differs from the reference")
    theirs = peer(x, w)
    calls = max(int(1e8 / (m * k * n)), 1)
    times = []
    for _ in range(rounds):
        peak = meter.peak(chosen, 1, PEAK_SECONDS, 1)
        times.append((common.seconds(ours, calls), common.seconds(theirs, calls), m * k * n / peak))
    a, b, least = (min(t[i] for t in times) for i in range(3))
    ratio = statistics.median(t[0] / t[1] for t in times)
    return [
        f"{m} × {k} × {n}", target, f"{1e3 * a:.3f} ms", f"{1e3 * b:.3f} ms", f"{ratio:.2f}",
        f"{least / a:.0%} of {chosen.name}",
    ]  # fmt: skip


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--targets", nargs="+", default=["x86-64-v4", "x86-64-v3"], choices=PEAKS)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = [measure(s, t, options.rounds) for t in options.targets for s in SHAPES]
    header = ["product", "target", "ours", "MatMulInteger", "ratio", "share of the peak"]
    table = common.markdown(header, rows)
    print(table)
    if options.write:
        note = (
            f"\n{common.machine()}, one core that others use too; ours with its rescale, "
            f"MatMulInteger without; {options.rounds} rounds in turn: the best times, the best "
            "peak over the best time, and the median of the ratios; "
            "`python benchmarks/products.py`.\n"
        )
        common.replace_section(options.write, "products", table + note)


if __name__ == "__main__":
    main()
