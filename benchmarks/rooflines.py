"""Layers of MiniLM and of the large random Llama beside the limits of this machine.

    python benchmarks/rooflines.py [--repeat 20] [--write DOCUMENT]

The C of the best set of instructions that this machine has, on one thread; layers that differ in
their number alone are one row. `intcc bench DIR --roofline` shows each.
"""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import common
import kernel_sets
from decoders import PROMPT, compiled
from hosts import prepare

from intcc.backends.c.target import available
from intcc.layer_times import PEAKS, LayerTime, PhaseTimes, bench_layers, peak_name
from intcc.roofline import Limits, measure
from intcc.runtime.artifact import Artifact

HEADER = ["model", "phase", "layers", "median", "share", "of peak", "of read"]
#: Rows below this share of the time are one row.
SMALL = 0.01
OTHERS = "others"


def grouped(layers: Iterable[LayerTime]) -> list[LayerTime]:
    """Return the layers without their numbers, the same ones together; small ones last, as one."""
    groups: dict[str, list[LayerTime]] = {}
    for layer in layers:
        groups.setdefault(re.sub(r"^layer \d+: ", "", layer.name), []).append(layer)
    made = [_sum(name, some) for name, some in groups.items()]
    small = [x for x in made if x.share < SMALL]
    return [x for x in made if x.share >= SMALL] + ([_sum(OTHERS, small)] if small else [])


def _sum(name: str, layers: Sequence[LayerTime]) -> LayerTime:
    ms = sum(x.ms for x in layers)
    peaks = [x.of_peak * x.ms for x in layers if x.of_peak is not None]
    return LayerTime(
        name,
        ms,
        sum(x.share for x in layers),
        sum(x.macs for x in layers),
        sum(x.weight_bytes for x in layers),
        sum(peaks) / ms if peaks else None,
        sum(x.of_read * x.ms for x in layers) / ms,
    )


def rows(model: str, phases: Sequence[PhaseTimes]) -> list[list[str]]:
    """Return the table's rows of a model."""
    made = []
    for phase in phases:
        for layer in (*grouped(phase.layers), replace(phase.total, name="**total**")):
            made.append([
                model,
                phase.phase,
                layer.name,
                f"{layer.ms:.2f} ms",
                f"{layer.share:.0%}",
                f"{layer.of_peak:.0%}" if layer.macs and layer.of_peak is not None else "–",
                f"{layer.of_read:.0%}" if layer.weight_bytes else "–",
            ])  # fmt: skip
    return made


def best(reasons: Mapping[str, str], sets: Sequence[str]) -> str:
    """Return the target for the best of the machine's sets of instructions.

    Args:
        reasons: targets, and why one does not run here.
        sets: of the machine, the best first.
    """
    for name in sets:
        for target, needed in PEAKS.items():
            if needed == name and reasons.get(target) == "":
                return target
    return "generic"


def timed(
    artifact: Artifact, target: str, folder: Path, limits: Limits, repeat: int,
    chunk: int | None = None,
) -> list[PhaseTimes]:  # fmt: skip
    """Time the layers of an artifact's C for a target, which need not be the artifact's own."""
    settings = {"emit": ["onnx", "c"], "target": target, "chunk": chunk}
    manifest = {**artifact.manifest, "settings": {**artifact.settings, **settings}}
    code = kernel_sets.emitted(artifact, target, folder, chunk)
    with tempfile.TemporaryDirectory() as place:
        view = Path(place)
        (view / "integer.onnx").symlink_to(artifact.integer_onnx.resolve())
        (view / "c").symlink_to(code.resolve())
        length = PROMPT if chunk else None
        return bench_layers(Artifact(view, manifest), length=length, repeat=repeat, limits=limits)


def main() -> None:
    parser = common.parser(__doc__, "build/minilm-stsb")
    parser.add_argument(
        "--large", type=Path, default=Path("build/random-llama-int8"), help="its artifact"
    )
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    limits = measure().limits[1]
    sets = [*limits.peak]
    target = best(kernel_sets.reasons(available(), platform.machine(), sets), sets)
    setting = prepare(options.output)
    large = compiled(options.large.with_name("random-llama"), options.large)
    decoder = options.large.parent / "decoder"
    made: list[list[str]] = [
        *rows("MiniLM", timed(setting.artifact, target, setting.folder, limits, options.repeat)),
        *rows("random Llama", timed(large, target, decoder, limits, options.repeat, PROMPT)),
    ]
    table = common.markdown(HEADER, made)
    print(table)
    if options.write:
        name = peak_name(target, limits.peak)
        peak = f"{limits.peak[name] / 1e9:.0f} GMAC/s ({name})" if name else "no known peak"
        note = (
            f"\n{target}, one thread of {common.circumstances()}; {peak}, "
            f"{limits.read / 1e9:.1f} GB/s; `python benchmarks/rooflines.py`.\n"
        )
        common.replace_section(options.write, "rooflines", table + note)


if __name__ == "__main__":
    main()
