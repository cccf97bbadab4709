"""`intcc inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from intcc.budget import format_bytes
from intcc.commands.console import JsonFlag, Printer, QuietFlag
from intcc.errors import SettingsError
from intcc.specs import Scale

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "Example: intcc inspect minilm --layers"


def command(
    target: Annotated[str, typer.Argument(help="Artifact, or a float model.")],
    layers: Annotated[
        bool, typer.Option("--layers", help="Error and range of every value.")
    ] = False,
    why: Annotated[
        str | None, typer.Option(help="Explain one value: origin, meaning, proved range.")
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what an artifact or a model consists of."""
    from intcc.runtime.artifact import Artifact, is_artifact

    printer = Printer(quiet=quiet, as_json=as_json)
    if not is_artifact(Path(target)):
        if layers or why:
            raise SettingsError("--layers and --why", "need a compiled artifact", EXAMPLE)
        _model(printer, target)
        return
    artifact = Artifact.open(target)
    if why is not None:
        from intcc.describe import describe_value

        _facts(printer, describe_value(artifact, why))
        return
    report = artifact.report()
    if layers:
        _layers(printer, report)
    else:
        _artifact(printer, report)


def _model(printer: Printer, target: str) -> None:
    from intcc.describe import describe_model

    data = describe_model(target)
    printer.result(data, data["name"])
    printer.say(f"{data['name']}: {data['task']}, {data['parameters']:,} float parameters")
    _specs(printer, data)
    printer.say("", "operators: " + ", ".join(f"{k} {n}" for k, n in data["operators"].items()))
    unsupported = data["unsupported"]
    printer.say(
        f"without an integer rule: {', '.join(unsupported)}" if unsupported
        else "every operator has an integer rule"
    )  # fmt: skip
    printer.say(*(f"note: {note}" for note in data["notes"]))


def _specs(printer: Printer, data: Mapping[str, Any]) -> None:
    rows = []
    for kind in ("inputs", "outputs"):
        for spec in data[kind]:
            scale = spec.get("scale")
            meaning = Scale.from_json(scale).describe() if scale else ""
            shape = ", ".join(map(str, spec["shape"] or []))
            rows.append((kind[:-1], spec["name"], f"{spec['dtype']}[{shape}]", meaning))
    printer.table(["", "name", "type", "meaning"], rows)


def _artifact(printer: Printer, report: Mapping[str, Any]) -> None:
    printer.result(report, report["name"])
    length = f", up to {report['max_length']} tokens" if report["max_length"] else ""
    printer.say(f"{report['name']}: {report['task']}{length}; compiled by intcc {report['intcc']}")
    _specs(printer, report)
    printer.say("")
    for graph, counts in report["operators"].items():
        text = ", ".join(f"{name} {n}" for name, n in counts.items())
        printer.say(f"{graph} graph: {sum(counts.values())} nodes: {text}")
    printer.say(f"8-bit products: {report['macs']:,}")
    if report["figures"]["sqnr"] is not None:
        printer.say(f"output SQNR: {report['figures']['sqnr']:.1f} dB on calibration samples")
    printer.say("", "largest layers, in bytes of constants:")
    sizes = sorted(report["bytes_by_layer"].items(), key=lambda item: (-item[1], item[0]))[:8]
    printer.table(["layer", "bytes"], [(name, f"{size:,}") for name, size in sizes], right=[1])
    memory = report.get("memory")
    if memory:
        printer.say(
            "",
            f"C arena: {memory['arena_bytes']:,} bytes ({format_bytes(memory['arena_bytes'])}), "
            f"lower bound {memory['arena_lower_bound']:,}; constants {memory['flash_bytes']:,}; "
            f"stack about {memory['stack_bytes']:,}",
        )
        largest = sorted(memory["map"], key=lambda e: (-e[2], e[1], e[0]))[:12]
        printer.table(
            ["buffer", "offset", "bytes", "steps"],
            [(n, f"{o:,}", f"{s:,}", f"{a} to {b}") for n, o, s, a, b in largest],
            right=[1, 2],
        )
    printer.say(*(f"note: {note}" for note in report["notes"]))


def _layers(printer: Printer, report: Mapping[str, Any]) -> None:
    printer.result(report["layers"], None)
    printer.table(
        ["value", "layer", "operator", "type", "range seen", "SQNR"],
        [
            (
                r["name"],
                r["layer"],
                r["operator"],
                r["dtype"],
                f"{r['low']:.3g} to {r['high']:.3g}",
                f"{r['sqnr_db']:.1f} dB",
            )
            for r in report["layers"]
        ],
        right=[4, 5],
    )


def _facts(printer: Printer, facts: Mapping[str, Any]) -> None:
    printer.result(facts, str(facts["proved_range"]))
    for key, value in facts.items():
        if value not in (None, []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            printer.say(f"{key.replace('_', ' '):<13} {text}")
