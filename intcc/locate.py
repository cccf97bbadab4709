"""Where the float source of an artifact lies on this machine.

An artifact names no path, so that its bytes are the same everywhere. `eval` and `bench` need the
float model again; this notebook in the user's cache folder remembers where each source was, by the
digest that the manifest carries. A lost or stale entry only means that `--model` must be given.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from intcc.errors import ModelError
from intcc.runtime.artifact import Artifact
from intcc.runtime.cache import cache_folder

if TYPE_CHECKING:
    from intcc.frontends.source import SourceModel

__all__ = ["load_float_source", "remember", "source_place"]

#: Most entries kept; the oldest go first.
LIMIT = 200


def _notebook() -> dict[str, str]:
    try:
        data = json.loads((cache_folder() / "sources.json").read_text(encoding="utf-8"))
        return {str(k): str(v) for k, v in data.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def remember(digest: str, model: str | Path) -> None:
    """Note where the source with this digest was; silently not, where the cache is read-only."""
    place = str(Path(model).resolve()) if Path(model).exists() else str(model)
    entries = _notebook()
    entries.pop(digest, None)
    entries[digest] = place
    kept = dict(list(entries.items())[-LIMIT:])
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        target = cache_folder() / "sources.json"
        scratch = target.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        scratch.replace(target)
    except OSError:
        return


def _digest(artifact: Artifact) -> str:
    return str(artifact.manifest["source"].get("sha256", ""))


def source_place(artifact: Artifact, model: str | Path | None = None) -> str | Path:
    """Return the folder, file or hub name of an artifact's float source.

    Args:
        artifact: the compiled model.
        model: the source; None: where it was when it was compiled.

    Raises:
        ModelError: it is not known.
    """
    place = model if model is not None else _notebook().get(_digest(artifact))
    if place is None:
        raise ModelError(
            f"The float source of '{artifact.folder}'",
            "is not known on this machine",
            "Name it with --model",
        )
    return place


def load_float_source(artifact: Artifact, model: str | Path | None = None) -> SourceModel:
    """Import the float model of an artifact again.

    Args:
        artifact: the compiled model.
        model: the source; None: where it was when it was compiled.

    Raises:
        ModelError: the source is not known, or has changed since.
    """
    from intcc.frontends import load_source

    digest = _digest(artifact)
    place = source_place(artifact, model)
    source = load_source(
        place,
        task=artifact.task,
        max_length=artifact.max_length,
        rope=artifact.manifest["settings"].get("rope", "exact"),
    )
    from intcc.build import source_digest

    if source_digest(source) != digest:
        raise ModelError(
            f"Model '{place}'",
            f"is not the one that '{artifact.folder}' was compiled from",
            "Give the same files with --model, or compile again",
        )
    return source
