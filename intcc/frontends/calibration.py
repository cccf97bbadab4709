"""Calibration samples: feeds of the float graph, one unpadded sample each.

    .txt                one sample a line
    .jsonl              one JSON string a line, or an object with the column's key
    .csv                a header line, then the named column (several: "sentence1,sentence2")
    .npz                arrays by input name, samples along the first axis
    none                the English sentences that ship with the package; random inputs where the
                        model has no tokenizer

Where a file holds more samples than are wanted, evenly spaced ones are taken: the same ones in
every run, and from all parts of the file.
"""

from __future__ import annotations

import csv
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import CalibrationError
from intcc.frontends.source import Feed, SourceModel

__all__ = ["built_in_text", "load_samples", "vocabulary_size"]

#: Columns that need not be named.
USUAL_COLUMNS = ("text", "sentence", "sentence1", "content")
FORMATS = (".txt", ".text", ".md", ".jsonl", ".csv", ".tsv", ".npz")
#: Fields of a .csv file can be long documents.
MAX_FIELD = 2**24
#: Tokens of all samples together: second moments settle with fewer, and time grows with them.
MOST_TOKENS = 2**13
Array = npt.NDArray[Any]


def load_samples(
    source: SourceModel, path: Path | None, count: int, column: str | None = None
) -> list[Feed]:
    """Return at most `count` feeds from `path`, or built-in ones; MOST_TOKENS in all.

    Raises:
        CalibrationError: the file is missing, empty, malformed, or does not fit the model.
    """
    feeds = _load(source, path, count, column)
    tokens = sum(feed["input_ids"].shape[1] for feed in feeds if "input_ids" in feed)
    share = min(1.0, MOST_TOKENS / max(tokens, 1))
    return [feeds[i] for i in _spread(len(feeds), max(1, int(len(feeds) * share)))]


def _load(source: SourceModel, path: Path | None, count: int, column: str | None) -> list[Feed]:
    if path is None:
        return _built_in(source, count)
    path = Path(path)
    if not path.is_file():
        raise CalibrationError(f"Calibration file '{path}'", "does not exist", "Check the path")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise CalibrationError(
            f"Calibration file '{path}'",
            f"has the unknown extension '{suffix}'",
            f"Known: {', '.join(FORMATS)}",
        )
    if suffix == ".npz":
        return _from_arrays(source, path, count)
    if source.image is not None:
        raise CalibrationError(
            f"Calibration file '{path}'",
            f"holds text, and model '{source.name}' takes images",
            "Give an .npz file with pixel_values",
        )
    texts = _read_texts(path, suffix, column)
    if not texts:
        raise CalibrationError(
            f"Calibration file '{path}'", "holds no text", "Give at least one sample"
        )
    feeds = source.tokenize([texts[i] for i in _spread(len(texts), count)])
    _require_vocabulary(source, feeds, f"Calibration file '{path}'")
    return feeds


