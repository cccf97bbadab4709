"""What a frontend hands to the compiler: a float graph and where it came from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import CalibrationError, ModelError
from intcc.frontends.generation import GenerationDefaults
from intcc.frontends.sentence_transformers import read_json
from intcc.frontends.tokenizer import TextTokenizer

__all__ = [
    "DEFAULT_MAX_LENGTH",
    "TASKS",
    "ImageSpec",
    "SourceModel",
    "file_digest",
    "identifier",
    "image_spec",
    "resolve_context",
    "resolve_max_length",
]

#: Tasks that `--task` accepts, each with the name of its output.
TASKS = {
    "sentence-embedding": "sentence_embedding",
    "feature-extraction": "last_hidden_state",
    "text-classification": "logits",
    "text-generation": "logits",
    "image-feature-extraction": "last_hidden_state",
    "image-classification": "logits",
}
#: Tokens per sample when neither the user nor the tokenizer says.
DEFAULT_MAX_LENGTH = 128
#: Tokens that a language model sees at most, when the user does not say: its caches and tables
#: grow with this number, which many models put at 100,000 and more.
DEFAULT_CONTEXT = 512

Feed = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ImageSpec:
    """How pixels become the float graph's `pixel_values`: (byte * rescale - mean) / std.

    Attributes:
        channels, height, width: extent of one image.
        mean, std: per channel.
        rescale: factor on the bytes, mostly 1 / 255.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float

    def normalize(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Turn bytes [..., channels, height, width] into `pixel_values`."""
        mean = np.asarray(self.mean).reshape(-1, 1, 1)
        std = np.asarray(self.std).reshape(-1, 1, 1)
        return np.asarray((pixels * self.rescale - mean) / std, dtype=np.float32)


@dataclass
class SourceModel:
    """A float model, imported but not yet canonical.

    Attributes:
        model: the FLOAT graph; its metadata hold `intcc.task`, `intcc.name`, `intcc.max_length`.
        name: a C identifier.
        task: a key of TASKS.
        max_length: most tokens per sample (0 for images).
        tokenizer_files: what an artifact copies so that it can tokenize by itself.
        source: provenance for the manifest: kind, file names and their SHA-256.
        image: pixel normalisation where the input is an image.
        notes: what a user should know, such as converted weights.
        tokenizer: absent for images and bare ONNX files.
        generation: how a language model's texts begin, go on and end.
    """

    model: ir.Model
    name: str
    task: str
    max_length: int
    tokenizer_files: tuple[Path, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)
    image: ImageSpec | None = None
    notes: list[str] = field(default_factory=list)
    tokenizer: TextTokenizer | None = None
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the float graph's inputs."""
        return tuple(str(value.name) for value in self.model.graph.inputs)

    def tokenize(self, texts: list[str]) -> list[Feed]:
        """Return one unpadded feed of batch 1 per text, special tokens included.

        Raises:
            CalibrationError: the model came without a tokenizer.
        """
        if self.tokenizer is None:
            raise CalibrationError(
                f"Model '{self.name}'",
                "has no tokenizer, so text cannot become token ids",
                "Give inputs as .npz, or put tokenizer.json beside the model",
            )
        return [
            {name: array for name, array in feed.items() if name in self.input_names}
            for feed in self.tokenizer.encode(texts, self.max_length)
        ]


def identifier(text: str) -> str:
    """Return `text` as a lower-case C identifier.

    >>> identifier("all-MiniLM-L6-v2")
    'all_minilm_l6_v2'
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name and name[0].isalpha() else f"m_{name}".rstrip("_")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def image_spec(folder: Path, channels: int, height: int, width: int) -> ImageSpec:
    """Return the pixel normalisation that preprocessor_config.json asks for, else 0.5 and 0.5."""
    path = folder / "preprocessor_config.json"
    p = read_json(path) if path.is_file() else {}
    half, normalize = [0.5] * channels, p.get("do_normalize", True)
    mean = p.get("image_mean", half) if normalize else [0.0] * channels
    std = p.get("image_std", half) if normalize else [1.0] * channels
    rescale = float(p.get("rescale_factor", 1 / 255)) if p.get("do_rescale", True) else 1.0
    return ImageSpec(channels, height, width, tuple(mean), tuple(std), rescale)


def resolve_max_length(requested: int | None, own: int | None, limit: int) -> int:
    """Tokens per sample: as asked, else the tokenizer's, else 128; never above `limit` (0: none).

    Raises:
        ModelError: the request is outside the range.
    """
    if requested is not None and (requested < 1 or (limit and requested > limit)):
        raise ModelError(
            f"--max-length {requested}",
            f"is outside the model's range of 1 to {limit}" if limit else "is below 1",
            "Choose a length that the position table holds",
        )
    length = requested or own or DEFAULT_MAX_LENGTH
    return min(length, limit) if limit else length


def resolve_context(requested: int | None, limit: int) -> int:
    """Tokens that a language model sees: as asked, else 512; never above `limit` (0: none).

    Raises:
        ModelError: the request is outside the range.
    """
    if requested is not None and (requested < 1 or (limit and requested > limit)):
        raise ModelError(
            f"--context {requested}",
            f"is outside the model's range of 1 to {limit}" if limit else "is below 1",
            "Choose a context within the positions that the model was trained for",
        )
    length = requested or DEFAULT_CONTEXT
    return min(length, limit) if limit else length
