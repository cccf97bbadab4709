"""Comparison with other engines: figures from rounds, rows from figures, missing engines."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from intcc.backends.c.shapes import Extent
from intcc.layer_times import phase_times
from intcc.layers import LayerWork

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
MODULES = (
    "avx2_only",
    "common",
    "crowded",
    "decoders",
    "hosts",
    "kernel_sets",
    "rooflines",
    "workers",
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """The scripts of benchmarks/, which are no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        names = {name: importlib.import_module(name) for name in MODULES}
        names["llama"] = importlib.import_module("engines.llama")
        yield SimpleNamespace(**names)
    finally:
        sys.path.remove(str(FOLDER))


def outcome(bench: Any, name: str, *rounds: Any, note: str = "") -> Any:
    return bench.workers.Outcome(name, list(rounds), note)


def test_ratio_is_the_median_of_the_rounds_own_ratios(bench: Any) -> None:
    slow, fast = outcome(bench, "slow", 4.0, 8.0, 30.0), outcome(bench, "fast", 2.0, 2.0, 10.0)
    assert bench.workers.ratio(slow, fast, float) == 3.0  # of 2, 4, 3; of the medians 4
    assert bench.workers.ratio(slow, outcome(bench, "missing", note="x"), float) is None
    assert bench.workers.ratio(slow, None, float) is None


def test_rows_of_encoders(bench: Any) -> None:
    made = bench.hosts.rows(
        16,
        1,
        [
            outcome(bench, bench.hosts.FLOAT, [0.009, 0.008], [0.006, 0.007]),
            outcome(bench, bench.hosts.INT8, note="not installed"),
            outcome(bench, "ours", [0.002, 0.003], [0.002, 0.002]),
        ],
        {"ours": 0.998},
    )
    assert made == [
        ["16", "1", bench.hosts.FLOAT, "7.00 ms", "6.00 ms", "1.00", "–", "–"],
        ["16", "1", bench.hosts.INT8, "not installed", "–", "–", "–", "–"],
        ["16", "1", "ours", "2.00 ms", "2.00 ms", "3.50", "–", "0.99800"],
    ]
    assert {len(row) for row in made} == {len(bench.hosts.HEADER)}


def test_rows_of_a_crowded_machine(bench: Any) -> None:
    one = [outcome(bench, "a", [0.01], [0.02]), outcome(bench, "b", [0.01])]
    two = [outcome(bench, "a", [0.006, 0.012], [0.008, 0.028]), outcome(bench, "b", note="missing")]
    assert bench.crowded.rows(one, two) == [
        ["a", "15.00 ms", "7.00 ms", "20.00 ms", "1.30"],
        ["b", "missing", "–", "–", "–"],
    ]


def test_a_busy_process_ends(bench: Any) -> None:
    with bench.common.busy(min(os.sched_getaffinity(0))) as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_rows_of_decoders(bench: Any) -> None:
    work = bench.decoders.products(bench.decoders.PROMPT)
    made = bench.decoders.rows(
        2,
        [
            outcome(bench, bench.decoders.MACHINE, [work, 20e9], [2 * work, 10e9]),
            outcome(bench, bench.decoders.LLAMA, [16.0, 0.04], [8.0, 0.08]),
            outcome(bench, "ours", [2.0, 0.02], [1.0, 0.04]),
            outcome(bench, "other", note="not installed"),
        ],
        {bench.decoders.LLAMA: 4e8, "ours": 2e8},
        {"ours": 0.9},
    )
    limits, other, ours, missing = made
    assert limits[:4] == ["2", "the machine at most", "", "15.0 GB/s"]
    assert other == ["2", "llama.cpp Q8_0", "400", "16.7", "50%", "1.00", "11", "6%", "1.00", "–"]
    assert ours == ["2", "ours", "200", "33.3", "50%", "2.00", "85", "50%", "8.00", "0.9000"]
    assert missing[1:4] == ["other", "–", "not installed"]
    assert {len(row) for row in made} == {len(bench.decoders.HEADER)}


def test_a_machine_without_known_instructions_has_no_peak(bench: Any) -> None:
    limits = outcome(bench, bench.decoders.MACHINE, [0.0, 20e9])
    made = bench.decoders.rows(1, [limits, outcome(bench, "ours", [1.0, 0.1])], {"ours": 2e8}, {})
    assert "unknown" in made[0] and made[1][4:9] == ["10%", "–", "128", "–", "–"]


def test_products_of_the_random_llama(bench: Any) -> None:
    one, two = bench.decoders.products(1), bench.decoders.products(2)
    assert one == 341_049_344 and two - one == one - 32000 * 1024


def test_layers_that_differ_in_their_number_are_one_row(bench: Any) -> None:
    work = [
        LayerWork("layer 0: mlp", (Extent(100, 0),), 10),
        LayerWork("layer 0: norm", (), 0),
        LayerWork("layer 11: mlp", (Extent(300, 0),), 20),
        LayerWork("layer 11: norm", (), 0),
    ]
    phase = phase_times("run", work, [0.0, 1.0, 0.005, 3.0, 0.005], [(1, 0)], 200.0, 10.0)
    mlp, others = bench.rooflines.grouped(phase.layers)
    assert (mlp.name, others.name) == ("mlp", "others")
    assert (mlp.ms, mlp.macs, mlp.weight_bytes) == (4000.0, 400, 30)
    assert (mlp.of_peak, mlp.of_read) == pytest.approx((0.5, 0.75))
    assert bench.rooflines.rows("m", [phase]) == [
        ["m", "run", "mlp", "4000.00 ms", "100%", "50%", "75%"],
        ["m", "run", "others", "10.00 ms", "0%", "–", "–"],
        ["m", "run", "**total**", "4010.00 ms", "100%", "50%", "75%"],
    ]


