"""`intcc bench`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intcc.commands.console import JsonFlag, Printer, QuietFlag, ThreadsOption
from intcc.commands.machines import OnOption, show_tallies, tally_json
from intcc.errors import SettingsError

if TYPE_CHECKING:
    from intcc.runtime.artifact import Artifact

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "Example: intcc bench minilm --length 128 --threads 1"


def command(
    folder: Annotated[Path, typer.Argument(help="Artifact to time.")],
    length: Annotated[
        int | None,
        typer.Option(
            help="Tokens; default: the maximum, or for prompts of language models 128.", min=1
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows; one for language models.", min=1)] = 1,
    steps: Annotated[
        int, typer.Option(help="Single tokens after a prompt, for language models.", min=1)
    ] = 32,
    threads: ThreadsOption = 1,
    repeat: Annotated[int, typer.Option(help="Timed runs of each.", min=1)] = 30,
    model: Annotated[
        str | None, typer.Option(help="The float model; default: where it was compiled from.")
    ] = None,
    on: OnOption = None,
    roofline: Annotated[
        bool,
        typer.Option(
            "--roofline",
            help="Time each layer of the C; its share of this machine's multiply-accumulates and "
            "bytes a second, both measured.",
        ),
    ] = False,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Time the integers and the float model in turn: medians and ratios.

    With --on, count the instructions of the C on an emulated machine instead. With --roofline,
    time its layers on one thread.
    """
    from intcc.benchmark import bench
    from intcc.runtime.artifact import Artifact

    printer = Printer(quiet=quiet, as_json=as_json)
    artifact = Artifact.open(folder)
    if roofline:
        _roofline(printer, artifact, length, repeat)
        return
    if on is not None:
        if batch != 1:
            raise SettingsError(f"--batch {batch}", "does not go with --on", "Rows go one by one")
        _on_machine(printer, artifact, on, length)
        return
    if artifact.decodes:
        if batch != 1:
            raise SettingsError(f"--batch {batch}", "is for other models", "Texts go one by one")
        _decoder(printer, artifact, length=length, steps=steps, threads=threads, repeat=repeat,
                 model=model)  # fmt: skip
        return
    with printer.progress() as progress:
        timings = bench(
            artifact,
            length=length,
            batch=batch,
            threads=threads,
            repeat=repeat,
            model=model,
            progress=progress,
        )
    printer.result(
        [asdict(t) for t in timings],
        "\n".join(f"{t.name}\t{t.median_ms:.3f}\t{t.ratio:.3f}" for t in timings),
    )
    printer.table(
        ["", "median", "best", "ratio"],
        [(t.name, f"{t.median_ms:.2f} ms", f"{t.best_ms:.2f} ms", f"{t.ratio:.3f}")
         for t in timings],
        right=[1, 2, 3],
    )  # fmt: skip


def _on_machine(printer: Printer, artifact: Artifact, on: str, length: int | None) -> None:
    from intcc.instructions import bench_instructions

    with printer.progress() as progress:
        tallies = bench_instructions(artifact, on, length, progress)
    printer.result(
        [tally_json(t) for t in tallies],
        "\n".join(f"{t.phase}\t{t.instructions}\t{t.per_mac:.3f}" for t in tallies),
    )
    show_tallies(printer, on, tallies)


def _decoder(printer: Printer, artifact: Artifact, **options: Any) -> None:
    from intcc.decoder_benchmark import bench_decoder

    with printer.progress() as progress:
        timings = bench_decoder(artifact, progress=progress, **options)
    printer.result(
        [asdict(t) for t in timings],
        "\n".join(f"{t.phase}\t{t.name}\t{t.median_ms:.3f}\t{t.ratio:.3f}" for t in timings),
    )
    printer.table(
        ["", "", "median", "best", "ratio", "tokens/s"],
        [
            (
                t.phase,
                t.name,
                f"{t.median_ms:.3f} ms",
                f"{t.best_ms:.3f} ms",
                f"{t.ratio:.3f}",
                f"{t.tokens_per_second:,.0f}",
            )
            for t in timings
        ],
        right=[2, 3, 4, 5],
    )


def _roofline(printer: Printer, artifact: Artifact, length: int | None, repeat: int) -> None:
    from intcc.layer_times import bench_layers, peak_name
    from intcc.roofline import measure

    limits = measure().limits[1]
    with printer.progress() as progress:
        phases = bench_layers(
            artifact, length=length, repeat=repeat, limits=limits, progress=progress
        )
    printer.result(
        {"limits": limits.to_json(), "phases": [p.to_json() for p in phases]},
        "\n".join(f"{p.phase}\t{t.name}\t{t.ms:.4f}" for p in phases for t in p.layers),
    )
    name = peak_name(artifact.settings.get("target", "generic"), limits.peak)
    peak = f"{limits.peak[name] / 1e9:.0f} GMAC/s ({name}), " if name else ""
    printer.say(f"one thread of this machine: {peak}{limits.read / 1e9:.1f} GB/s read")
    for phase in phases:
        printer.say("", f"{phase.phase}: {phase.tokens} token{'s' if phase.tokens != 1 else ''}")
        printer.table(
            ["layer", "median", "share", "multiply-accumulates", "of peak", "weights", "of read"],
            [
                (
                    t.name,
                    f"{t.ms:.3f} ms",
                    f"{t.share:.1%}",
                    f"{t.macs:,}" if t.macs else "",
                    f"{t.of_peak:.1%}" if t.macs and t.of_peak is not None else "",
                    f"{t.weight_bytes:,}" if t.weight_bytes else "",
                    f"{t.of_read:.1%}" if t.weight_bytes else "",
                )
                for t in (*phase.layers, phase.total)
            ],
            right=[1, 2, 3, 4, 5, 6],
        )
