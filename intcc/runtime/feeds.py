"""Inputs of a compiled model: checked before any backend sees them, or drawn for measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import DataError
from intcc.specs import PAST, TensorSpec

__all__ = ["check_feeds", "load_npz", "random_feeds", "random_prompt"]

Array = npt.NDArray[Any]

#: What an absent input means, where it has an obvious meaning.
DEFAULTS = {"attention_mask": 1, "token_type_ids": 0}


def check_feeds(
    specs: Sequence[TensorSpec], feeds: Mapping[str, Any], max_length: int | None
) -> dict[str, Array]:
    """Return complete, exactly typed inputs in the order of `specs`.

    An absent attention_mask is all ones, absent token_type_ids are zeros, absent caches are empty.

    Raises:
        DataError: unknown or missing names, floats, wrong ranks or extents, values out of range,
            a sequence of length 0 or above the maximum.
    """
    names = [s.name for s in specs]
    for name in feeds:
        if name not in names:
            raise DataError(f"Input '{name}'", "is not one of the model's",
                            f"Inputs: {', '.join(names)}")  # fmt: skip
    bound: dict[str, int] = {}
    if max_length is not None:
        bound["sequence"] = max_length
    extents: dict[str, int] = {}
    checked: dict[str, Array] = {}
    given = sorted(specs, key=lambda s: s.name not in feeds)
    for spec in given:
        if spec.name in feeds:
            array = np.asarray(feeds[spec.name])
        elif spec.cached:
            array = spec.empty_cache(extents.get("batch", 1))
        elif spec.name in DEFAULTS and all(d in extents for d in spec.shape):
            shape = tuple(extents[str(d)] for d in spec.shape)
            # As numpy.full does, in a third of its time.
            checked[spec.name] = np.empty(shape, spec.dtype)
            checked[spec.name].fill(DEFAULTS[spec.name])
            continue
        else:
            raise DataError(f"Input '{spec.name}'", "is missing", _wanted(spec))
        checked[spec.name] = _check(spec, array, extents, bound)
    _require_room(extents, max_length)
    return {name: checked[name] for name in names}


def _require_room(extents: Mapping[str, int], max_length: int | None) -> None:
    """Check that earlier tokens and new ones fit the context together.

    Raises:
        DataError: they do not.
    """
    total = extents.get(PAST, 0) + extents.get("sequence", 0)
    if PAST in extents and max_length is not None and total > max_length:
        raise DataError(
            f"A context of {max_length} tokens",
            f"cannot hold {extents[PAST]} earlier and {extents['sequence']} new ones",
            "Give fewer tokens, or compile with a larger --context",
        )


def _wanted(spec: TensorSpec) -> str:
    return f"Give {spec.dtype} of shape [{', '.join(map(str, spec.shape))}]"


def _check(
    spec: TensorSpec, array: Array, extents: dict[str, int], bound: Mapping[str, int]
) -> Array:
    subject = f"Input '{spec.name}'"
    if array.dtype.kind not in "iub":
        remedy = f"Convert it with .quantize('{spec.name}', array)" if spec.scale else _wanted(spec)
        raise DataError(subject, f"is {array.dtype}, not integer", remedy)
    if array.ndim != len(spec.shape):
        raise DataError(subject, f"has shape {list(array.shape)}", _wanted(spec))
    for extent, wanted in zip(array.shape, spec.shape, strict=True):
        if isinstance(wanted, int):
            if extent != wanted:
                raise DataError(subject, f"has shape {list(array.shape)}", _wanted(spec))
            continue
        limit = bound.get(wanted)
        if extent < (wanted != PAST) or (limit is not None and extent > limit):
            allowed = f"1 to {limit}" if limit is not None else "1 upwards"
            raise DataError(subject, f"has {wanted} length {extent}", f"Allowed: {allowed}")
        if extents.setdefault(wanted, extent) != extent:
            raise DataError(
                subject, f"has {wanted} length {extent}, where another input has {extents[wanted]}",
                "Give all inputs the same batch and sequence lengths",
            )  # fmt: skip
    lo, hi = spec.limits
    if array.size and not _within(array, lo, hi):
        fact = f"has values from {int(array.min())} to {int(array.max())}"
        raise DataError(subject, fact, f"Allowed: {lo} to {hi}")
    return np.ascontiguousarray(array, dtype=spec.dtype)


def _within(array: Array, lo: int, hi: int) -> bool:
    """Tell whether lo <= array <= hi. The ufuncs themselves: `min` and `max` take twice as long."""
    if lo == 0 and array.dtype == np.int64:  # without its sign, a negative number is a large one
        return bool(np.maximum.reduce(array.view(np.uint64), axis=None) <= hi)
    least, most = np.minimum.reduce(array, axis=None), np.maximum.reduce(array, axis=None)
    return bool(least >= lo and most <= hi)


def load_npz(path: str) -> dict[str, Array]:
    """Read the inputs of `--input`.

    Raises:
        DataError: no such file, not an .npz file, or one with pickled objects.
    """
    try:
        data = np.load(path, allow_pickle=False)
        if not isinstance(data, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with data:
            return {name: data[name] for name in data.files}
    except FileNotFoundError as error:
        raise DataError(f"Input file '{path}'", "does not exist") from error
    except Exception as error:  # numpy raises many kinds for damaged archives
        raise DataError(
            f"Input file '{path}'", f"is not an .npz of plain arrays ({error})",
            "Write it with numpy.savez(path, name=array, ...)",
        ) from error  # fmt: skip


def random_feeds(specs: Sequence[TensorSpec], length: int, batch: int = 1) -> dict[str, Array]:
    """Return random inputs without padding: what is executed depends little on their values.

    Args:
        specs: the inputs.
        length: tokens of each row.
        batch: rows.
    """
    rng = np.random.default_rng(0)
    extents = {"batch": batch, "sequence": length}
    feeds: dict[str, Array] = {}
    for spec in specs:
        shape = [d if isinstance(d, int) else extents.get(d, 1) for d in spec.shape]
        lo, hi = (1, 1) if spec.name == "attention_mask" else spec.limits
        feeds[spec.name] = rng.integers(lo, hi, shape, endpoint=True).astype(spec.dtype)
    return feeds


def random_prompt(
    specs: Sequence[TensorSpec], context: int, length: int | None, usual: int, steps: int = 1
) -> list[int]:
    """Return random tokens of a prompt, and of steps after it.

    Args:
        specs: the inputs of a decoder.
        context: most tokens of a text.
        length: tokens of the prompt; None: the usual number, or half of a shorter context.
        usual: the usual number.
        steps: tokens after the prompt.

    Raises:
        DataError: prompt and steps do not fit the context.
    """
    length = length or min(usual, max(context // 2, 1))
    if length + steps > context:
        raise DataError(
            f"A prompt of {length} tokens and {'one' if steps == 1 else steps} more",
            f"do not fit a context of {context}",
            "Give a smaller --length" + (" or --steps" if steps > 1 else ""),
        )
    limit = next(s for s in specs if not s.cached).limits[1]
    rng = np.random.default_rng(0)
    return [int(t) for t in rng.integers(0, limit, length + steps, endpoint=True)]
