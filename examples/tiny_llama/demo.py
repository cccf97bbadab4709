"""Compile the tiny Llama to integers, check it, and let onnxruntime and C sort letters with it.

make demo            or            python -m examples.tiny_llama.demo
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

import intcc
from examples.tiny_llama.task import answer, prompts
from intcc.runtime.artifact import Artifact

MODEL = Path(__file__).resolve().parent / "model"
SHOWN = ("sort: dacbfa =", "sort: fedcba =", "sort: bb =", "sort: caffee =")
#: One input of this many calibrates.
STRIDE = 400


def compile_model(output: Path, **settings: Any) -> Artifact:
    """Compile the trained model, calibrated on inputs with their answers."""
    with tempfile.TemporaryDirectory() as scratch:
        calibration = Path(scratch) / "calibration.txt"
        lines = [prompt + answer(prompt) for prompt in prompts()[::STRIDE]]
        calibration.write_text("\n".join(lines), encoding="utf-8")
        return intcc.compile(
            MODEL, output, calibration=calibration, context=32, force=True, **settings
        )


def main() -> None:
    """Compile, generate with both backends, print the texts and what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/tiny_llama"))
    options = parser.parse_args()
    artifact = compile_model(options.output)
    memory = artifact.report()["memory"]
    print(
        f"\ntiny_llama: {memory['flash_bytes']:,} bytes of constants, "
        f"{memory['arena_bytes']:,} of arena, no float, no heap"
    )
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    models = {backend: intcc.load(options.output, backend) for backend in ("onnx", "c")}
    for prompt in SHOWN:
        ids = tokenizer.encode(prompt).ids
        made = {name: model.generate(ids, 8) for name, model in models.items()}
        if made["onnx"] != made["c"]:
            raise SystemExit(f"error: onnxruntime and C differ after {prompt!r}")
        text = tokenizer.decode(made["c"][len(ids) :], skip_special_tokens=True)
        print(f"  {prompt}{text}    (same tokens from onnxruntime and C)")


if __name__ == "__main__":
    main()
