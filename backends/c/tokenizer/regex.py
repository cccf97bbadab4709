r"""Regular expressions of pre-tokenizers, compiled to a loop-free backtracking program.

The subset is what tokenizers use: alternation, groups, (?i:...), character classes, the quantifiers
? * + {m,n} (and possessive ?+ *+ ++) on one character, ? and {m,n} on groups, and lookahead at one
character; $ looks for the end, of the text or of a line. A program is a list of operations that
only ever go forward:

    MATCH                       the whole pattern matched
    CHAR c                      this code point
    SET s                       one character of a set
    REPEAT s, low, high         as many characters of a set as there are, then fewer on failure
    POSSESS s, low, high        as REPEAT, and never fewer
    FORK p                      go on; on failure resume at p
    JUMP p
    AHEAD s, NOT_AHEAD s        the next character is (not) of a set; at the end it is of none

so matching needs one saved state for each FORK and REPEAT, a number known at compile time.
What a class means is not decided here: its source text is kept and `unicode` asks the library.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import IntEnum

from intcc.backends.c.tokenizer.unsupported import UnsupportedTokenizerError

__all__ = ["NO_LIMIT", "Kind", "Node", "Op", "Repeat", "Set", "compile_regex", "program"]

#: The upper limit of `*` and `+`.
NO_LIMIT = 0xFFFFFFFF
#: A repeated group is written out up to this many times.
_COPIES = 16
#: No character from here on folds to several.
_LAST_FOLDING = 0xFB18
_LITERALS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7, "e": 27, "0": 0}
_CLASSES = "sSdDwWhH"


class Kind(IntEnum):
    """The operations."""

    MATCH = 0
    CHAR = 1
    SET = 2
    REPEAT = 3
    POSSESS = 4
    FORK = 5
    JUMP = 6
    AHEAD = 7
    NOT_AHEAD = 8


@dataclass(frozen=True)
class Op:
    """One operation: `value` is a code point, a target or, with `set`, the set's key."""

    kind: Kind
    value: int = 0
    low: int = 0
    high: int = 0
    set: str = ""


@dataclass(frozen=True)
class Set:
    """One character: of a class, or exactly `char`."""

    key: str
    char: int | None = None


