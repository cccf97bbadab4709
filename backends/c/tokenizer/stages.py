"""Pre-tokenizers and text normalizers of a tokenizer.json as steps that the C runtime has.

A pre-tokenizer becomes a list of stages; each takes a piece of text and hands smaller ones on:

    Split     a pattern's matches and what lies between them, combined as `behavior` says
    Rewrite   a copy of the piece with a prefix and with spaces replaced

A normalizer becomes a list of steps from one buffer to the next: Replace, Prepend, Compose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from intcc.backends.c.tokenizer.regex import NO_LIMIT, Kind, Op, Repeat, Set, compile_regex, program
from intcc.backends.c.tokenizer.unsupported import UnsupportedTokenizerError

__all__ = [
    "Behavior",
    "Compose",
    "Normalizer",
    "Prefix",
    "Prepend",
    "Replace",
    "Rewrite",
    "Split",
    "Stage",
    "normalizers",
    "stages",
]

Json = Mapping[str, Any]

#: What ByteLevel splits by.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class Behavior(IntEnum):
    """What becomes of the matches."""

    REMOVED = 0
    ISOLATED = 1
    MERGEDWITHPREVIOUS = 2
    MERGEDWITHNEXT = 3
    CONTIGUOUS = 4


class Prefix(IntEnum):
    """Which pieces get a prefix, if they do not begin with it."""

    NEVER = 0
    ALWAYS = 1
    FIRST = 2


@dataclass(frozen=True)
class Split:
    """Cut a piece at the matches of a pattern; `invert` swaps matches and gaps."""

    program: tuple[Op, ...]
    behavior: Behavior
    invert: bool = False


@dataclass(frozen=True)
class Rewrite:
    """Replace every space, then put the prefix before a piece that does not begin with it."""

    space: str
    prefix: str
    where: Prefix


@dataclass(frozen=True)
class Replace:
    """Every match of a pattern becomes `content`."""

    program: tuple[Op, ...]
    content: str


@dataclass(frozen=True)
class Prepend:
    """Text that is not empty gets a prefix."""

    prefix: str


@dataclass(frozen=True)
class Compose:
    """Unicode's canonical composition, NFC."""


Stage = Split | Rewrite
Normalizer = Replace | Prepend | Compose


def _unsupported(part: str, kind: str, detail: str = "is not in the generated C") -> Exception:
    return UnsupportedTokenizerError(
        f"The tokenizer's {part} {kind}", detail, "Tokenize outside of the generated C"
    )


def _of_class(key: str) -> tuple[Op, ...]:
    return program(Set(key))


def _literal(text: str) -> tuple[Op, ...]:
    return (*(Op(Kind.CHAR, ord(c)) for c in text), Op(Kind.MATCH))


def _pattern(pattern: Json, part: str) -> tuple[Op, ...]:
    if pattern.get("Regex"):
        return compile_regex(pattern["Regex"])
    if not pattern.get("String"):
        raise _unsupported(part, "with an empty pattern")
    return _literal(pattern["String"])


def _behavior(name: str) -> Behavior:
    return Behavior[name.replace("_", "").upper()]


def _metaspace(part: Json) -> list[Stage]:
    mark = part["replacement"]
    scheme = part.get("prepend_scheme", "always" if part.get("add_prefix_space", True) else "never")
    made: list[Stage] = [Rewrite(mark, mark, Prefix[scheme.upper()])]
    if part.get("split", True):
        made.append(Split(_literal(mark), Behavior.MERGEDWITHNEXT))
    return made


def _byte_level(part: Json) -> list[Stage]:
    made: list[Stage] = []
    if part.get("add_prefix_space", True):
        made.append(Rewrite(" ", " ", Prefix.ALWAYS))
    if part.get("use_regex", True):
        made.append(Split(compile_regex(_GPT2), Behavior.ISOLATED))
    return made


def _stages_of(part: Json) -> list[Stage]:
    match part["type"]:
        case "ByteLevel":
            return _byte_level(part)
        case "Metaspace":
            return _metaspace(part)
        case "Split":
            found = _pattern(part["pattern"], "pre-tokenizer Split")
            return [Split(found, _behavior(part["behavior"]), bool(part.get("invert")))]
        case "Digits":
            alone = part.get("individual_digits", False)
            return [Split(_of_class("@digit"), Behavior.ISOLATED if alone else Behavior.CONTIGUOUS)]
        case "Punctuation":
            return [Split(_of_class("@punctuation"), _behavior(part.get("behavior", "Isolated")))]
        case "WhitespaceSplit":
            return [Split(_of_class("@whitespace"), Behavior.REMOVED)]
        case "BertPreTokenizer":
            return [
                Split(_of_class("@whitespace"), Behavior.REMOVED),
                Split(_of_class("@bert_punctuation"), Behavior.ISOLATED),
            ]
        case "Whitespace":
            return [
                Split(_of_class("@whitespace"), Behavior.REMOVED),
                Split(program(Repeat(Set("@word"), 1, NO_LIMIT)), Behavior.ISOLATED),
            ]
        case "CharDelimiterSplit":
            return [Split(_literal(part["delimiter"]), Behavior.REMOVED)]
        case kind:
            raise _unsupported("pre-tokenizer", kind)


def _flat(part: Json | None, inner: str) -> list[Json]:
    """Return the parts of nested sequences in order."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [leaf for child in part[inner] for leaf in _flat(child, inner)]


def stages(part: Json | None) -> tuple[tuple[Stage, ...], bool]:
    """Return the stages of a pre-tokenizer, and whether words are then taken byte by byte.

    Raises:
        UnsupportedTokenizerError: an unknown kind, or an order that C does not have.
    """
    leaves = _flat(part, "pretokenizers")
    made = tuple(stage for leaf in leaves for stage in _stages_of(leaf))
    kinds = [leaf["type"] for leaf in leaves]
    if "ByteLevel" in kinds[:-1]:
        raise _unsupported("pre-tokenizer", "ByteLevel", "is not the last one")
    if sum(isinstance(stage, Rewrite) for stage in made) > 1:
        raise _unsupported("pre-tokenizer", "Sequence", "changes the text more than once")
    return made, "ByteLevel" in kinds


def _normalizer(part: Json) -> Normalizer:
    match part["type"]:
        case "Prepend":
            return Prepend(part["prepend"])
        case "NFC":
            return Compose()
        case "Replace":
            content = part["content"]
            if "Regex" in part["pattern"] and "$" in content:
                raise _unsupported("normalizer", "Replace", "inserts groups of its match")
            return Replace(_pattern(part["pattern"], "normalizer Replace"), content)
        case kind:
            raise _unsupported("normalizer", kind)


def normalizers(part: Json | None) -> tuple[Normalizer, ...]:
    """Return the steps of a normalizer.

    Raises:
        UnsupportedTokenizerError: an unknown kind.
    """
    return tuple(_normalizer(leaf) for leaf in _flat(part, "normalizers"))
