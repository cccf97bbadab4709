"""The C of an artifact as a callable, whatever machine runs it.

The arguments are read from the run function's prototype in the header, so that what is called is
what was generated. A batch is a loop over its rows, each with its own token count.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.errors import ArtifactError, DataError
from intcc.runtime.memory import Recycled
from intcc.specs import TOTAL, TensorSpec

__all__ = ["Argument", "CModel", "find_header", "included", "number"]

Array = npt.NDArray[Any]
_NOTHING = np.empty(0, np.uint8)
_STATUS = {
    1: "was called with a null pointer",
    2: "got a misaligned arena",
    3: "got a sequence of a length it does not take",
    4: "got an id outside its table",
    5: "got more tokens than its context holds",
    6: "got no result of the NPU",
}


@dataclass(frozen=True)
class Argument:
    """An array argument of the run function, and the tensor it stands for.

    Attributes:
        name: its name in C.
        spec: the tensor.
        dtype: element type.
        sized: whether the number of elements depends on the token count.
        last: whether it holds the row of the last token alone.
    """

    name: str
    spec: TensorSpec
    dtype: np.dtype[Any]
    sized: bool = False
    last: bool = False


class CModel(ABC):
    """The C of an artifact as a callable.

    Attributes:
        inputs: as in the manifest.
        outputs: as in the manifest.
        name: prefix of all public names in C.
        arena_bytes: working memory of one call.
        counts_tokens: whether the token count is an argument.
        stateful: whether tokens of earlier calls are kept in a state.
        last_only: whether a call gives the outputs of its last token alone.
        state_bytes: memory of one state.
        context: largest number of tokens in one state.
        max_tokens: largest number of tokens of one call.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Read the header.

        Args:
            folder: the artifact's folder of C.
            manifest: the artifact's manifest.

        Raises:
            ArtifactError: the folder holds no C of this manifest.
        """
        self.inputs = tuple(TensorSpec.from_json(s) for s in manifest["inputs"])
        self.outputs = tuple(TensorSpec.from_json(s) for s in manifest["outputs"])
        header = find_header(folder)
        text = header.read_text(encoding="utf-8")
        name = self.name = header.stem
        self.arena_bytes = number(text, f"{name.upper()}_ARENA_BYTES")
        self._read_prototype(text, name)
        self.state_bytes = number(text, f"{name.upper()}_CACHE_BYTES") if self.stateful else 0
        self._states = Recycled(self.state_bytes)
        self.context = number(text, f"{name.upper()}_MAX_CONTEXT") if self.stateful else 0
        self.max_tokens = number(text, f"{name.upper()}_MAX_TOKENS") if self.counts_tokens else 1

    @abstractmethod
    def call(
        self,
        held: Sequence[Array],
        made: Sequence[Array],
        tokens: int,
        state: Array,
        position: int,
    ) -> int:
        """Call the run function once.

        Args:
            held: its inputs, contiguous, in the order of its parameters.
            made: receive its outputs.
            tokens: the token count.
            state: bytes of the cache, changed in place; empty where the model has none.
            position: number of tokens in it.

        Returns:
            The status.
        """

    def _read_prototype(self, text: str, name: str) -> None:
        found = re.search(rf"int {name}_run\(void \*arena,(.*?)\);", text, re.DOTALL)
        if found is None:
            raise ArtifactError(f"Header of '{name}'", "declares no run function")
        specs = {_plain(s.name): s for s in (*self.inputs, *self.outputs)}
        self._takes: list[Argument] = []
        self._gives: list[Argument] = []
        self.counts_tokens = self.stateful = False
        for part in found.group(1).split(","):
            words = part.replace("*", " ").split()
            if words == ["size_t", "tokens"]:
                self.counts_tokens = True
                continue
            if words in (["void", "cache"], ["size_t", "position"]):
                self.stateful = True
                continue
            constant = words[0] == "const"
            dtype = np.dtype(words[-2].removesuffix("_t"))
            # A name that C or another name forbids carries a number at its end.
            stem = re.sub(r"_\d+$", "", words[-1])
            spec = specs.get(words[-1]) or specs.get(stem)
            if spec is None:
                raise ArtifactError(
                    f"Argument '{words[-1]}' of {name}_run", "is not in the manifest"
                )
            sized = f"#define {name}_{words[-1]}_ELEMENTS(".upper() in text.upper()
            last = not constant and "sequence" in spec.shape and not sized
            argument = Argument(words[-1], spec, dtype, sized, last)
            (self._takes if constant else self._gives).append(argument)
        self.last_only = any(a.last for a in self._gives)
        self._cached = tuple(s.name for s in self.inputs if s.cached)
        #: An input and its axis for every variable extent: checked feeds agree on them.
        self._measured = {
            extent: (spec.name, axis)
            for spec in self.inputs
            if not spec.cached
            for axis, extent in enumerate(spec.shape)
            if isinstance(extent, str)
        }
        self._results = {s.name: np.dtype(s.dtype) for s in self.outputs if TOTAL not in s.shape}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name; positions past a row's tokens are zero.

        Raises:
            DataError: a status other than OK, a mask that is not a prefix of ones, or a cache that
                is not empty: earlier tokens are in a state, see `run_from`.
        """
        filled = [name for name in self._cached if feeds.get(name, _NOTHING).size]
        if filled:
            raise DataError(
                f"Input '{filled[0]}'", "is not empty", "The C backend keeps its caches in a state"
            )
        extents = self._extents(feeds)
        states = [self.new_state() for _ in range(extents["batch"])]
        if not self.last_only:
            return self._run_rows(feeds, states, 0, extents)
        single = {**extents, "sequence": 1}
        rows = [
            self._run_rows(self._token(feeds, i), states, i, single)
            for i in range(extents["sequence"])
        ]
        return {name: np.concatenate([row[name] for row in rows], 1) for name in rows[0]}

    def new_state(self) -> Array:
        """Return memory for the state of a new text, free again when the array is dropped."""
        return self._states.take() if self.state_bytes else _NOTHING

    def run_from(self, feeds: Mapping[str, Array], state: Array, position: int) -> dict[str, Array]:
        """Continue one text, a batch of one, behind `position` tokens of its state.

        Where a call gives the outputs of its last token alone, that is the only row.

        Raises:
            DataError: a status other than OK; the state is as before.
        """
        return self._run_rows(feeds, [state], position, self._extents(feeds))

    def _run_rows(
        self,
        feeds: Mapping[str, Array],
        states: Sequence[Array],
        position: int,
        extents: Mapping[str, int],
    ) -> dict[str, Array]:
        counts = self._token_counts(feeds, extents)
        results = {a.spec.name: np.zeros(_shape(a, extents), a.dtype) for a in self._gives}
        if counts == [extents.get("sequence", 0)]:
            # One row without padding: its arrays are the caller's own.
            held = [np.ascontiguousarray(feeds[a.spec.name], a.dtype) for a in self._takes]
            made = list(results.values())
            self._checked_call(held, made, counts[0], states[0], position)
        else:
            for row, count in enumerate(counts):
                self._run_row(feeds, results, row, count, states[row], position)
        return {
            name: results[name].astype(dtype, copy=False) for name, dtype in self._results.items()
        }

    def _token(self, feeds: Mapping[str, Array], index: int) -> dict[str, Array]:
        """Return the feeds of one token."""
        return {
            s.name: np.take(feeds[s.name], [index], s.shape.index("sequence"))
            if "sequence" in s.shape
            else feeds[s.name]
            for s in self.inputs
            if not s.cached
        }

    def _extents(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        return {"batch": 1} | {d: feeds[name].shape[i] for d, (name, i) in self._measured.items()}

    def _token_counts(self, feeds: Mapping[str, Array], extents: Mapping[str, int]) -> list[int]:
        batch, length = extents["batch"], extents.get("sequence", 0)
        mask = feeds.get("attention_mask")
        if mask is None or np.count_nonzero(mask) == mask.size:
            return [length] * batch
        valid = np.asarray(mask) != 0
        counts = valid.sum(1)
        if not (valid == (np.arange(length) < counts[:, None])).all():
            raise DataError(
                "Input 'attention_mask'",
                "has zeros before ones",
                "The C backend takes tokens first, padding last",
            )
        return [int(c) for c in counts]

    def _checked_call(
        self,
        held: Sequence[Array],
        made: Sequence[Array],
        tokens: int,
        state: Array,
        position: int,
    ) -> None:
        status = self.call(held, made, tokens, state, position)
        if status != 0:
            raise DataError("The C model", _STATUS.get(status, f"returned {status}"))

    def _run_row(
        self,
        feeds: Mapping[str, Array],
        results: Mapping[str, Array],
        row: int,
        tokens: int,
        state: Array,
        position: int,
    ) -> None:
        held = [
            np.ascontiguousarray(_cut(a.spec, feeds[a.spec.name], row, tokens), dtype=a.dtype)
            for a in self._takes
        ]
        made = [
            np.zeros(_cut(a.spec, results[a.spec.name], row, tokens).shape, a.dtype)
            for a in self._gives
        ]
        self._checked_call(held, made, tokens, state, position)
        for argument, array in zip(self._gives, made, strict=True):
            _cut(argument.spec, results[argument.spec.name], row, tokens)[...] = array


def find_header(folder: Path) -> Path:
    """Return the header of the model in a folder of generated C.

    Raises:
        ArtifactError: there is none, or more than one.
    """
    headers = [p for p in sorted(folder.glob("*.h")) if (folder / f"{p.stem}_weights.c").exists()]
    if len(headers) != 1:
        raise ArtifactError(
            f"Folder '{folder.name}'", "holds no generated C", "Compile with --emit c"
        )
    return headers[0]


def included(folder: Path) -> list[Path]:
    """Return what the sources in a folder of generated C take in: headers, and bytes of weights."""
    return sorted(p for pattern in ("*.h", "*_weights.bin") for p in folder.glob(pattern))


def number(text: str, macro: str) -> int:
    """Return the number that a header defines.

    Raises:
        ArtifactError: it defines none of that name.
    """
    found = re.search(rf"#define {macro} (\d+)", text)
    if found is None:
        raise ArtifactError("The header", f"defines no {macro}", "Compile the model again")
    return int(found.group(1))


def _plain(name: str) -> str:
    """Return a name as it appears in C; see backends/c/names.py."""
    return re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower()


def _shape(argument: Argument, extents: Mapping[str, int]) -> tuple[int, ...]:
    known = {**extents, "sequence": 1} if argument.last else extents
    return tuple(d if isinstance(d, int) else known[d] for d in argument.spec.shape)


def _cut(spec: TensorSpec, array: Array, row: int, tokens: int) -> Array:
    """Return the part of an array that one row of the batch reads or writes."""
    index: list[Any] = []
    for name in spec.shape:
        if name == "batch":
            index.append(slice(row, row + 1))
        elif name == "sequence":
            index.append(slice(0, tokens))
        else:
            index.append(slice(None))
    return np.asarray(array[tuple(index)])
