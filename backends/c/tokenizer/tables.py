"""The constant tables of a tokenizer.

pieces        what each token contributes to decoded text, in one blob
merges        for each left token, sorted right tokens with the rank of the pair
made          for each rank, the token that the pair becomes
characters    the tokens of single characters, or of all 256 bytes
added         the texts of added tokens, sorted
words         tokens that are taken whole although merges would not build them
ops, sets     the programs of the regular expressions, and their character classes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from intcc.backends.c.tokenizer.alphabet import bytes_of, character_of
from intcc.backends.c.tokenizer.parse import Added, TokenizerSpec
from intcc.backends.c.tokenizer.regex import Kind, Op
from intcc.backends.c.tokenizer.stages import Replace, Split
from intcc.backends.c.tokenizer.table import Table, smallest
from intcc.backends.c.tokenizer.unicode import partition

__all__ = ["Programs", "added_tables", "merge_tables", "piece_tables", "programs"]
__all__ += ["character_tables", "whole_words"]

Array = npt.NDArray[Any]

#: Flags of a token in decoding.
SKIPPED, ONE_BYTE, KEEPS_SPACES = 1, 2, 4
#: Flags of an added token.
SINGLE_WORD, STRIP_LEFT, STRIP_RIGHT = 1, 2, 4


def _blob(name: str, pieces: Sequence[bytes]) -> list[Table]:
    """Return the bytes of some pieces one after another, and where each starts."""
    ends = np.cumsum([0, *map(len, pieces)]).tolist()
    joined = np.frombuffer(b"".join(pieces) or b"\0", np.int8)
    return [Table(f"{name}_bytes", joined), Table(f"{name}_start", smallest(ends))]


def piece_tables(spec: TokenizerSpec) -> list[Table]:
    """Return the tables of decoding."""
    decoding = spec.decoding
    flags = [
        SKIPPED * (piece is None)
        + ONE_BYTE * (id_ in decoding.byte_tokens)
        + KEEPS_SPACES * (id_ in decoding.keeps_spaces)
        for id_, piece in enumerate(decoding.pieces)
    ]
    pieces = [piece or b"" for piece in decoding.pieces]
    return [*_blob("piece", pieces), Table("piece_flags", np.array(flags, np.uint8))]


def merge_tables(spec: TokenizerSpec) -> list[Table]:
    """Return the pairs sorted by left, then right token; ranks are made dense."""
    if not spec.merges:
        return []
    rows = sorted((m.left, m.right, rank) for rank, m in enumerate(spec.merges))
    lefts = np.array([left for left, _, _ in rows])
    starts = np.searchsorted(lefts, np.arange(spec.size + 1)).tolist()
    return [
        Table("merge_start", smallest(starts)),
        Table("merge_right", smallest([right for _, right, _ in rows])),
        Table("merge_rank", smallest([rank for _, _, rank in rows])),
        Table("made", smallest([m.made for m in spec.merges])),
    ]


def character_tables(spec: TokenizerSpec) -> list[Table]:
    """Return the tokens that a word starts from; -1 where there is none."""
    get = spec.vocabulary.get
    if spec.byte_level:
        ids = [get(character_of(byte), -1) for byte in range(256)]
        return [Table("byte_ids", np.array(ids, np.int32))]
    single = sorted((ord(token), id_) for token, id_ in spec.vocabulary.items() if len(token) == 1)
    tables = [
        Table("char_codes", np.array([code for code, _ in single] or [0xFFFFFFFF], np.uint32)),
        Table("char_ids", np.array([id_ for _, id_ in single] or [-1], np.int32)),
    ]
    if spec.byte_fallback:
        ids = [get(f"<0x{byte:02X}>", -1) for byte in range(256)]
        tables.append(Table("byte_ids", np.array(ids, np.int32)))
    return tables


def whole_words(path: Path, spec: TokenizerSpec) -> list[Table]:
    """Return the tokens that `ignore_merges` takes whole and merges would not build."""
    if not spec.ignore_merges:
        return []
    model = {**json.loads(path.read_text(encoding="utf-8"))["model"], "ignore_merges": False}
    merging = Tokenizer.from_str(json.dumps({"model": model})).model
    found = []
    for token, id_ in spec.vocabulary.items():
        word = bytes_of(token) if spec.byte_level else token.encode()
        if word and [t.id for t in merging.tokenize(token)] != [id_]:
            found.append((word, id_))
    found.sort()
    if not found:
        return []
    ids = np.array([id_ for _, id_ in found], np.int32)
    return [*_blob("word", [word for word, _ in found]), Table("word_ids", ids)]


def added_tables(added: Sequence[Added]) -> tuple[list[Table], int]:
    """Return the added tokens, the ones found before normalization first, and their number."""
    sides: list[list[Added]] = []
    for normalized in (False, True):
        first: dict[str, Added] = {}
        for token in added:
            if token.normalized == normalized and token.match:
                first.setdefault(token.match, token)
        sides.append(sorted(first.values(), key=lambda a: a.match.encode()))
    tokens = sides[0] + sides[1]
    if not tokens:
        return [], 0
    flags = [
        SINGLE_WORD * t.single_word + STRIP_LEFT * t.lstrip + STRIP_RIGHT * t.rstrip for t in tokens
    ]
    tables = [
        *_blob("added", [t.match.encode() for t in tokens]),
        Table("added_ids", np.array([t.id for t in tokens], np.int32)),
        Table("added_flags", np.array(flags, np.uint8)),
    ]
    return tables, len(sides[0])


@dataclass(frozen=True)
class Programs:
    """All programs in one table.

    Attributes:
        tables: operations, sets and the partition of the code points.
        starts: the first operation of each program.
        saved: the most states that a match keeps.
        kinds: the operations that occur.
        sets: the index of each class.
    """

    tables: list[Table]
    starts: dict[tuple[Op, ...], int]
    saved: int
    kinds: frozenset[Kind]
    sets: dict[str, int]


def programs(spec: TokenizerSpec, extra: Sequence[str]) -> Programs:
    """Return the programs of normalizers and stages, and the classes that they and C ask for.

    Raises:
        UnsupportedTokenizerError: too many classes.
    """
    steps: list[object] = [*spec.normalizers, *spec.stages]
    found = [s.program for s in steps if isinstance(s, Replace | Split)]
    keys = {op.set for ops in found for op in ops if op.set} | set(extra)
    tables: list[Table] = []
    index: dict[str, int] = {}
    if keys:
        parts = partition(keys)
        index = dict(parts.index)
        tables += [
            Table("sets", parts.masks),
            Table("atom_start", parts.starts),
            Table("atom", parts.atoms),
            Table("ascii_atom", parts.ascii),
        ]
    rows: list[tuple[int, int, int, int]] = []
    starts: dict[tuple[Op, ...], int] = {}
    for ops in found:
        if ops in starts:
            continue
        base = starts[ops] = len(rows)
        for op in ops:
            value = index[op.set] if op.set else op.value
            value += base if op.kind in (Kind.FORK, Kind.JUMP) else 0
            rows.append((op.kind, value, op.low, op.high))
    if rows:
        tables.append(Table("ops", np.array(rows, np.uint32)))
    branching = [sum(op.kind in (Kind.FORK, Kind.REPEAT) for op in ops) for ops in found]
    kinds = frozenset(op.kind for ops in found for op in ops)
    return Programs(tables, starts, max(branching, default=0), kinds, index)
