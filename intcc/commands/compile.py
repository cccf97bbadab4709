"""`intcc compile`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intcc.budget import format_bytes
from intcc.commands.console import JsonFlag, Printer, QuietFlag

if TYPE_CHECKING:
    from intcc.objects import Footprint
    from intcc.runtime.artifact import Artifact

__all__ = ["EXAMPLE", "command"]

EXAMPLE = (
    "Example: intcc compile sentence-transformers/all-MiniLM-L6-v2 -o minilm "
    "--calibration sentences.txt"
)


def command(
    model: Annotated[str, typer.Argument(help="Hugging Face folder, hub name, or .onnx file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    emit: Annotated[
        str, typer.Option(help="Backends, with commas: onnx, c, qlinear, qdq, tosa, vela.")
    ] = "onnx,c",
    task: Annotated[
        str,
        typer.Option(
            help="auto, sentence-embedding, feature-extraction, text-classification, "
            "text-generation, image-feature-extraction or image-classification."
        ),
    ] = "auto",
    scheme: Annotated[str, typer.Option(help="What is quantized how: w8a8 or w1.58a8.")] = "w8a8",
    activations: Annotated[
        str,
        typer.Option(
            help="Scales of linear inputs: static, dynamic (per token), or auto (per token in "
            "language models)."
        ),
    ] = "auto",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Samples: .txt (one a line), .jsonl, .csv or .npz of inputs."),
    ] = None,
    calibration_column: Annotated[
        str | None, typer.Option(help="Column or key that holds the text.")
    ] = None,
    calibration_samples: Annotated[int, typer.Option(help="Most samples to use.")] = 64,
    max_length: Annotated[
        int | None, typer.Option(help="Longest sequence; default: the tokenizer's, or 128.")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Most tokens of a language model; default: its positions, at most 512."),
    ] = None,
    chunk: Annotated[
        int, typer.Option(help="Most tokens per call of a language model's C; its arena grows.")
    ] = 16,
    target: Annotated[
        str, typer.Option(help="Machine of the C code; `intcc targets` lists them; or native.")
    ] = "generic",
    threads: Annotated[
        bool | None,
        typer.Option(
            "--threads/--no-threads",
            help="Let threads share a run of the C. Default: as the target prefers.",
            show_default=False,
        ),
    ] = None,
    ternary: Annotated[
        str, typer.Option(help="Ternary weights in C: int8, 2bit, trits, or auto.")
    ] = "auto",
    weights: Annotated[
        str, typer.Option(help="Constant data: c, section (a file beside the C), or auto, by size.")
    ] = "auto",
    offload: Annotated[
        str,
        typer.Option(help="Products that the C leaves to an accelerator's functions: matmul,conv."),
    ] = "",
    accelerator: Annotated[
        str,
        typer.Option(help="NPU that vela compiles for: ethos-u55-128, ethos-u65-256, and so on."),
    ] = "ethos-u85-256",
    rope: Annotated[
        str,
        typer.Option(
            help="Rotary embeddings: exact, hf (as transformers rounds), phase (no table in C)."
        ),
    ] = "exact",
    rescale: Annotated[
        str,
        typer.Option(help="From sums to 8 bits: dyadic, or pow2 (by shifts; coarser weights)."),
    ] = "dyadic",
    scales: Annotated[
        str, typer.Option(help="Scales of qdq: dyadic, or pow2 (symmetric, powers of two).")
    ] = "dyadic",
    int16: Annotated[
        str,
        typer.Option(
            help="int16 pairs of qdq: none, wide (what is float32 otherwise), all (products' too)."
        ),
    ] = "none",
    float_io: Annotated[
        bool, typer.Option("--float-io", help="End model.onnx in a float dequantize.")
    ] = False,
    keep_functions: Annotated[
        bool, typer.Option("--keep-functions", help="Keep ai.intcc functions in model.onnx.")
    ] = False,
    equivalences: Annotated[
        bool, typer.Option(help="Rescale channels of language models before quantization.")
    ] = True,
    error_compensation: Annotated[
        bool, typer.Option(help="Round weights with error compensation.")
    ] = True,
    observer: Annotated[str, typer.Option(help="Ranges by minmax, percentile or mse.")] = "minmax",
    rounding: Annotated[
        str,
        typer.Option(
            help="half-up, or half-even: divisors by which QLinear operators give the same bits."
        ),
    ] = "half-up",
    budget: Annotated[
        str, typer.Option(help="Limits to fail on: arena=256K,flash=2M,stack=2K,sqnr=30.")
    ] = "",
    allow_pickle: Annotated[
        bool,
        typer.Option("--allow-pickle", help="Read pickled checkpoints, which can run code."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing artifact of intcc.")
    ] = False,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compile a model to integer-only ONNX and C."""
    from intcc import api

    printer = Printer(quiet=quiet, as_json=as_json)
    with printer.progress() as progress:
        artifact = api.compile(
            model,
            output,
            progress=progress,
            emit=emit,
            task=task,
            scheme=scheme,
            activations=activations,
            calibration=calibration,
            calibration_column=calibration_column,
            calibration_samples=calibration_samples,
            max_length=max_length,
            context=context,
            chunk=chunk,
            target=target,
            threads=threads,
            ternary=ternary,
            weights=weights,
            offload=offload,
            accelerator=accelerator,
            rope=rope,
            rescale=rescale,
            scales=scales,
            int16=int16,
            float_io=float_io,
            keep_functions=keep_functions,
            equivalences=equivalences,
            error_compensation=error_compensation,
            observer=observer,
            rounding=rounding,
            budget=budget,
            allow_pickle=allow_pickle,
            force=force,
        )
    report = artifact.report()
    measured = _measured(artifact) if "memory" in report else None
    summary = {
        "output": str(artifact.folder),
        "name": artifact.name,
        "task": artifact.task,
        "figures": report["figures"],
        "measured": None if measured is None else asdict(measured),
        "files": report["files"],
        "notes": report["notes"],
    }
    printer.result(summary, str(artifact.folder))
    printer.say(f"{artifact.name}: {artifact.task}, integers only", f"  written to  {output}")
    if "model.onnx" in report["files"]:
        nodes = sum(report["operators"]["onnx"].values())
        size = format_bytes(report["files"]["model.onnx"])
        printer.say(f"  model.onnx  {size}, {nodes} nodes")
    if "qlinear" in report:
        size = format_bytes(report["files"]["model.qlinear.onnx"])
        printer.say(f"  qlinear     {size}; {report['qlinear']['summary']}")
    if "qdq" in report:
        qdq = report["qdq"]
        printer.say(
            f"  qdq         {format_bytes(report['files']['model.qdq.onnx'])}, "
            f"{qdq['quantized_values']} values and {qdq['quantized_weights']} weights in 8 bits, "
            + (f"{qdq['int16_values']} values in 16, " if qdq["int16_values"] else "")
            + f"scales {qdq['scales']}"
        )
    if "tosa" in report:
        size = format_bytes(report["files"]["npu/model.tosa"])
        count = sum(report["tosa"]["operations"].values())
        fixed = ", ".join(f"{name} {n}" for name, n in report["tosa"]["extents"].items())
        printer.say(f"  model.tosa  {size}, {count} operations; {fixed}")
    if "memory" in report:
        memory = report["memory"]
        printer.say(
            f"  C           {format_bytes(memory['flash_bytes'])} of constants, "
            f"arena {format_bytes(memory['arena_bytes'])}"
            + (f", cache {format_bytes(memory['state_bytes'])}" if memory["state_bytes"] else "")
        )
        if measured is None:
            printer.say(f"  stack       about {format_bytes(memory['stack_bytes'])}, estimated")
        else:
            machine = artifact.settings["target"]
            printer.say(
                f"  {machine:<11} {format_bytes(measured.flash_bytes)} of code and constants, "
                f"stack {format_bytes(measured.stack_bytes)}, measured"
            )
    if "npu" in report:
        npu = report["npu"]
        printer.say(
            f"  {npu['accelerator']}  {100 * npu['macs_share']:.2f} % of the products in "
            f"{len(npu['parts'])} parts, {npu['cycles']:,} cycles, as Vela estimates"
        )
    if report["figures"]["sqnr"] is not None:
        printer.say(f"  output      SQNR {report['figures']['sqnr']:.1f} dB on calibration samples")


def _measured(artifact: Artifact) -> Footprint | None:
    from intcc.backends.c.target import load_target
    from intcc.objects import measure_if_possible

    return measure_if_possible(artifact.c_folder, load_target(artifact.settings["target"]))
