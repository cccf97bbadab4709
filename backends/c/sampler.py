"""The sampler as two files of C beside a model: <name>_sampler.h and <name>_sampler.c.

What it computes is written in intcc.sampling; every draw is the same there and here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from intcc._version import __version__
from intcc.backends.c.render import render, tidy
from intcc.sampling import MAX_VOCABULARY, SamplerConfig

__all__ = ["emit_sampler"]


def emit_sampler(name: str, folder: Path, presets: Mapping[str, SamplerConfig]) -> tuple[Path, ...]:
    """Write the sampler; return its header and its source.

    Args:
        name: prefix of all public names, as the model's.
        folder: where the files go; it is created.
        presets: settings that become initializers <NAME>_SAMPLER_<PRESET>, by name in lower case.
    """
    context = {
        "version": __version__,
        "name": name,
        "upper": name.upper(),
        "max_vocabulary": MAX_VOCABULARY,
        "presets": [
            {"name": preset.upper(), "comment": config.describe().capitalize(), "config": config}
            for preset, config in presets.items()
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for ending in ("h", "c"):
        path = folder / f"{name}_sampler.{ending}"
        text = tidy(render(f"sampler.{ending}", context))
        path.write_text(text, encoding="utf-8", newline="\n")
        made.append(path)
    return tuple(made)
