"""The same bits on emulated processors whose kernels add pairs of products in 16 bits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from intcc.backends.onnx.qlinear import emit
from intcc.backends.onnx.strict import emit as emit_strict
from intcc.ops.linear import pair_reach
from intcc.runtime.ort import open_session
from tests.ops.test_conv import GEOMETRIES
from tests.qlinear.test_emission import convolution, divisors, linear

#: Runs FOLDER/0.onnx, 1.onnx ... on FOLDER/0.npy, ... at two optimisation levels.
WORKER = """
import sys, pathlib, numpy as np, onnxruntime as ort
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    results = []
    for name in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options, level = ort.SessionOptions(), getattr(ort.GraphOptimizationLevel, name)
        options.graph_optimization_level, options.intra_op_num_threads = level, 1
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": np.load(path.with_suffix(".npy"))})[0])
    np.savez(path.with_suffix(".npz"), *results)
"""


def utmost(k: int, n: int, random: np.random.Generator) -> npt.NDArray[np.int8]:
    """Return weights whose neighbours are as large as the bound of pairs lets them be."""
    pairs = np.array(
        [(127, -127), (-127, 127), (127, 1), (1, 127), (-127, -1), (64, 64), (-64, -64)]
    )
    chosen = pairs[random.integers(0, len(pairs), (k // 2 + 1, n))]
    weight = chosen.transpose(0, 2, 1).reshape(-1, n)[:k].astype(np.int8)
    assert pair_reach(255, weight) == 255 * 128
    return weight


@pytest.mark.parametrize("processor", ["Haswell", "Nehalem"])
def test_same_bits_without_vnni(tmp_path: Path, processor: str) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("qemu-user is not installed")
    random = np.random.default_rng(5)
    images = [convolution(geometry, most) for geometry in GEOMETRIES[1:5] for most in (64, 127)]
    cases: list[tuple[Any, Any]] = [(model, np.maximum(x, 200)) for model, x in images]
    for bias in (None, random.integers(-900, 900, 35)):
        model = linear(("b", "s", 131), 35, divisor=divisors(35) * 9, bias=bias)
        cases.append((model, random.integers(200, 256, (2, 17, 131)).astype(np.uint8)))
    strict = len(cases)  # from here on that model too, of one row and of many
    for rows in (1, 19):
        d, weight = divisors(35) * 9, utmost(131, 35, random)
        model = linear(("b", "s", 131), 35, divisor=d, bias=d // 3, weight=weight)
        cases += [(model, 255 * random.integers(0, 2, (1, rows, 131)).astype(np.uint8))] * 2
    wanted = []
    for index, (model, x) in enumerate(cases):
        flavour = emit_strict(model) if index >= strict and index % 2 else emit(model)[0]
        onnx.save(flavour, tmp_path / f"{index}.onnx")
        np.save(tmp_path / f"{index}.npy", x)
        session = open_session(emit_strict(model).SerializeToString())
        wanted.append(session.run(None, {"x": x})[0])
    command = [emulator, "-cpu", processor, sys.executable, "-c", WORKER, str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    for index, expected in enumerate(wanted):
        with np.load(tmp_path / f"{index}.npz") as results:
            for name in results.files:
                np.testing.assert_array_equal(results[name], expected, f"{index}, {name}")
