"""`intcc run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from intcc.commands.console import JsonFlag, Printer, QuietFlag, ThreadsOption
from intcc.commands.machines import OnOption, machine_model, show_tallies, tally_json
from intcc.errors import ArtifactError, SettingsError
from intcc.specs import TOTAL

__all__ = ["EXAMPLE", "command"]

EXAMPLE = 'Example: intcc run minilm --text "A man is eating." --text "Someone has lunch."'


def command(
    folder: Annotated[Path, typer.Argument(help="Artifact to run.")],
    text: Annotated[list[str] | None, typer.Option(help="Text; may be repeated.")] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Integer inputs by name, as .npz.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="onnx, qlinear, qdq, c, npu (simulated) or reference.")
    ] = "onnx",
    threads: ThreadsOption = 1,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the integer outputs to this .npz.")
    ] = None,
    on: OnOption = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Run an artifact on text or on integer inputs."""
    from intcc import api
    from intcc.instructions import Emulated
    from intcc.runtime.feeds import load_npz

    if bool(text) == (input_file is not None):
        raise SettingsError("Give either --text or --input", "to say what to run", EXAMPLE)
    printer = Printer(quiet=quiet, as_json=as_json)
    model = machine_model(folder, on) if on else api.load(folder, backend, threads=threads)
    feeds = model.tokenize(text) if text else [load_npz(str(input_file))]
    results = [model(sample) for sample in feeds]
    tallies = [model.judged(feeds, results)] if isinstance(model, Emulated) else []
    if output is not None:
        _save(output, results)
    plain = [_json_form(model, r) for r in results]
    printer.result({"results": plain, "calls": list(map(tally_json, tallies))} if on else plain)
    titles = text or [str(input_file)]
    for title, result in zip(titles, results, strict=True):
        printer.say(title)
        for spec in (s for s in model.outputs if TOTAL not in s.shape):
            real = model.dequantize(spec.name, result[spec.name])
            printer.say(
                f"  {spec.name}: {spec.dtype}[{', '.join(map(str, real.shape))}] = "
                + np.array2string(real.ravel()[:8], precision=4, suppress_small=True)
                + (" …" if real.size > 8 else "")
            )
    if model.artifact.task == "sentence-embedding" and len(results) > 1:
        _similarities(printer, [str(t) for t in titles], model, results)
    if on:
        show_tallies(printer, on, tallies)


def _json_form(model: Any, result: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return every output but the caches of a decoder."""
    return {
        spec.name: {
            "integers": result[spec.name],
            "real": model.dequantize(spec.name, result[spec.name]),
        }
        for spec in model.outputs
        if TOTAL not in spec.shape
    }


def _similarities(
    printer: Printer, titles: list[str], model: Any, results: list[dict[str, npt.NDArray[Any]]]
) -> None:
    """Print the cosine of every pair of texts."""
    from intcc.report.metrics import cosine

    name = model.outputs[0].name
    rows = [model.dequantize(name, result[name])[0] for result in results]
    pairs = [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]
    printer.say("")
    printer.table(
        ["similarity", "", ""],
        [(f"{cosine(rows[i], rows[j]):.4f}", titles[i], titles[j]) for i, j in pairs],
    )


def _save(path: Path, results: list[dict[str, npt.NDArray[Any]]]) -> None:
    """Write one result by name; several as 0/name, 1/name and so on."""
    arrays = {
        (name if len(results) == 1 else f"{index}/{name}"): array
        for index, result in enumerate(results)
        for name, array in result.items()
    }
    try:
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise ArtifactError(
            f"Output '{path}'", f"could not be written: {error.strerror}", "Choose another file"
        ) from error
