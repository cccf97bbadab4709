"""Several sets of kernels in one artifact: the best is chosen, all give the same bits."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.target import load_target
from intcc.errors import SettingsError
from intcc.runtime.native import kernel_sets
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench
from tests.c.driver import run_driver
from tests.c.encoder import encoder
from tests.c.test_x86_sets import missing

SETS = load_target("x86-64").sets
MORE = [f"_{kernels.name}" for kernels in SETS]
#: Names in /proc/cpuinfo that differ from the compiler's.
NAMES = {"avx512vnni": "avx512_vnni", "avxvnni": "avx_vnni"}
#: What this processor runs.
HERE = [s.name for s in SETS if not missing({NAMES.get(f, f) for f in s.features})]
pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="sets of kernels are for x86"
)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return encoder(pooled=False)


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets")
    bench.emit(path, target="x86-64")
    return path


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-avxvnni", "x86-64-v4"])
def test_a_set_has_the_kernels_of_its_target(name: str) -> None:
    every, alone = load_target("x86-64"), load_target(name)
    assert (every.kernels, every.matmul, every.gelu_steps) == (
        alone.kernels, alone.matmul, alone.gelu_steps,
    )  # fmt: skip
    assert alone.toolchain is not None
    assert alone.toolchain.flags[1:] in [s.flags for s in every.sets]


@pytest.mark.parametrize("compiler", ["gcc", "clang-19"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_choice_gives_equal_bits(
    bench: Bench, folder: Path, compiler: str, threads: int
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    native = bench.native(folder, ("-O2",), compiler=compiler, threads=threads)
    for tokens in (1, 7, 24):
        feeds = bench.feeds(tokens, "random")
        feeds["attention_mask"][:] = 1
        for name, expected in evaluate(bench.model, feeds).items():
            assert np.array_equal(native.run(feeds)[name], expected)


@pytest.mark.parametrize("name", ["any", *HERE])
def test_every_set_gives_equal_bits(bench: Bench, folder: Path, name: str) -> None:
    assert kernel_sets(folder, "tiny") == [kernels.name for kernels in SETS]
    native = bench.native(folder, ("-O2",), threads=2)
    entry = native._library[f"tiny_run_{name}"]
    entry.argtypes, entry.restype = native._run.argtypes, native._run.restype
    native._run = entry
    feeds = bench.feeds(23, "random")
    feeds["attention_mask"][:] = 1
    for output, expected in evaluate(bench.model, feeds).items():
        assert np.array_equal(native.run(feeds)[output], expected)


@pytest.mark.parametrize("processor", ["Nehalem", "Haswell"])
def test_a_processor_gets_what_it_can_run(
    bench: Bench, folder: Path, tmp_path: Path, processor: str
) -> None:
    """An instruction that it lacks would end the program."""
    if shutil.which("qemu-x86_64") is None:
        pytest.skip("qemu-x86_64 is not installed")
    feeds = bench.feeds(17, "random")
    feeds["attention_mask"][:] = 1
    model = bench.prototype(folder)
    assert not run_driver(
        folder, "tiny", model, feeds, evaluate(bench.model, feeds), 17, ("-O2", "-static"),
        tmp_path, runner=("qemu-x86_64", "-cpu", processor), more=MORE,
    )  # fmt: skip


def test_sets_have_their_instructions(folder: Path, tmp_path: Path) -> None:
    """The pragma is all that gcc needs."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    for part, shown in (("_avx512", "%zmm"), ("_avxvnni", "vpdpbusd"), ("_avx2", "vpmaddubsw")):
        made = tmp_path / f"{part}.s"
        command = ["gcc", "-O2", "-std=c99", "-S", "-o", str(made), str(folder / f"tiny{part}.c")]
        subprocess.run(command, check=True)
        assert shown in made.read_text(encoding="utf-8")


def test_sets_need_threads(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'x86-64' chooses kernels as threads share a run"):
        bench.emit(tmp_path, target="x86-64", threads=False)
