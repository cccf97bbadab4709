"""Speed of a compiled language model: prompts and single tokens, ours against float, in turn."""

from __future__ import annotations

from pathlib import Path

import common

import intcc
from intcc.decoder_benchmark import bench_decoder
from intcc.runtime.artifact import Artifact, is_artifact


def main() -> None:
    parser = common.parser(__doc__, "build/stories260k")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 128, 256])
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    model = options.model or common.SHARED / "models/stories260k"
    if options.model is None and not model.is_dir():
        print("left out: no stories260k among the development data; name a model with --model")
        return
    if not is_artifact(options.output):
        text = common.SHARED / "data/tinystories-calibration.txt"
        intcc.compile(model, options.output, calibration=text if text.is_file() else None)
    artifact = Artifact.open(options.output)
    rows = []
    for length in options.lengths:
        timings = bench_decoder(
            artifact,
            length=length,
            steps=options.steps,
            threads=options.threads,
            repeat=options.repeat,
            model=model,
        )
        rows += [
            [
                f"{length} tokens" if t.phase == "prefill" else f"1 token after {length}",
                t.name,
                f"{t.median_ms:.3f} ms",
                f"{t.best_ms:.3f} ms",
                f"{t.ratio:.3f}",
                f"{t.tokens_per_second:,.0f}",
            ]
            for t in timings
        ]
    header = ["call", "what", "median", "best", "ratio to float, onnxruntime", "tokens/s"]
    table = common.markdown(header, rows)
    print(table)
    if options.write:
        command = "`make bench` or `python benchmarks/decode.py`"
        note = (
            f"\n{artifact.name}, {common.machine()}; batch 1, {options.threads} thread, "
            f"interleaved; {command}.\n"
        )
        common.replace_section(options.write, "decode", table + note)


if __name__ == "__main__":
    main()
