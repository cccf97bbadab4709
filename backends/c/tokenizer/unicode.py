"""Character classes as the `tokenizers` library itself sees them.

Its regular expression engine and its pre-tokenizers each follow a Unicode version of their own, so
no table is written down here: the library is asked about every code point, once a class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from intcc.backends.c.tokenizer.unsupported import UnsupportedTokenizerError

__all__ = ["ATOMS", "CODE_POINTS", "Partition", "every_character", "members", "partition"]

Array = npt.NDArray[Any]

CODE_POINTS = 0x110000
_SURROGATES = slice(0xD800, 0xE000)
#: Sets are bit masks over this many atoms.
ATOMS = 64
#: Classes that are told apart at once; a code has 63 bits, and 21 are taken.
_AT_ONCE = 40
#: Characters that a pre-tokenizer is asked about at once.
_CHUNK = 1 << 16


@functools.cache
def every_character() -> str:
    """Return all characters in order; surrogates are none."""
    codes = np.arange(CODE_POINTS, dtype="<u4")
    return bytes(np.delete(codes, _SURROGATES).tobytes()).decode("utf-32-le")


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def _kept(pre_tokenizer: Any) -> Array:
    """Return which characters a splitting pre-tokenizer does not remove."""
    found = np.zeros(CODE_POINTS, np.bool_)
    text = every_character()
    for start in range(0, len(text), _CHUNK):
        for piece, _ in pre_tokenizer.pre_tokenize_str(text[start : start + _CHUNK]):
            found[_codes(piece)] = True
    return found


def _word_characters() -> Array:
    r"""Return \w of the pre-tokenizer Whitespace, which splits as \w+|[^\w\s]+."""
    splitter = pre_tokenizers.Whitespace()
    found = np.zeros(CODE_POINTS, np.bool_)
    text = every_character()
    for start in range(0, len(text), _CHUNK):
        for piece, _ in splitter.pre_tokenize_str(text[start : start + _CHUNK]):
            found[_codes(piece)] = len(splitter.pre_tokenize_str("a" + piece[0])) == 1
    return found


def _single_word_characters() -> Array:
    """Return the characters that, following an added token of `single_word`, make it no word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.add_tokens([AddedToken("a", single_word=True, normalized=False)])
    found = np.zeros(CODE_POINTS, np.bool_)
    text = every_character()
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        encoding = tokenizer.encode("".join(f" a{c}" for c in chunk))
        alone = {position // 3 for position, _ in encoding.offsets if position % 3 == 1}
        for index, character in enumerate(chunk):
            found[ord(character)] = index not in alone
    return found


@functools.cache
def members(key: str) -> Array:
    """Return which code points belong to a class.

    Args:
        key: a regular expression of one character, or @ and the name of a pre-tokenizer's class.

    Raises:
        UnsupportedTokenizerError: the library refuses the expression.
    """
    ask = _CLASSES.get(key)
    found = ask() if ask else _matched(key)
    found[_SURROGATES] = False
    return found


def _split_by(pre_tokenizer: Any) -> Array:
    """Return the characters that a pre-tokenizer isolates, each between two letters."""
    found = np.zeros(CODE_POINTS, np.bool_)
    text = every_character()
    for start in range(0, len(text), _CHUNK):
        chunk = "a" + "a".join(text[start : start + _CHUNK]) + "a"
        for piece, _ in pre_tokenizer.pre_tokenize_str(chunk):
            if len(piece) == 1 and piece != "a":
                found[ord(piece)] = True
    return found


_CLASSES: Mapping[str, Callable[[], Array]] = {
    "@digit": lambda: _split_by(pre_tokenizers.Digits(individual_digits=True)),
    "@punctuation": lambda: ~_kept(pre_tokenizers.Punctuation("removed")),
    "@bert_punctuation": lambda: _split_by(pre_tokenizers.BertPreTokenizer()),
    "@whitespace": lambda: ~_kept(pre_tokenizers.WhitespaceSplit()),
    "@word": _word_characters,
    "@symbol": lambda: _kept(pre_tokenizers.Whitespace()) & ~members("@word"),
    "@single_word": _single_word_characters,
}


def _matched(source: str) -> Array:
    try:
        remover = normalizers.Replace(Regex(f"(?:{source})+"), "")
    except Exception as error:
        raise UnsupportedTokenizerError(
            f"The character class {source!r}", f"is refused by the library: {error}"
        ) from error
    found = np.ones(CODE_POINTS, np.bool_)
    text = every_character()
    for start in range(0, len(text), _CHUNK):
        found[_codes(remover.normalize_str(text[start : start + _CHUNK]))] = False
    found[_SURROGATES] = False
    if source.startswith("(?i:"):
        several = [c for c in np.flatnonzero(found).tolist() if len(chr(c).casefold()) > 1]
        if several:
            raise UnsupportedTokenizerError(
                f"The character class {source!r}",
                f"ignores case and has {chr(several[0])!r}, which folds to several characters",
                "Tokenize outside of the generated C",
            )
    return found


@dataclass(frozen=True)
class Partition:
    """All code points, in as few atoms as tell the members of every class.

    Attributes:
        starts: first code point of each run of one atom, the first being 0.
        atoms: the atom of each run.
        ascii: the atom of each code point below 128.
        masks: for each class the set of its atoms, one bit each.
        index: the position of each class in `masks`.
    """

    starts: Array
    atoms: Array
    ascii: Array
    masks: Array
    index: Mapping[str, int]


def partition(keys: Iterable[str]) -> Partition:
    """Return the partition of the code points by some classes.

    Raises:
        UnsupportedTokenizerError: the classes need more than `ATOMS` atoms.
    """
    order: Sequence[str] = sorted(set(keys))
    codes = np.zeros(CODE_POINTS, np.int64)
    for first in range(0, len(order), _AT_ONCE):
        for key in order[first : first + _AT_ONCE]:
            codes = codes * 2 + members(key)
        _, codes = np.unique(codes, return_inverse=True)
    codes[_SURROGATES] = codes[0xD7FF]
    count = int(codes.max()) + 1
    if count > ATOMS:
        raise UnsupportedTokenizerError(
            "The pre-tokenizer",
            f"tells {count} classes of characters apart, and the generated matcher {ATOMS}",
            "Tokenize outside of the generated C",
        )
    masks = []
    for key in order:
        inside = np.unique(codes[members(key)]).tolist()
        masks.append(sum(1 << atom for atom in inside))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    return Partition(
        starts.astype(np.uint32),
        codes[starts].astype(np.uint8),
        codes[:128].astype(np.uint8),
        np.array(masks, np.uint64),
        {key: position for position, key in enumerate(order)},
    )