@dataclass(frozen=True)
class Sequence:
    """One node after another."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """The first branch that lets the rest match."""

    branches: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """A node from `low` to `high` times."""

    node: Node
    low: int
    high: int
    possessive: bool = False


@dataclass(frozen=True)
class Ahead:
    """Lookahead at one character."""

    set: Set
    negative: bool


Node = Set | Sequence | Choice | Repeat | Ahead


@functools.cache
def _folds() -> tuple[str, ...]:
    """Return what case folding makes of characters that fold to several."""
    folds = {chr(c).casefold() for c in range(_LAST_FOLDING)}
    return tuple(sorted(f for f in folds if len(f) > 1))


class _Parser:
    """Recursive descent over the pattern."""

    def __init__(self, pattern: str) -> None:
        self.text, self.at, self.ignore_case = pattern, 0, False

    def fail(self, what: str) -> UnsupportedTokenizerError:
        return UnsupportedTokenizerError(
            f"The regular expression {self.text!r}",
            f"has {what} at character {self.at}, which the generated matcher lacks",
            "Tokenize outside of the generated C",
        )

    def peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        found = self.peek(text)
        self.at += len(text) if found else 0
        return found

    def choice(self) -> Node:
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def sequence(self) -> Node:
        nodes: list[Node] = []
        run = ""  # adjacent literals where case is ignored: together they may fold to one character
        while self.at < len(self.text) and not self.peek("|") and not self.peek(")"):
            start = self.at
            node = self.quantified(self.atom())
            nodes.append(node)
            literal = isinstance(node, Set) and self.ignore_case and "[" not in node.key
            run = run + self.text[start : self.at].casefold() if literal else ""
            if any(fold in run for fold in _folds()):
                raise self.fail("letters that fold to one character where case is ignored")
        return nodes[0] if len(nodes) == 1 else Sequence(tuple(nodes))

    def quantified(self, node: Node) -> Node:
        low, high = 1, 1
        if self.take("?"):
            low, high = 0, 1
        elif self.take("*"):
            low, high = 0, NO_LIMIT
        elif self.take("+"):
            low, high = 1, NO_LIMIT
        elif braces := re.compile(r"\{(\d*)(,?)(\d*)\}").match(self.text, self.at):
            least, comma, most = braces.groups()
            if least or most:
                self.at = braces.end()
                low = int(least or 0)
                high = int(most) if most else (NO_LIMIT if comma else low)
                if self.peek("+") and low == 1 and isinstance(node, Set):
                    self.at += 1  # not possessive after braces: (x{1,3})+ is x+
                    return Repeat(node, 1, NO_LIMIT)
                if self.peek("+"):
                    raise self.fail("a quantifier of a quantifier")
        if (low, high) == (1, 1):
            return node
        possessive = self.take("+")
        if self.peek("?") or self.peek("*") or self.peek("+"):
            raise self.fail("a lazy quantifier or a quantifier of a quantifier")
        if isinstance(node, Ahead) or low > high:
            raise self.fail("an odd quantifier")
        if not isinstance(node, Set) and (possessive or high > _COPIES):
            raise self.fail("a group repeated without limit")
        return Repeat(node, low, high, possessive)

    def atom(self) -> Node:
        if self.peek("("):
            return self.group()
        if self.peek("["):
            return self.set_of(self.bracket())
        if self.take("$"):
            return Ahead(Set("[^\\n]"), negative=True)
        if self.peek("^"):
            raise self.fail("an anchor")
        if self.take("."):
            return self.set_of(".")
        if self.peek("\\"):
            return self.escape()
        if self.peek("*") or self.peek("+") or self.peek("?"):
            raise self.fail("a quantifier of nothing")
        self.at += 1
        return self.char(ord(self.text[self.at - 1]))

    def char(self, code: int) -> Set:
        if not self.ignore_case:
            return Set(f"\\x{{{code:X}}}", code)
        if len(chr(code).casefold()) > 1:
            raise self.fail("a character that folds to several where case is ignored")
        return Set(f"(?i:\\x{{{code:X}}})")

    def set_of(self, source: str) -> Set:
        return Set(f"(?i:{source})" if self.ignore_case else source)

    def bracket(self) -> str:
        start, depth = self.at, 0
        while self.at < len(self.text):
            if self.take("\\"):
                self.at += 1
            elif self.take("[:"):
                self.at = self.text.index(":]", self.at) + 2 if ":]" in self.text[self.at :] else 0
            elif self.take("["):
                depth += 1
                self.take("^")
                self.take("]")  # first in a class it is a literal
            elif self.take("]"):
                depth -= 1
                if depth == 0:
                    return self.text[start : self.at]
            else:
                self.at += 1
        raise self.fail("an open bracket")

    def escape(self) -> Node:
        rest = self.text[self.at + 1 :]
        if named := re.match(r"[pP]\{\^?[\w ]+\}", rest):
            self.at += 1 + named.end()
            return self.set_of("\\" + named[0])
        if code := re.match(r"x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})", rest):
            self.at += 1 + code.end()
            return self.char(int(next(g for g in code.groups() if g), 16))
        letter = rest[:1]
        if letter and letter in _CLASSES:
            self.at += 2
            return self.set_of("\\" + letter)
        if letter in _LITERALS or (letter and not letter.isalnum()):
            self.at += 2
            return self.char(_LITERALS.get(letter, ord(letter)))
        raise self.fail(f"the escape \\{letter}")

    def group(self) -> Node:
        before = self.ignore_case
        ahead = self.take("(?=") or self.take("(?!")
        negative = self.text[self.at - 1] == "!"
        if not ahead:
            if self.take("(?i:"):
                self.ignore_case = True
            elif self.take("(?-i:"):
                self.ignore_case = False
            elif self.take("(?:"):
                pass
            elif self.peek("(?"):
                raise self.fail("a group of a special kind")
            else:
                self.take("(")
        start = self.at
        node = self.choice()
        source = self.text[start : self.at]
        if not self.take(")"):
            raise self.fail("an open group")
        if ahead:
            single = node.branches if isinstance(node, Choice) else (node,)
            if not all(isinstance(n, Set) for n in single):
                raise self.fail("lookahead at more than one character")
            node = Ahead(self.set_of(f"(?:{source})"), negative)
        self.ignore_case = before
        return node


def _least(node: Node) -> int:
    """Return the fewest characters that a node takes."""
    match node:
        case Set():
            return 1
        case Sequence():
            return sum(map(_least, node.nodes))
        case Choice():
            return min(map(_least, node.branches))
        case Repeat():
            return node.low * _least(node.node)
        case Ahead():
            return 0


def _emit(node: Node, ops: list[Op]) -> None:
    match node:
        case Set():
            code = node.char
            ops.append(Op(Kind.SET, set=node.key) if code is None else Op(Kind.CHAR, code))
        case Sequence():
            for part in node.nodes:
                _emit(part, ops)
        case Ahead():
            kind = Kind.NOT_AHEAD if node.negative else Kind.AHEAD
            ops.append(Op(kind, set=node.set.key))
        case Repeat(Set() as inner):
            kind = Kind.POSSESS if node.possessive else Kind.REPEAT
            ops.append(Op(kind, low=node.low, high=node.high, set=inner.key))
        case Repeat():
            for _ in range(node.low):
                _emit(node.node, ops)
            forks = []
            for _ in range(node.high - node.low):
                forks.append(len(ops))
                ops.append(Op(Kind.FORK))
                _emit(node.node, ops)
            for fork in forks:
                ops[fork] = Op(Kind.FORK, len(ops))
        case Choice():
            jumps = []
            for branch in node.branches[:-1]:
                fork = len(ops)
                ops.append(Op(Kind.FORK))
                _emit(branch, ops)
                jumps.append(len(ops))
                ops.append(Op(Kind.JUMP))
                ops[fork] = Op(Kind.FORK, len(ops))
            _emit(node.branches[-1], ops)
            for jump in jumps:
                ops[jump] = Op(Kind.JUMP, len(ops))


def program(node: Node) -> tuple[Op, ...]:
    """Return the operations of a pattern; targets count from its first operation."""
    ops: list[Op] = []
    _emit(node, ops)
    return (*ops, Op(Kind.MATCH))


def compile_regex(pattern: str) -> tuple[Op, ...]:
    """Return the program of a regular expression.

    Raises:
        UnsupportedTokenizerError: a construct outside the subset, or a match of no characters.
    """
    parser = _Parser(pattern)
    node = parser.choice()
    if parser.at < len(pattern):
        raise parser.fail("an unpaired parenthesis")
    if _least(node) == 0:
        raise parser.fail("a match of no characters")
    return program(node)
