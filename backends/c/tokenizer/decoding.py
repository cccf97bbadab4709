"""Decoders of a tokenizer.json: what each token contributes to the text, as data.

The part of the pipeline that sees one token at a time is applied here, by the library; what is left
for C depends on neighbours:

    bytes      ByteLevel: the pieces are bytes of one text; what is not UTF-8 becomes U+FFFD
    fallback   ByteFallback: a run of byte tokens is one text, or U+FFFD for each byte
    strip      up to so many leading characters of the whole text are dropped
    drop       Metaspace: the first token loses all its spaces
    separator  no decoder: a space between tokens
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from intcc.backends.c.tokenizer.alphabet import bytes_of
from intcc.backends.c.tokenizer.unsupported import UnsupportedTokenizerError

__all__ = ["Decoding", "decoding"]

Json = Mapping[str, Any]

#: As the library reads it, a sign in place of the first digit included.
_BYTE_TOKEN = re.compile(r"<0x([0-9a-fA-F]{2}|\+[0-9a-fA-F])>")


@dataclass(frozen=True)
class Decoding:
    """How ids become text.

    Attributes:
        pieces: what each id contributes; None if nothing at all, not even a neighbour.
        byte_tokens: the ids whose piece is one byte of a run.
        keeps_spaces: the ids whose spaces are not dropped where they come first.
        lossy: the pieces together are UTF-8 in which errors are replaced.
        fallback: runs of byte tokens are decoded together.
        strip: the character that is dropped at the start of the text.
        strip_count: at most so often.
        drop_spaces: the first token loses its spaces.
        separator: what stands between two tokens.
    """

    pieces: tuple[bytes | None, ...]
    byte_tokens: frozenset[int] = frozenset()
    keeps_spaces: frozenset[int] = frozenset()
    lossy: bool = False
    fallback: bool = False
    strip: str = ""
    strip_count: int = 0
    drop_spaces: bool = False
    separator: str = ""


def _unsupported(fact: str) -> UnsupportedTokenizerError:
    remedy = "Decode outside of the generated C"
    return UnsupportedTokenizerError("The tokenizer's decoder", fact, remedy)


def _flat(part: Json | None) -> list[Json]:
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [leaf for child in part["decoders"] for leaf in _flat(child)]


def _alone(parts: list[Json]) -> Any:
    """Return the library's decoder of some parts."""
    empty = {"type": "BPE", "vocab": {}, "merges": []}
    decoder = {"type": "Sequence", "decoders": parts}
    return Tokenizer.from_str(json.dumps({"model": empty, "decoder": decoder})).decoder


def _byte_level(token: str) -> bytes:
    found = bytes_of(token)
    return token.encode() if found is None else found


def _tail(parts: list[Json], whole: bool) -> tuple[str, int]:
    """Return what the last decoders strip from the start of the text: a character, how often."""
    strip, count = "", 0
    for part in parts:
        if part["type"] == "Fuse":
            whole = True
        elif part["type"] == "Strip" and whole and not part["stop"] and not count:
            strip, count = part["content"], part["start"]
        elif part["type"] == "Strip" and not part["stop"] and not part["start"]:
            pass
        else:
            raise _unsupported(f"has {part['type']} where the generated C does not")
    return strip, count


def decoding(data: Json, tokenizer: Tokenizer, size: int) -> Decoding:
    """Return how the ids of a tokenizer become text, special tokens left out.

    Raises:
        UnsupportedTokenizerError: a decoder, or an order of decoders, that C does not have.
    """
    special = {t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special}
    tokens = [tokenizer.id_to_token(id_) for id_ in range(size)]
    tokens = [None if token in special else token for token in tokens]
    parts = _flat(data.get("decoder"))
    if not parts:
        return Decoding(tuple(t if t is None else t.encode() for t in tokens), separator=" ")
    at = 0
    while at < len(parts) and parts[at]["type"] in ("Replace", "Strip"):
        if parts[at].get("start") and parts[at].get("stop"):
            raise _unsupported("strips both ends of a token, which in the library may fail")
        at += 1
    alone = _alone(parts[:at])
    texts = [t if t is None or not at else alone.decode([t]) for t in tokens]
    kind = parts[at]["type"] if at < len(parts) else "Fuse"
    rest = parts[at + 1 :]
    if kind == "ByteLevel":
        strip, count = _tail(rest, whole=True)
        pieces = tuple(t if t is None else _byte_level(t) for t in texts)
        return Decoding(pieces, lossy=True, strip=strip, strip_count=count)
    if kind == "Metaspace":
        if at or rest:
            raise _unsupported("has Metaspace beside other decoders")
        return _metaspace(parts[0], texts)
    if kind not in ("ByteFallback", "Fuse"):
        raise _unsupported(f"{kind} is not in the generated C")
    strip, count = _tail(rest, whole=kind == "Fuse")
    if kind == "Fuse":
        pieces = tuple(t if t is None else t.encode() for t in texts)
        return Decoding(pieces, strip=strip, strip_count=count)
    found = {id_: m for id_, t in enumerate(texts) if t and (m := _BYTE_TOKEN.fullmatch(t))}
    pieces = tuple(
        bytes([int(found[id_][1], 16)]) if id_ in found else t if t is None else t.encode()
        for id_, t in enumerate(texts)
    )
    return Decoding(pieces, frozenset(found), fallback=True, strip=strip, strip_count=count)


def _metaspace(part: Json, texts: list[str | None]) -> Decoding:
    mark = part["replacement"]
    drop = part.get("prepend_scheme", "always") != "never"
    spaced = frozenset(id_ for id_, t in enumerate(texts) if t and " " in t)
    if drop and any(mark in (texts[id_] or "") for id_ in spaced):
        raise _unsupported(f"is Metaspace, and a token has both a space and {mark!r}")
    pieces = tuple(t if t is None else t.replace(mark, " ").encode() for t in texts)
    return Decoding(pieces, keeps_spaces=spaced, drop_spaces=drop)
