"""Emit a tokenizer: a tokenizer.json becomes three files of C.

    <name>_tokenizer.h          what a caller needs
    <name>_tokenizer.c          the runtime, specialised on what the tokenizer has
    <name>_tokenizer_tables.c   constant data

Everything is a function of tokenizer.json and of the library's Unicode tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc._version import __version__
from intcc.backends.c.literals import STRINGS_FROM, array_body, c_type, integer, string_rows
from intcc.backends.c.render import render
from intcc.backends.c.tokenizer.composition import compose_tables
from intcc.backends.c.tokenizer.memory import SYMBOL_BYTES, memory
from intcc.backends.c.tokenizer.parse import TokenizerSpec, read_tokenizer
from intcc.backends.c.tokenizer.stages import (
    Behavior,
    Compose,
    Normalizer,
    Prefix,
    Prepend,
    Replace,
    Rewrite,
    Stage,
)
from intcc.backends.c.tokenizer.table import Table
from intcc.backends.c.tokenizer.tables import (
    SINGLE_WORD,
    STRIP_LEFT,
    STRIP_RIGHT,
    Programs,
    added_tables,
    character_tables,
    merge_tables,
    piece_tables,
    programs,
    whole_words,
)

__all__ = ["TokenizerReport", "emit_tokenizer"]

Array = npt.NDArray[Any]

#: Bytes in one string of a blob.
_ROW = 1024
#: Sizes of buffers are computed in 32 bits.
_LARGEST = 2**31 - 1
#: U+FFFD for a byte, and a character that it completes.
_REPLACED = 3


@dataclass(frozen=True)
class TokenizerReport:
    """Figures of an emitted tokenizer.

    Attributes:
        name: prefix of all public names.
        kind: in words.
        size: ids, added tokens included.
        table_bytes: constant data.
        scratch_factor: bytes of scratch for each byte of text.
        scratch_constant: and on top.
        files: what was written, in the order .h, .c, tables.
    """

    name: str
    kind: str
    size: int
    table_bytes: int
    scratch_factor: int
    scratch_constant: int
    files: tuple[Path, Path, Path]


def _settled(table: Table) -> tuple[str, str, Array]:
    """Return the C type, the dimensions and the data as they are written."""
    data = table.data
    if data.dtype == np.int8:
        if data.size < STRINGS_FROM:
            return "unsigned char", f"[{data.size}]", data.view(np.uint8)
        padded = np.pad(data, (0, -data.size % _ROW))
        return "unsigned char", f"[{padded.size // _ROW}][{_ROW}]", padded
    return c_type(data.dtype), "".join(f"[{n}]" for n in data.shape), data


def _declaration(name: str, table: Table) -> str:
    kind, dimensions, _ = _settled(table)
    return f"extern const {kind} {name}_tokenizer_{table.name}{dimensions};"


def _definition(name: str, table: Table) -> str:
    kind, dimensions, data = _settled(table)
    if data.dtype == np.int8:
        body = string_rows(data, _ROW)
    elif data.ndim == 2:
        rows = (", ".join(integer(int(v)) for v in row) for row in data)
        body = "\n".join(f"    {{{row}}}," for row in rows)
    else:
        body = array_body(data)
    section = f"{name.upper()}_TOKENIZER_SECTION"
    return f"{section} const {kind} {name}_tokenizer_{table.name}{dimensions} = {{\n{body}\n}};"


def _blob(name: str, tables: Sequence[Table], wanted: str) -> str:
    """Return the C expression of the first byte of a blob; nothing if there is no such table."""
    for table in tables:
        if table.name == wanted:
            row = "[0]" if table.data.size >= STRINGS_FROM else ""
            return f"{name}_tokenizer_{wanted}{row}"
    return ""


def _numbers(text: str) -> list[int]:
    """Return the bytes of a text, at least one: C has no empty arrays."""
    return list(text.encode() or b"\0")


def _kind(spec: TokenizerSpec) -> str:
    if spec.byte_level:
        return "byte-level BPE"
    return "BPE with byte fallback" if spec.byte_fallback else "BPE"


def _step(step: Normalizer, found: Programs) -> dict[str, Any]:
    match step:
        case Compose():
            return {"kind": "compose", "what": "canonical composition"}
        case Prepend():
            kind, program, content = "prepend", 0, step.prefix
        case Replace():
            kind, program, content = "replace", found.starts[step.program], step.content
    size = len(content.encode())
    made = {"kind": kind, "what": kind, "program": program}
    return {**made, "content": _numbers(content), "bytes": size}


#: When a part of a split joins the one before it, in C.
_JOINS = {
    Behavior.MERGEDWITHPREVIOUS: "matched && !w->matched",
    Behavior.MERGEDWITHNEXT: "!matched && w->matched",
    Behavior.CONTIGUOUS: "matched == w->matched",
}


def _stage(stage: Stage, found: Programs) -> dict[str, Any]:
    if isinstance(stage, Rewrite):
        return {"kind": "rewrite", "joins": None}
    return {
        "kind": "split",
        "program": found.starts[stage.program],
        "invert": stage.invert,
        "joins": _JOINS.get(stage.behavior),
        "drops": stage.behavior is Behavior.REMOVED,
    }


def _rewrite(spec: TokenizerSpec) -> dict[str, Any] | None:
    for stage in spec.stages:
        if isinstance(stage, Rewrite):
            replaces = stage.space != " "
            prefix = "" if stage.where is Prefix.NEVER else stage.prefix
            parts = [f"spaces become {stage.space!r}"] if replaces else []
            parts += [f"{prefix!r} comes before it if it does not begin so"] if prefix else []
            return {
                "what": ("; ".join(parts) or "as it is")
                .encode("ascii", "backslashreplace")
                .decode(),
                "space": _numbers(stage.space),
                "space_bytes": replaces,
                "prefix": list(prefix.encode()),
                "becomes_prefix": replaces and stage.space == prefix,
                "only_first": stage.where is Prefix.FIRST,
            }
    return None


def _flags(tables: Sequence[Table]) -> set[str]:
    """Return which flags any added token has."""
    data = next((t.data for t in tables if t.name == "added_flags"), np.zeros(1, np.uint8))
    names = {SINGLE_WORD: "word", STRIP_LEFT: "left", STRIP_RIGHT: "right"}
    return {name for bit, name in names.items() if (data & bit).any()}


def _decoding(spec: TokenizerSpec) -> dict[str, Any]:
    decoding = spec.decoding
    longest = max(len(piece or b"") for piece in decoding.pieces)
    return {
        "lossy": decoding.lossy,
        "fallback": decoding.fallback,
        "drop_spaces": decoding.drop_spaces,
        "separator": decoding.separator,
        "strip": list(decoding.strip.encode()) if decoding.strip_count else [],
        "strip_count": decoding.strip_count,
        # Each byte of a piece may end a broken character and be broken itself.
        "decode_bytes": _REPLACED * (longest + 3) if decoding.lossy else longest + 4 * _REPLACED,
    }


def _context(
    name: str, spec: TokenizerSpec, tables: Sequence[Table], found: Programs, raw: int
) -> dict[str, Any]:
    """Return everything that the templates may show."""
    bounds = memory(spec)
    sizes = {table.name: table.data.shape[0] for table in tables}
    flags = _flags(tables)
    kinds = {kind.name for kind in found.kinds}
    rewrite = _rewrite(spec)
    texts = ["text0", "text1"] if spec.normalizers else []
    return {
        "version": __version__,
        "name": name,
        "upper": name.upper(),
        "kind": _kind(spec),
        "size": spec.size,
        "table_bytes": sum(_settled(table)[2].nbytes for table in tables),
        "scratch": bounds.scratch,
        "max_bytes": (_LARGEST - bounds.scratch.constant) // bounds.scratch.factor,
        "texts": bounds.texts,
        "rewritten": bounds.rewritten,
        "sizes": texts + (["rewritten"] if rewrite else []),
        "symbol_bytes": SYMBOL_BYTES,
        "declarations": [_declaration(name, table) for table in tables],
        "prefix": spec.prefix,
        "suffix": spec.suffix,
        "normalizers": bool(spec.normalizers),
        "steps": [_step(step, found) for step in spec.normalizers],
        "replaces": any(isinstance(s, Replace) for s in spec.normalizers),
        "composes": any(isinstance(s, Compose) for s in spec.normalizers),
        "composition_rows": sizes.get("compose_pairs", 0),
        "decomposition_rows": sizes.get("decompose_code", 0),
        "class_rows": sizes.get("class_start", 0),
        "classes": max([int(t.data.max()) for t in tables if t.name == "class_of"], default=0) + 1,
        "rewrite": rewrite,
        "stages": [_stage(stage, found) for stage in spec.stages],
        "ops": "ops" in sizes,
        "saved": found.saved,
        "kinds": kinds,
        "sets": bool(found.sets),
        "atoms": sizes.get("atom", 0),
        "codes": bool(kinds) or bool(found.sets) or not spec.byte_level,
        "back": "REPEAT" in kinds or bool(flags & {"word", "left"}),
        "find_bytes": "word_ids" in sizes,
        "merges": bool(spec.merges),
        "byte_level": spec.byte_level,
        "byte_fallback": spec.byte_fallback,
        "unknown": spec.unknown,
        "fuse_unknown": spec.fuse_unknown,
        "characters": sizes.get("char_codes", 0),
        "words": sizes.get("word_ids", 0),
        "word_bytes": _blob(name, tables, "word_bytes"),
        "piece_bytes": _blob(name, tables, "piece_bytes"),
        "added": sizes.get("added_ids", 0),
        "added_bytes": _blob(name, tables, "added_bytes"),
        "raw": raw,
        "flags": flags,
        "word_set": found.sets.get("@single_word", 0),
        "space_set": found.sets.get(r"\s", 0),
        **_decoding(spec),
    }


def emit_tokenizer(tokenizer_json: Path, name: str, folder: Path) -> TokenizerReport:
    """Write the tokenizer of a file as C.

    Args:
        tokenizer_json: the file.
        name: prefix of all public names, a C identifier in lower case.
        folder: where the files go; it exists.

    Raises:
        ModelError: the file cannot be read.
        UnsupportedTokenizerError: a part of the tokenizer is not in the generated C.
    """
    spec = read_tokenizer(tokenizer_json)
    added, raw = added_tables(spec.added)
    flags = _flags(added)
    extra = ["@single_word"] if "word" in flags else []
    extra += [r"\s"] if flags & {"left", "right"} else []
    found = programs(spec, extra)
    tables = [
        *piece_tables(spec),
        *merge_tables(spec),
        *character_tables(spec),
        *whole_words(tokenizer_json, spec),
        *added,
        *found.tables,
        *(compose_tables() if any(isinstance(s, Compose) for s in spec.normalizers) else []),
    ]
    context = _context(name, spec, tables, found, raw)
    texts = {
        f"{name}_tokenizer.h": render("tokenizer/tokenizer.h", context),
        f"{name}_tokenizer.c": render("tokenizer/tokenizer.c", context),
        f"{name}_tokenizer_tables.c": "\n\n".join(
            [
                render("tokenizer/tables.c", context).rstrip("\n"),
                *(_definition(name, table) for table in tables),
            ]
        )
        + "\n",
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    header, runtime, data = (folder / file for file in texts)
    scratch = context["scratch"]
    return TokenizerReport(
        name,
        context["kind"],
        spec.size,
        context["table_bytes"],
        scratch.factor,
        scratch.constant,
        (header, runtime, data),
    )
