"""Bounds of the working memory, as linear functions of the text's bytes.

A step from text to text grows it by a factor and a constant; a word has at most as many symbols as
the text has characters with a token, and bytes without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from intcc.backends.c.tokenizer.parse import TokenizerSpec
from intcc.backends.c.tokenizer.regex import Kind
from intcc.backends.c.tokenizer.stages import Compose, Prefix, Prepend, Replace, Rewrite

__all__ = ["SYMBOL_BYTES", "Linear", "Memory", "memory"]

#: A symbol of a word: id, previous, next; and two entries of the heap of pairs.
SYMBOL_BYTES = 3 * 4 + 2 * 8
#: Composition of UTF-8 grows text to at most three times its bytes.
_COMPOSED = 3


@dataclass(frozen=True)
class Linear:
    """factor * bytes + constant."""

    factor: int = 0
    constant: int = 0

    def grown(self, factor: int, constant: int = 0) -> Linear:
        """Return factor * self + constant."""
        return Linear(self.factor * factor, self.constant * factor + constant)

    def __add__(self, other: Linear) -> Linear:
        """Return the sum."""
        return Linear(self.factor + other.factor, self.constant + other.constant)

    def most(self, other: Linear) -> Linear:
        """Return an upper bound of both."""
        return Linear(max(self.factor, other.factor), max(self.constant, other.constant))


@dataclass(frozen=True)
class Memory:
    """Bytes of the buffers, for so many bytes of text.

    Attributes:
        texts: the two buffers that normalizers write to, in turn.
        rewritten: the buffer of a stage that rewrites its piece.
        symbols: the most symbols of a word.
        scratch: all, alignment included.
    """

    texts: tuple[Linear, Linear]
    rewritten: Linear
    symbols: Linear
    scratch: Linear


def _symbols_of(spec: TokenizerSpec) -> Callable[[str], int]:
    def count(text: str) -> int:
        if spec.byte_level:
            return len(text.encode())
        return sum(1 if c in spec.vocabulary else len(c.encode()) for c in text)

    return count


def _replace_factor(step: Replace) -> int:
    """Return by how much bytes grow: a match has at least the bytes of its literal, else one."""
    codes = [op.value for op in step.program if op.kind is Kind.CHAR]
    literal = len(codes) + 1 == len(step.program)
    least = len("".join(map(chr, codes)).encode()) if literal else 1
    return max(1, -(-len(step.content.encode()) // least))


def memory(spec: TokenizerSpec) -> Memory:
    """Return the bounds of a tokenizer's buffers."""
    count = _symbols_of(spec)
    size, symbols = Linear(1), Linear(1)
    texts = [Linear(), Linear()]
    for position, step in enumerate(spec.normalizers):
        match step:
            case Prepend():
                size = size.grown(1, len(step.prefix.encode()))
                symbols = symbols.grown(1, count(step.prefix))
            case Replace():
                size = size.grown(_replace_factor(step))
                symbols = symbols.grown(max(1, count(step.content)))
            case Compose():
                size, symbols = size.grown(_COMPOSED), symbols.grown(_COMPOSED)
        texts[position % 2] = texts[position % 2].most(size)
    rewritten = Linear()
    for stage in spec.stages:
        if isinstance(stage, Rewrite):
            prefix = "" if stage.where is Prefix.NEVER else stage.prefix
            size = size.grown(len(stage.space.encode()), len(prefix.encode()))
            symbols = symbols.grown(count(stage.space), count(prefix))
            rewritten = size
    symbols = size if spec.byte_level else symbols
    buffers = texts[0] + texts[1] + rewritten
    scratch = buffers + symbols.grown(SYMBOL_BYTES, 16)
    return Memory((texts[0], texts[1]), rewritten, symbols, scratch)
