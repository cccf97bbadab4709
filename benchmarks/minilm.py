"""Speed of the compiled MiniLM: strict ONNX and generic C against float, run in turn."""

from __future__ import annotations

import common

from intcc.benchmark import bench


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=30)
    options = parser.parse_args()
    artifact = common.artifact(options.output)
    rows = []
    for length in options.lengths:
        timings = bench(
            artifact,
            length=length,
            threads=options.threads,
            repeat=options.repeat,
            model=common.minilm(),
        )
        rows += [
            [str(length), t.name, f"{t.median_ms:.2f} ms", f"{t.best_ms:.2f} ms", f"{t.ratio:.3f}"]
            for t in timings
        ]
    table = common.markdown(["tokens", "what", "median", "best", "ratio to float"], rows)
    print(table)
    if options.write:
        command = "`make bench` or `python benchmarks/minilm.py`"
        note = f"\n{common.machine()}; batch 1, {options.threads} thread, interleaved; {command}.\n"
        common.replace_section(options.write, "speed", table + note)


if __name__ == "__main__":
    main()
