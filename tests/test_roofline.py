"""Limits of this machine, and layers set against them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from intcc.backends.c.shapes import Extent
from intcc.cli import main
from intcc.errors import ArtifactError, DataError, ToolError
from intcc.layer_times import CHECKS, TimedModel, bench_layers, peak_name, phase_times
from intcc.layers import LayerWork, layer_work
from intcc.model import CompiledModel
from intcc.roofline import INSTRUCTION_SETS, Limits, Meter, Roofline, measure, supported
from intcc.runtime.artifact import Artifact

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
LIMITS = Limits(1, {"avx2": 100e9, "avx512-vnni": 200e9}, 10e9)


def test_a_turn_adds_up_in_registers_that_it_does_not_read() -> None:
    for chosen in INSTRUCTION_SETS:
        made = chosen.template()
        assert len(made["turn"]) == len(chosen.code) * chosen.accumulators
        assert made["macs"] == chosen.macs * chosen.accumulators
        assert not set(chosen.used) & set(range(chosen.accumulators))
        assert len(made["clobbers"].split(",")) == chosen.accumulators + len(chosen.used)


@needs_compiler
def test_a_small_measurement_gives_every_limit() -> None:
    limits = measure((1,), buffer=1 << 18, seconds=1e-4, repeat=1).limits[1]
    assert limits.threads == 1 and limits.read > 0
    assert list(limits.peak) == [s.name for s in supported()]
    assert all(peak > 0 for peak in limits.peak.values())
    assert json.loads(json.dumps(limits.to_json()))["bytes_per_second"] == limits.read


@needs_compiler
def test_every_way_to_read_reads_the_whole_buffer() -> None:
    meter = Meter(1 << 16)
    for kind in ("stream", "ahead", "streams"):
        run = meter._reader(kind, 0, 1024)
        assert run() == int.from_bytes(b"\1" * 8, "little") * 8 * 1024 % 2**64


@needs_compiler
def test_more_threads_than_processors_are_refused() -> None:
    with pytest.raises(ToolError, match=r"5000 threads do not fit \d+ processors\. Use fewer"):
        Meter(1 << 16).read(5000, 1)


def test_shares_follow_from_times_and_limits() -> None:
    work = [LayerWork("product", (Extent(1_000_000, 1),), 20_000), LayerWork("norm", (), 0)]
    made = phase_times("prompt", work, [1e-6, 2e-3, 1e-3], [(16, 0), (4, 16)], 100e9, 10e9)
    checks, product, norm = made.layers
    assert (made.calls, made.tokens, checks.name) == (2, 20, CHECKS)
    assert product.macs == 20_000_000 and product.weight_bytes == 40_000
    assert product.of_peak == pytest.approx(20e6 / 2e-3 / 100e9)
    assert product.of_read == pytest.approx(40_000 / 2e-3 / 10e9)
    assert norm.of_peak == 0 and norm.of_read == 0
    assert made.total.ms == pytest.approx(3.001)
    assert sum(x.share for x in made.layers) == pytest.approx(1)


def test_queries_attend_to_all_rows_up_to_their_own() -> None:
    every, last = LayerWork("a", (), 0, (Extent(10, 1),)), LayerWork("b", (), 0, (Extent(10),))
    assert every.macs(3) == 10 * (1 + 2 + 3) and every.macs(2, 5) == 10 * (6 + 7)
    assert last.macs(3) == 10 * 3 and last.macs(2, 5) == 10 * 7


def test_no_peak_is_no_share() -> None:
    made = phase_times("run", [LayerWork("x", (), 0)], [0, 1e-3], [(1, 0)], None, 1e9)
    assert made.layers[1].of_peak is None


def test_peak_is_the_targets_or_the_best() -> None:
    assert peak_name("x86-64-v3", LIMITS.peak) == "avx2"
    assert peak_name("generic", LIMITS.peak) == "avx512-vnni"
    assert peak_name("x86-64-avxvnni", LIMITS.peak) == "avx512-vnni"
    assert peak_name("generic", {}) is None


@needs_compiler
def test_layers_of_an_encoder(artifact: Path) -> None:
    made = Artifact.open(artifact)
    (phase,) = bench_layers(made, length=5, repeat=2, limits=LIMITS)
    work = layer_work(made)
    assert [x.name for x in phase.layers] == [CHECKS, *(w.name for w in work)]
    assert [x.macs for x in phase.layers[1:]] == [w.macs(5) for w in work]
    assert all(x.ms > 0 for x in phase.layers) and phase.tokens == 5
    assert phase.total.weight_bytes == sum(w.weight_bytes for w in work) > 0


@needs_compiler
def test_clock_changes_no_bit(artifact: Path) -> None:
    made = Artifact.open(artifact)
    timed, plain = TimedModel(made, len(layer_work(made))), CompiledModel(made, "c")
    for feeds in made.recorded():
        expected = plain(feeds)
        assert all((array == expected[name]).all() for name, array in timed.run(feeds).items())
    times, spans = timed.taken()
    assert (times[1:] > 0).all() and len(spans) > 0 and timed.times == []


@needs_compiler
def test_layers_of_a_prompt_and_a_token(decoder: Path) -> None:
    made = Artifact.open(decoder)
    prompt, token = bench_layers(made, length=5, repeat=1, limits=LIMITS)
    assert (prompt.phase, prompt.tokens, token.phase, token.tokens) == (
        "prompt", 5, "next token", 1,
    )  # fmt: skip
    work = layer_work(made)
    assert [x.macs for x in token.layers[1:]] == [w.macs(1, 5) for w in work]
    assert any(w.cached for w in work)
    with pytest.raises(DataError, match=r"A prompt of \d+ tokens and one more do not fit"):
        bench_layers(made, length=made.max_length, repeat=1, limits=LIMITS)


def test_without_c_there_are_no_layers(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    manifest["settings"]["emit"] = ["onnx"]
    with pytest.raises(ArtifactError, match=r"has no C, whose layers could be timed\. Compile"):
        bench_layers(Artifact(artifact, manifest), limits=LIMITS)


@needs_compiler
def test_command(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("intcc.roofline.measure", lambda: Roofline({1: LIMITS}))
    command = ["bench", str(artifact), "--roofline", "--length", "5", "--repeat", "1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "one thread of this machine: 200 GMAC/s (avx512-vnni), 10.0 GB/s read" in out
    assert "of peak" in out and "total" in out
    assert main([*command, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["limits"]["bytes_per_second"] == 10e9
    assert made["phases"][0]["layers"][0]["name"] == CHECKS
