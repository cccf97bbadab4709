"""Read a tokenizer.json into what the generated C needs, or say what it lacks.

The model, the pre-tokenizer and so on are read from the JSON; ids and flags of added tokens are
asked of the library, which settles them while loading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from intcc.backends.c.tokenizer.decoding import Decoding, decoding
from intcc.backends.c.tokenizer.stages import (
    Normalizer,
    Prefix,
    Replace,
    Rewrite,
    Stage,
    normalizers,
    stages,
)
from intcc.backends.c.tokenizer.unsupported import UnsupportedTokenizerError
from intcc.errors import ModelError

__all__ = ["Added", "Merge", "TokenizerSpec", "read_tokenizer"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Added:
    """An added token: found in the text before the model sees it."""

    id: int
    content: str
    match: str
    normalized: bool
    single_word: bool
    lstrip: bool
    rstrip: bool


@dataclass(frozen=True)
class Merge:
    """A pair of tokens that becomes one; merges are applied in the order of `rank`."""

    left: int
    right: int
    rank: int
    made: int


@dataclass(frozen=True)
class TokenizerSpec:
    """A BPE tokenizer.

    Attributes:
        vocabulary: the model's tokens.
        size: one more than the largest id, added tokens included.
        merges: in the order of their ranks, each pair once.
        byte_level: words are taken byte by byte, and tokens are written in ByteLevel's alphabet.
        byte_fallback: characters without a token become the tokens of their bytes.
        unknown: the id of characters without any token; -1 drops them.
        fuse_unknown: adjacent unknown characters become one token.
        ignore_merges: a word that is a token is not built by merges.
        added: tokens found in the text, in order of precedence.
        normalizers: the steps from text to what the model sees.
        stages: the steps from there to words.
        prefix: ids before the text where special tokens are asked for.
        suffix: ids after it.
        decoding: how ids become text.
    """

    vocabulary: Mapping[str, int]
    size: int
    merges: tuple[Merge, ...]
    byte_level: bool
    byte_fallback: bool
    unknown: int
    fuse_unknown: bool
    ignore_merges: bool
    added: tuple[Added, ...]
    normalizers: tuple[Normalizer, ...]
    stages: tuple[Stage, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    decoding: Decoding


def _unsupported(subject: str, fact: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(subject, fact, "Tokenize outside of the generated C")


def _merges(model: Json) -> tuple[Merge, ...]:
    vocabulary = model["vocab"]
    pairs: dict[tuple[int, int], Merge] = {}
    for rank, entry in enumerate(model["merges"]):
        left, right = entry.split(" ") if isinstance(entry, str) else entry
        key = vocabulary[left], vocabulary[right]
        pairs[key] = Merge(*key, rank, vocabulary[left + right])
    return tuple(sorted(pairs.values(), key=lambda m: m.rank))


def _added(tokenizer: Tokenizer) -> tuple[Added, ...]:
    found = []
    tokens = tokenizer.get_added_tokens_decoder().items()
    for id_, token in sorted(tokens, key=lambda item: (not item[1].special, item[0])):
        match = token.content
        if token.normalized and tokenizer.normalizer is not None:
            match = tokenizer.normalizer.normalize_str(match)
        flags = token.normalized, token.single_word, token.lstrip, token.rstrip
        found.append(Added(id_, token.content, match, *flags))
    return tuple(found)


def _template(part: Json) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ids = {name: tuple(token["ids"]) for name, token in part["special_tokens"].items()}
    sides: list[list[int]] = [[]]
    for piece in part["single"]:
        if "Sequence" in piece:
            sides.append([])
        else:
            sides[-1] += ids[piece["SpecialToken"]["id"]]
    if len(sides) != 2:
        raise _unsupported("The tokenizer's template", "does not contain the text exactly once")
    return tuple(sides[0]), tuple(sides[1])


def _processor(part: Json | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids before and after the text."""
    if part is None:
        return (), ()
    match part["type"]:
        case "ByteLevel":
            return (), ()
        case "TemplateProcessing":
            return _template(part)
        case "BertProcessing" | "RobertaProcessing":
            return (part["cls"][1],), (part["sep"][1],)
        case "Sequence":
            before: tuple[int, ...] = ()
            after: tuple[int, ...] = ()
            for inner in part["processors"]:
                prefix, suffix = _processor(inner)
                before, after = prefix + before, after + suffix
            return before, after
        case kind:
            raise _unsupported(f"The post-processor {kind}", "is not in the generated C")


def _check_model(model: Json) -> None:
    kind = model.get("type", "of no stated kind")
    if kind != "BPE":
        raise _unsupported(
            f"The tokenizer's model {kind}", "is not in the generated C, which has BPE"
        )
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            value = model[setting]
            raise _unsupported("The tokenizer's BPE model", f"sets {setting} to {value!r}")


def _check_order(steps: tuple[Normalizer, ...], found: tuple[Stage, ...]) -> None:
    """Refuse a prefix whose place depends on text that a normalizer has removed."""
    first = any(isinstance(s, Rewrite) and s.where is Prefix.FIRST for s in found)
    if first and any(isinstance(s, Replace) and not s.content for s in steps):
        raise _unsupported(
            "The tokenizer's pre-tokenizer Metaspace",
            "marks the start of the text, and a normalizer may remove it",
        )


def read_tokenizer(path: Path) -> TokenizerSpec:
    """Return the tokenizer of a file.

    Raises:
        ModelError: the file is no tokenizer.json.
        UnsupportedTokenizerError: a part of it is not in the generated C.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ModelError(
            f"The tokenizer {path.name}", f"cannot be read: {error}", "Check the model's folder"
        ) from error
    model = data["model"]
    _check_model(model)
    vocabulary = model["vocab"]
    added = _added(tokenizer)
    found, byte_level = stages(data.get("pre_tokenizer"))
    steps = normalizers(data.get("normalizer"))
    _check_order(steps, found)
    prefix, suffix = _processor(data.get("post_processor"))
    size = max([*vocabulary.values(), *(a.id for a in added)], default=-1) + 1
    if size == 0:
        raise _unsupported("The tokenizer", "has no tokens")
    if byte_level and model.get("byte_fallback"):
        raise _unsupported("The tokenizer's BPE model", "has byte_fallback, and words are bytes")
    unknown = model.get("unk_token")
    return TokenizerSpec(
        vocabulary=vocabulary,
        size=size,
        merges=_merges(model),
        byte_level=byte_level,
        byte_fallback=bool(model.get("byte_fallback")),
        unknown=-1 if unknown is None else vocabulary[unknown],
        fuse_unknown=bool(model.get("fuse_unk")),
        ignore_merges=bool(model.get("ignore_merges")),
        added=added,
        normalizers=steps,
        stages=found,
        prefix=prefix,
        suffix=suffix,
        decoding=decoding(data, tokenizer, size),
    )
