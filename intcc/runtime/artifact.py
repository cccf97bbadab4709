"""An output folder of `intcc compile`, read back: manifest, files, integrity.

DIR/model.onnx  model.qlinear.onnx  model.qdq.onnx  integer.onnx  c/  npu/  tokenizer files
DIR/recorded.npz  report.json  report.html
DIR/manifest.json       what it is, how it was made, the sha256 of every other file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import ArtifactError
from intcc.specs import TensorSpec

__all__ = ["MANIFEST", "Artifact", "is_artifact", "sha256_of"]

MANIFEST = "manifest.json"
#: Version of the folder's layout, in manifest["artifact"].
LAYOUT = 1

Array = npt.NDArray[Any]


def sha256_of(path: Path) -> str:
    """Return the hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_artifact(folder: Path) -> bool:
    """Tell whether `folder` was written by intcc: it has a manifest that says so."""
    try:
        return "artifact" in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


@dataclass(frozen=True)
class Artifact:
    """A compiled model on disk.

    Attributes:
        folder: where it lies.
        manifest: the parsed manifest.json.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Artifact:
        """Read the manifest of `folder`.

        Raises:
            ArtifactError: no such folder, no manifest, a damaged one, or one of a newer intcc.
        """
        folder = Path(folder)
        remedy = "Give a folder that `intcc compile` wrote"
        if not folder.is_dir():
            raise ArtifactError(f"Artifact '{folder}'", "does not exist", remedy)
        path = folder / MANIFEST
        if not path.is_file():
            raise ArtifactError(f"Folder '{folder}'", f"has no {MANIFEST}", remedy)
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            layout = int(manifest["artifact"])
            artifact = cls(folder, manifest)
            _ = artifact.inputs, artifact.outputs, artifact.name, artifact.files
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"Manifest '{path}'", f"is damaged ({type(error).__name__}: {error})",
                "Compile the model again",
            ) from error  # fmt: skip
        if layout > LAYOUT:
            raise ArtifactError(
                f"Artifact '{folder}'", f"has layout {layout}, newer than this intcc's {LAYOUT}",
                "Upgrade intcc",
            )  # fmt: skip
        return artifact

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs, in the graph's order."""
        return tuple(TensorSpec.from_json(x) for x in self.manifest["inputs"])

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs, in the graph's order."""
        return tuple(TensorSpec.from_json(x) for x in self.manifest["outputs"])

    @property
    def npu_folder(self) -> Path:
        """Parts of an NPU, and the C around them."""
        return self.folder / "npu"

    @property
    def name(self) -> str:
        """Model name, a C identifier."""
        return str(self.manifest["name"])

    @property
    def task(self) -> str:
        """What the outputs are."""
        return str(self.manifest["task"])

    @property
    def decodes(self) -> bool:
        """Whether the model is a decoder: it has caches and can continue tokens."""
        return any(spec.cached for spec in self.inputs)

    @property
    def max_length(self) -> int | None:
        """Longest sequence; None for models without one."""
        value = self.manifest.get("max_length")
        return None if value is None else int(value)

    @property
    def files(self) -> Mapping[str, str]:
        """Sha256 of every file but the manifest, by relative path."""
        return dict(self.manifest["files"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that decided the bytes."""
        return dict(self.manifest["settings"])

    @property
    def float_io(self) -> bool:
        """Whether model.onnx ends in a float dequantize."""
        return bool(self.settings.get("float_io", False))

    @property
    def model_onnx(self) -> Path:
        """The strict ONNX model."""
        return self._need("model.onnx", "onnx")

    @property
    def qlinear_onnx(self) -> Path:
        """The ONNX model with operators of quantized numbers."""
        return self._need("model.qlinear.onnx", "qlinear")

    @property
    def qdq_onnx(self) -> Path:
        """The float model between QuantizeLinear and DequantizeLinear."""
        return self._need("model.qdq.onnx", "qdq")

    @property
    def integer_onnx(self) -> Path:
        """The graph in the ai.intcc dialect."""
        return self._need("integer.onnx", None)

    @property
    def c_folder(self) -> Path:
        """The generated C."""
        return self._need("c", "c")

    @property
    def model_tosa(self) -> Path:
        """The TOSA flatbuffer."""
        return self._need("npu/model.tosa", "tosa")

    @property
    def tokenizer_json(self) -> Path | None:
        """The tokenizer, where the model reads text."""
        path = self.folder / "tokenizer.json"
        return path if path.is_file() else None

    def _need(self, name: str, backend: str | None) -> Path:
        path = self.folder / name
        if not path.exists():
            emitted = backend is None or backend in self.settings.get("emit", ())
            raise ArtifactError(
                f"Artifact '{self.folder}'",
                f"has no {name}",
                "The artifact is damaged: compile the model again"
                if emitted
                else f"Compile with --emit {','.join([*self.settings['emit'], str(backend)])}",
            )
        return path

    def report(self) -> dict[str, Any]:
        """Return the parsed report.json."""
        try:
            data: dict[str, Any] = json.loads(
                self._need("report.json", None).read_text(encoding="utf-8")
            )
        except ValueError as error:
            raise ArtifactError(
                f"Report of '{self.folder}'", "is damaged", "Compile the model again"
            ) from error
        return data

    def recorded(self) -> list[dict[str, Array]]:
        """Return the recorded integer inputs: batch 1, one mapping a sample."""
        path = self._need("recorded.npz", None)
        samples: dict[int, dict[str, Array]] = {}
        with np.load(path, allow_pickle=False) as data:
            for key in data.files:
                index, _, name = key.partition("/")
                samples.setdefault(int(index), {})[name] = data[key]
        return [samples[i] for i in sorted(samples)]

    def changed_files(self) -> list[str]:
        """Return the listed files that are missing or differ from their sha256."""
        return [
            name
            for name, digest in sorted(self.files.items())
            if not (self.folder / name).is_file() or sha256_of(self.folder / name) != digest
        ]