def test_the_best_target_of_a_machine(bench: Any) -> None:
    reasons = {"generic": "", "x86-64-v3": "", "x86-64-v4": ""}
    best = bench.rooflines.best
    assert best(reasons, ["avx512-vnni", "avx2"]) == "x86-64-v4"
    assert best({**reasons, "x86-64-v4": "no"}, ["avx512-vnni", "avx2"]) == "x86-64-v3"
    assert best(reasons, []) == "generic"


def test_kernel_sets_of_a_machine(bench: Any) -> None:
    targets = ["aarch64", "cortex-m4", "generic", "x86-64", "x86-64-avxvnni", "x86-64-v4"]
    reasons = bench.kernel_sets.reasons
    assert reasons(targets, "x86_64", ["avx512-vnni", "avx2"]) == {
        "generic": "",
        "x86-64": "",
        "x86-64-avxvnni": "no avx-vnni on this processor",
        "x86-64-v4": "",
    }
    assert reasons(targets, "arm64", ["dotprod"]) == {"aarch64": "", "generic": ""}
    assert reasons(targets, "sparc", []) == {"generic": ""}


def test_missing_peers_become_notes(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.workers, "PEERS", Path("nowhere"))
    contender = bench.workers.Contender
    made = bench.workers.compete(
        [
            contender("peer", "ort", "Encoder", {"model": "x"}),
            contender("unfit", "compiled", "Encoder", note="no avx2 on this processor"),
            contender("wrong", "timing", "Encoder", {"unknown": 1}, ours=True),
            contender("fails", "timing", "Decoder", ours=True),
            contender("works", "timing", "Encoder", ours=True),
        ],
        2,
        lambda w: w.call("begin") if w.name == "fails" else w.call("real", made=1.5),
        last=lambda w: w.call("none"),
        progress=lambda text: None,
    )
    by_name = {o.name: (o.rounds, o.note) for o in made}
    assert by_name["peer"] == ([], "not installed: make bench-peers")
    assert by_name["unfit"] == ([], "no avx2 on this processor")
    assert by_name["wrong"] == ([], "TypeError: Encoder() takes no arguments")
    assert by_name["fails"] == ([], "NotImplementedError")
    assert by_name["works"] == ([1.5, 1.5], "")


def test_a_module_that_is_missing_is_not_installed(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.workers, "PEERS", Path(sys.executable))
    with pytest.raises(bench.workers.EngineError, match="not installed: make bench-peers"):
        bench.workers.Worker(bench.workers.Contender("peer", "no_such_engine", "Encoder"))


def test_c_is_written_anew_where_integers_or_compiler_changed(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    monkeypatch.setattr(bench.kernel_sets.ir, "load", lambda path: None)
    monkeypatch.setattr(bench.kernel_sets, "emit_c", lambda x, f, **_: written.append(f))
    monkeypatch.setattr(bench.kernel_sets, "_sources", lambda: "first")
    artifact = SimpleNamespace(integer_onnx=tmp_path / "integer.onnx")
    artifact.integer_onnx.write_bytes(b"a")
    for count in (1, 1):
        assert bench.kernel_sets.emitted(artifact, "generic", tmp_path) == tmp_path / "generic"
        assert len(written) == count
    monkeypatch.setattr(bench.kernel_sets, "_sources", lambda: "second")
    bench.kernel_sets.emitted(artifact, "generic", tmp_path)
    artifact.integer_onnx.write_bytes(b"b")
    bench.kernel_sets.emitted(artifact, "generic", tmp_path)
    assert len(written) == 3


def test_llama_cpp_rotates_neighbours(bench: Any) -> None:
    rows = np.arange(8)[:, None]  # two heads of four: halves (0 1 | 2 3), (4 5 | 6 7)
    made = bench.llama.paired(rows, 2)
    assert made[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_section_of_a_document_is_replaced(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nafter\n", encoding="utf-8")
    table = bench.common.markdown(["x", "y"], [["1", r"\2"]])
    bench.common.replace_section(path, "a", table)
    expected = "before\n<!-- a -->\n| x | y |\n|---|---|\n| 1 | \\2 |\n<!-- /a -->\nafter\n"
    assert path.read_text(encoding="utf-8") == expected
    bench.common.replace_section(path, "b", "new\n")
    assert path.read_text(encoding="utf-8") == f"{expected}\n<!-- b -->\nnew\n<!-- /b -->\n"


#: Says which of some instructions it finds, then what a program finds that it starts.
FINDS = """
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words)
{
    printf("%d%d", !!__builtin_cpu_supports("avx2"), !!__builtin_cpu_supports("avx512f"));
    fflush(stdout);
    return count > 1 ? system(words[1]) : 0;
}
"""


def test_avx2_only_hides_avx512(bench: Any, tmp_path: Path) -> None:
    """A machine that cannot says so; on the others a program finds AVX2 and nothing above."""
    if reason := bench.avx2_only.unsupported():
        assert reason == "this machine cannot hide its instructions"
        return
    (tmp_path / "finds.c").write_text(FINDS, encoding="utf-8")
    finds = str(tmp_path / "finds")
    subprocess.run(["cc", f"{finds}.c", "-o", finds], check=True)
    hiding = {**os.environ, "LD_PRELOAD": str(bench.avx2_only.compiled(tmp_path))}

    def found(*words: str, **options: Any) -> str:
        done = subprocess.run([finds, *words], capture_output=True, text=True, **options)
        return str(done.stdout)

    bare = found()
    assert found(finds, env=hiding) == f"{bare[0]}0{bare}"
