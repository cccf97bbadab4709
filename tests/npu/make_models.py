"""Compile the models that `tests/npu` runs: `python -m tests.npu.make_models FOLDER`.

Tracing them takes torch, which the environment of the NPU tools does not have; the integer graphs
that come out need neither.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import intcc
from examples.tiny_llama.task import answer, prompts
from tests.conftest import ROOT, WORDS, write_bert

__all__ = ["main"]


def main(target: Path) -> None:
    """Write TARGET/tiny_bert.onnx and TARGET/tiny_llama.onnx, graphs of the integer dialect."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        texts = {
            "tiny_bert": [" ".join(WORDS[i : i + 7]) for i in range(12)],
            "tiny_llama": [prompt + answer(prompt) for prompt in prompts()[::3600]],
        }
        write_bert(work / "bert")
        sources = {
            "tiny_bert": work / "bert",
            "tiny_llama": ROOT / "examples/tiny_llama/model",
        }
        for name, source in sources.items():
            lines = work / f"{name}.txt"
            lines.write_text("\n".join(texts[name]) + "\n", encoding="utf-8")
            intcc.compile(source, work / name, calibration=lines, emit="onnx")
            shutil.copyfile(work / name / "integer.onnx", target / f"{name}.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