def built_in_text() -> list[str]:
    """Return the sentences that ship with the package."""
    text = resources.files("intcc").joinpath("data/calibration.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _spread(total: int, count: int) -> list[int]:
    """Return `count` evenly spaced indices below `total` (all where there are fewer)."""
    return list(range(total)) if total <= count else [i * total // count for i in range(count)]


def _built_in(source: SourceModel, count: int) -> list[Feed]:
    if source.tokenizer is not None:
        texts = built_in_text()
        return source.tokenize([texts[i] for i in _spread(len(texts), count)])
    generator = np.random.default_rng(0)
    if source.image is not None:
        return [{"pixel_values": _random_image(source, generator)} for _ in range(count)]
    rows = vocabulary_size(source.model) or 2
    feeds = []
    for _ in range(count):
        length = int(generator.integers(1, max(source.max_length, 1) + 1))
        ids = generator.integers(0, rows, (1, length))
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        feed["token_type_ids"] = np.zeros_like(ids)
        feeds.append({name: feed[name] for name in source.input_names if name in feed})
    return feeds


def _random_image(source: SourceModel, generator: np.random.Generator) -> Array:
    """Blobs of colour at three sizes: closer to photographs than white noise is."""
    spec = source.image
    assert spec is not None
    pixels = np.zeros((1, spec.channels, spec.height, spec.width))
    for cells in (2, 7, 28):
        rows = (np.arange(spec.height) * cells) // spec.height
        columns = (np.arange(spec.width) * cells) // spec.width
        grid = generator.normal(0, 1, (1, spec.channels, cells, cells))
        pixels += grid[:, :, rows][:, :, :, columns]
    return spec.normalize(np.clip(128 + 40 * pixels, 0, 255).astype(np.uint8))


def _read_texts(path: Path, suffix: str, column: str | None) -> list[str]:
    try:
        if suffix == ".jsonl":
            texts = _read_jsonl(path, column)
        elif suffix in (".csv", ".tsv"):
            texts = _read_csv(path, "\t" if suffix == ".tsv" else ",", column)
        else:
            texts = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CalibrationError(
            f"Calibration file '{path}'",
            f"is not UTF-8 text (byte {error.start})",
            "Save it as UTF-8",
        ) from None
    return [text.strip() for text in texts if text.strip()]


def _choose_columns(path: Path, found: list[str], column: str | None) -> list[str]:
    """Return the asked columns, or the one whose name is usual."""
    listing = ", ".join(f"'{name}'" for name in found) or "none"
    if column is not None:
        wanted = [column] if column in found else [part.strip() for part in column.split(",")]
        missing = [name for name in wanted if name not in found]
        if missing:
            raise CalibrationError(
                f"Calibration file '{path}'",
                f"has no column '{missing[0]}'; columns found: {listing}",
                "Name one of them with --calibration-column",
            )
        return wanted
    usual = [name for name in USUAL_COLUMNS if name in found] or (found if len(found) == 1 else [])
    if not found:
        raise CalibrationError(
            f"Calibration file '{path}'", "has no column of texts",
            "Give texts, or token ids as input_ids in an .npz",
        )  # fmt: skip
    if not usual:
        raise CalibrationError(
            f"Calibration file '{path}'",
            f"has several columns: {listing}",
            "Name one of them with --calibration-column",
        )
    return usual[:1]


def _read_jsonl(path: Path, column: str | None) -> list[str]:
    texts: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CalibrationError(
                f"Calibration file '{path}', line {number}",
                f"is not JSON ({error})",
                "Write one JSON value a line",
            ) from None
        if isinstance(record, dict):
            strings = [key for key, value in record.items() if isinstance(value, str)]
            texts += [record[key] for key in _choose_columns(path, strings, column)]
        elif isinstance(record, str):
            texts.append(record)
        else:
            raise CalibrationError(
                f"Calibration file '{path}', line {number}",
                f"holds a JSON {type(record).__name__}, neither a string nor an object",
                "Write one string or object a line",
            )
    return texts


def _read_csv(path: Path, delimiter: str, column: str | None) -> list[str]:
    csv.field_size_limit(MAX_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter)
            found = [name for name in reader.fieldnames or [] if name]
            if not found:
                return []
            chosen = _choose_columns(path, found, column)
            return [row[name] or "" for row in reader for name in chosen]
    except csv.Error as error:
        raise CalibrationError(
            f"Calibration file '{path}'", f"is not CSV ({error})", "Check the quoting"
        ) from None


def vocabulary_size(model: ir.Model) -> int:
    """Return the rows of the table that `input_ids` index; 0 where none is found."""
    for value in model.graph.inputs:
        if value.name != "input_ids":
            continue
        for user in value.consumers():
            if user.op_type == "Gather" and user.inputs[1] is value and user.inputs[0] is not None:
                shape = user.inputs[0].shape
                if shape is not None and len(shape) == 2 and isinstance(shape[0], int):
                    return shape[0]
    return 0


def _require_vocabulary(source: SourceModel, feeds: list[Feed], subject: str) -> None:
    rows = vocabulary_size(source.model)
    for index, feed in enumerate(feeds):
        ids = feed.get("input_ids")
        if ids is None or ids.size == 0 or not rows:
            continue
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= rows:
            raise CalibrationError(
                subject,
                f"has token id {low if low < 0 else high} in sample {index}, "
                f"and the vocabulary ends at {rows - 1}",
                "Use the tokenizer that belongs to the model",
            )


def _from_arrays(source: SourceModel, path: Path, count: int) -> list[Feed]:
    subject = f"Calibration file '{path}'"
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, Array] = {name: stored[name] for name in stored.files}
    except Exception as error:  # zip, header and pickle errors, each of its own class
        raise CalibrationError(
            subject, f"cannot be read ({error})", "Write it with numpy.savez"
        ) from None
    shapes = {str(v.name): v for v in source.model.graph.inputs}
    main = "pixel_values" if "pixel_values" in shapes else "input_ids"
    main = main if main in shapes else next(iter(shapes), main)
    unknown = sorted(set(arrays) - set(shapes) - {"attention_mask", "token_type_ids"})
    if unknown or main not in arrays:
        what = f"has an array '{unknown[0]}'" if unknown else f"lacks the array '{main}'"
        raise CalibrationError(
            subject,
            f"{what}; arrays found: {', '.join(sorted(arrays)) or 'none'}",
            f"The model's inputs are: {', '.join(shapes)}",
        )
    total = len(arrays[main]) if arrays[main].ndim else 0
    if total == 0:
        raise CalibrationError(subject, "holds no samples", "Give at least one")
    for name, array in arrays.items():
        if array.ndim < 2 or len(array) != total:
            raise CalibrationError(
                subject,
                f"has '{name}' of shape {list(array.shape)}, where '{main}' has {total} samples",
                "Stack the samples along the first axis",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CalibrationError(
                subject, f"has NaN or infinite values in '{name}'", "Remove those samples"
            )
    feeds = [
        _one_sample(source, {n: a[i : i + 1] for n, a in arrays.items()}, subject)
        for i in _spread(total, count)
    ]
    _require_vocabulary(source, feeds, subject)
    return feeds


def _one_sample(source: SourceModel, feed: Feed, subject: str) -> Feed:
    """Convert types, add the mask and segments that are missing, cut the padding off."""
    if "pixel_values" in feed and source.image is not None:
        spec, pixels = source.image, feed["pixel_values"]
        wanted = [1, spec.channels, spec.height, spec.width]
        if list(pixels.shape) != wanted or pixels.dtype.kind not in "fu":
            raise CalibrationError(
                subject,
                f"has pixel_values of type {pixels.dtype} and shape {list(pixels.shape)}",
                f"The model takes uint8 or float images of {wanted}",
            )
        bytes_given = pixels.dtype == np.uint8
        return {"pixel_values": spec.normalize(pixels) if bytes_given else pixels.astype("f4")}
    if "input_ids" not in feed:
        return {name: array.astype(np.float32) for name, array in feed.items()}
    for name, array in feed.items():
        if array.ndim != 2 or array.dtype.kind not in "iub":
            raise CalibrationError(
                subject,
                f"has '{name}' of type {array.dtype} and shape {list(array.shape)}",
                "Token arrays are integers of shape [samples, length]",
            )
    feed = {name: array.astype(np.int64) for name, array in feed.items()}
    ids = feed["input_ids"]
    mask = feed.setdefault("attention_mask", np.ones_like(ids))
    feed.setdefault("token_type_ids", np.zeros_like(ids))
    used = np.flatnonzero(mask[0])
    length = min(int(used[-1]) + 1 if used.size else 1, source.max_length or ids.shape[1])
    if mask.shape != ids.shape or not mask[0, :length].any():
        raise CalibrationError(
            subject, "has an attention_mask that hides every token", "Leave such samples out"
        )
    return {name: feed[name][:, :length] for name in source.input_names if name in feed}
