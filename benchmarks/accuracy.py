"""Accuracy of MiniLM on STS-B dev against the float model, calibrated on STS-B train."""

from __future__ import annotations

import common

from intcc.evaluate import evaluate_sts


def main() -> None:
    data = common.SHARED / "data"
    parser = common.parser(__doc__, "build/minilm-stsb")
    parser.add_argument("--sts", default=str(data / "stsb-dev.csv"))
    parser.add_argument("--calibration", default=str(data / "stsb-train.csv"))
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    artifact = common.artifact(
        options.output,
        calibration=options.calibration,
        calibration_column="sentence1,sentence2",
    )
    result = evaluate_sts(artifact, options.sts, limit=options.limit, model=common.minilm())
    rows = [
        ["STS-B dev pairs", str(result.pairs)],
        ["Spearman x 100, float", f"{result.spearman_float:.3f}"],
        ["Spearman x 100, integers", f"{result.spearman:.3f}"],
        ["loss", f"{result.spearman_float - result.spearman:.3f}"],
        ["mean cosine to float", f"{result.cosine_mean:.5f}"],
        ["smallest cosine", f"{result.cosine_min:.5f}"],
    ]
    table = common.markdown(["figure", "value"], rows)
    print(table)
    if options.write:
        samples = artifact.manifest["calibration"]["samples"]
        note = f"\n{samples} calibration samples of STS-B train; `python benchmarks/accuracy.py`.\n"
        common.replace_section(options.write, "accuracy", table + note)


if __name__ == "__main__":
    main()
