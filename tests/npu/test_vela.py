"""Vela: found, run, read; what it refuses; its parts on the reference model."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intcc.backends.npu import vela
from intcc.backends.npu.accelerators import ACCELERATORS, load_accelerator
from intcc.backends.npu.emit import NpuReport, emit_parts
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.graph import Type
from intcc.backends.tosa.serialize import serialize
from intcc.errors import (
    MissingToolError,
    SettingsError,
    ToolError,
    UnsupportedOperatorError,
)
from intcc.interval import UINT8, Interval
from intcc.passes.prove_ranges import prove_ranges
from intcc.runtime.npu import NpuModel
from intcc.runtime.reference import evaluate, evaluate_node
from intcc.settings import CHOICES, Settings
from tests.c.bench import Bench
from tests.c.encoder import LONGEST, encoder


@pytest.fixture(scope="module")
def tools() -> None:
    """Skip without the serializer, the reference model and Vela."""
    for module in ("tosa_serializer", "tosa_reference_model"):
        pytest.importorskip(module, reason="make test-npu installs tosa-tools")
    try:
        vela.find_vela()
    except MissingToolError as error:
        pytest.skip(str(error))


def ready(bench: Bench) -> Bench:
    """Give a bench what compilation writes: limits of positions."""
    bench.model.metadata_props["intcc.max_positions"] = str(LONGEST)
    return bench


def parts(bench: Bench, folder: Path, accelerator: str) -> NpuReport:
    ranges = prove_ranges(bench.model)
    return emit_parts(bench.model, folder, load_accelerator(accelerator), ranges, evaluate_node)


def program(folder: Path, text: str) -> str:
    """Return the path of a stand-in for Vela."""
    path = folder / "vela"
    path.write_text(f"#!{sys.executable}\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def estimated(tosa: Path, accelerator: Any, made: Path) -> vela.Estimate:
    """In place of Vela, which takes a second for every part."""
    made.write_bytes(b"")
    return vela.Estimate(7, 5, 10**9, "system", "mode", {"sram": 1024}, (), ())


# -- without the tools ---------------------------------------------------------------------------


def test_a_missing_vela_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vela.VARIABLE, "/nowhere/vela")
    with pytest.raises(MissingToolError) as raised:
        vela.find_vela()
    assert str(raised.value) == (
        "Vela '/nowhere/vela' was not found. Install it (pip install 'intcc[npu]'), or name the "
        "program of another environment (pip install ethos-u-vela==5.2.0) in INTCC_VELA."
    )


def test_it_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vela.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="Vela, Arm's compiler for Ethos-U, was not found"):
        vela.find_vela()
    found = program(tmp_path, "")
    assert vela.find_vela() == found


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("raise SystemExit('Error: no licence')", ToolError, r"failed \(Error: no licence\)"),
        (
            "raise RuntimeError('Compilation failed: Validation error:\\nAdd:\\n - Input type')",
            UnsupportedOperatorError,
            r"refuses it \(Error: Compilation failed: Validation error: Add: - Input type\)",
        ),
        ("", ToolError, r"failed \(no message\)"),
    ],
)
def test_failures_are_told(
    text: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vela.VARIABLE, program(tmp_path, text))
    source = tmp_path / "part0.tosa"
    source.write_bytes(b"")
    with pytest.raises(error, match=message):
        vela.compile_part(source, load_accelerator("ethos-u55-128"), tmp_path / "part0.npz")
    assert not (tmp_path / "part0.npz").exists()


def test_a_program_that_cannot_be_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = Path(program(tmp_path, ""))
    damaged.write_bytes(b"\x7fELF")
    monkeypatch.setenv(vela.VARIABLE, str(damaged))
    source = tmp_path / "part0.tosa"
    source.write_bytes(b"")
    with pytest.raises(ToolError, match=r"cannot be run \(Exec format error\)\. Install it anew"):
        vela.compile_part(source, load_accelerator("ethos-u55-128"), tmp_path / "part0.npz")


def test_accelerators_are_the_settings_choices() -> None:
    assert tuple(ACCELERATORS) == CHOICES["accelerator"]
    with pytest.raises(SettingsError, match="--accelerator 'ethos-u99' is not known"):
        Settings.of(accelerator="ethos-u99")
    with pytest.raises(SettingsError, match="Accelerator 'ethos-u99' does not exist"):
        load_accelerator("ethos-u99")


def test_a_model_that_only_moves_data_is_refused(tmp_path: Path) -> None:
    bench = Bench("moves")
    x = bench.input(np.int64, [1, 4, 4, 2], 0, 9)
    bench.output(*bench.move("Transpose", [x], perm=[0, 3, 1, 2]))
    bench.finish()
    with pytest.raises(
        UnsupportedOperatorError, match=r"computes \(it only moves data\)\. Compile"
    ):
        parts(ready(bench), tmp_path, "ethos-u55-128")


def test_what_a_family_lacks() -> None:
    u55, u85 = load_accelerator("ethos-u55-128"), load_accelerator("ethos-u85-256")
    assert u55.lacks("GATHER", "INT32") == "ethos-u55 has no GATHER"
    assert u55.lacks("REDUCE_MAX", "INT32") == "ethos-u55 has no REDUCE_MAX of int32"
    assert u85.lacks("GATHER", "INT32") is None is u55.lacks("CONV2D", "INT8")


# -- with the tools ------------------------------------------------------------------------------


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u85-256"])
def test_an_encoder_runs_with_its_parts_on_the_reference_model(
    accelerator: str, tools: None, tmp_path: Path
) -> None:
    bench = ready(encoder())
    report = parts(bench, tmp_path, accelerator)
    assert report.partition.share == 1.0
    bench.emit(tmp_path / "c", parts=report.partition.parts)
    model = NpuModel(tmp_path, bench.manifest(), flags=("-O1",))
    for tokens, kind in ((1, "high"), (7, "random"), (LONGEST, "random")):
        feeds = bench.feeds(tokens, kind)
        feeds["attention_mask"][:] = 1
        expected, got = evaluate(bench.model, feeds), model.run(feeds)
        assert all(np.array_equal(got[name], array) for name, array in expected.items())
    _check_report(report, accelerator)


def _check_report(report: NpuReport, accelerator: str) -> None:
    entry: Mapping[str, Any] = json.loads(json.dumps(report.to_json()))
    assert (entry["accelerator"], entry["macs_share"]) == (accelerator, 1.0)
    assert entry["cycles"] == sum(part["cycles"] for part in entry["parts"]) > 0
    for part in entry["parts"]:
        assert part["layers"] and sum(part["memory_bytes"].values()) > 0
        assert part["on_cpu"] == []
        assert sum(layer["cycles"] for layer in part["layers"]) > 0
    kept = {e["operator"]: e["reason"] for e in entry["elsewhere"]}
    assert kept["Embedding"] == "token ids, masks and extents stay with the processor"


def test_what_an_accelerator_lacks_is_the_processors(
    tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention without the operation that it needs: three parts around it, equal bits."""
    bench, u85 = ready(encoder(pooled=False)), load_accelerator("ethos-u85-256")
    operations = {k: v for k, v in u85.operations.items() if k != "MATMUL"}
    monkeypatch.setattr("intcc.backends.npu.emit.compile_part", estimated)
    weaker = replace(u85, operations=operations)
    ranges = prove_ranges(bench.model)
    report = emit_parts(bench.model, tmp_path, weaker, ranges, evaluate_node)
    reasons = {n.op_type: r for n, r in report.partition.reasons.items()}
    assert reasons["Attention"] == "ethos-u85 has no MATMUL"
    assert len(report.partition.parts) == 3
    bench.emit(tmp_path / "c", parts=report.partition.parts)
    model = NpuModel(tmp_path, bench.manifest(), flags=("-O1",))
    feeds = bench.feeds(9, "random")
    feeds["attention_mask"][:] = 1
    expected, got = evaluate(bench.model, feeds), model.run(feeds)
    assert np.array_equal(got["last_hidden_state"], expected["last_hidden_state"])


def test_what_vela_refuses_is_the_processors(
    tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, whole = ready(encoder()), []

    def strict(tosa: Path, accelerator: Any, made: Path) -> vela.Estimate:
        """Refuse the first part, and on its own the second of its nodes."""
        whole.append(tosa.stem == "part0")
        if whole in ([True], [True, False, False]):
            raise UnsupportedOperatorError("Vela", "refuses it")
        return estimated(tosa, accelerator, made)

    monkeypatch.setattr("intcc.backends.npu.emit.compile_part", strict)
    report = parts(bench, tmp_path, "ethos-u85-256")
    assert [*report.partition.reasons.values()].count("Vela refuses it.") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [
            "npu.json",
            *(f"part{i}{s}" for i in range(len(report.estimates)) for s in (".tosa", ".npz")),
        ]
    )


def test_equal_bytes_each_time(tools: None, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        parts(ready(encoder()), tmp_path / name, "ethos-u85-256")
        made.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert made[0] == made[1]
    assert not any(str(tmp_path).encode() in data for data in made[0].values())


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u85-256"])
@pytest.mark.parametrize("kind", ["GATHER", "REVERSE"])
def test_the_lists_agree_with_vela(
    accelerator: str, kind: str, tools: None, tmp_path: Path
) -> None:
    """One operation alone: what the list lacks Vela refuses, what it has Vela takes."""
    b = Builder()
    x = b.input("x", (1, 16, 32), Type.INT8, Interval.of(-128, 127))
    index = b.input("index", (1, 8), Type.INT32, Interval.of(0, 15))
    b.output(b.gather(x, index) if kind == "GATHER" else b.reverse(x, 2), "y")
    if kind == "REVERSE":
        b.graph.inputs.remove(index)
    source = tmp_path / "one.tosa"
    source.write_bytes(serialize(b.graph))
    machine = load_accelerator(accelerator)
    if machine.lacks(kind, "INT8"):
        with pytest.raises(UnsupportedOperatorError, match="could not run on NPU"):
            vela.compile_part(source, machine, tmp_path / "one.npz")
    else:
        assert vela.compile_part(source, machine, tmp_path / "one.npz").cycles > 0


def test_a_model_without_products_has_no_part(tools: None, tmp_path: Path) -> None:
    bench = Bench("nothing")
    x = bench.input(np.uint8, [1, 4, 4, 2], 0, UINT8.max)
    y = bench.op("Widen", [x, np.array([3], np.int32), np.array([0], np.int32)])
    bench.output(*y)
    bench.finish()
    with pytest.raises(UnsupportedOperatorError, match="has no part that ethos-u55-128 computes"):
        parts(ready(bench), tmp_path, "ethos-u55-128")
