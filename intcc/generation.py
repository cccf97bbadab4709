"""Generation: a decoder continues tokens from a cache, one draw after another.

    session.feed(tokens)     takes tokens in, gives the integer logits that follow the last one
    stream(...)              yields drawn tokens until an end token, a count or the context

A session is one text: its cache of keys and values grows with every token and is never overwritten.
How tokens are cut into calls changes no bit, so prompts go in as a whole or in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from intcc.errors import DataError, ModelError
from intcc.sampling import Sampler
from intcc.specs import LOGITS, PAST, TensorSpec

__all__ = ["LOGITS", "CachedSession", "Session", "StateRuntime", "StateSession", "stream"]

Array = npt.NDArray[Any]


class Session(Protocol):
    """One text in the making."""

    @property
    def position(self) -> int:
        """Number of tokens taken in."""
        ...

    @property
    def context(self) -> int:
        """Largest number of tokens."""
        ...

    def feed(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after the last one, int32 [vocabulary]."""
        ...


class _Runs(Protocol):
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]: ...


class CachedSession:
    """A session over a graph whose caches are inputs and outputs."""

    def __init__(self, runtime: _Runs, inputs: Sequence[TensorSpec], context: int) -> None:
        """Start with empty caches.

        Args:
            runtime: runs the graph.
            inputs: its inputs; caches are those with earlier tokens.
            context: largest number of tokens.
        """
        self._runtime, self._context = runtime, context
        self._caches = {s.name: s.empty_cache() for s in inputs if s.cached}
        self._position = 0

    @property
    def position(self) -> int:
        """Number of tokens taken in."""
        return self._position

    @property
    def context(self) -> int:
        """Largest number of tokens."""
        return self._context

    def feed_all(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after each of them, int32 [n, vocabulary].

        Raises:
            DataError: none, or more than the context holds; nothing is taken in.
        """
        require_room(self, tokens)
        ids = np.asarray([list(tokens)], np.int64)
        results = self._runtime.run({"input_ids": ids, **self._caches})
        self._caches = {name: results[name.replace(PAST, "present", 1)] for name in self._caches}
        self._position += len(tokens)
        return np.asarray(results[LOGITS][0])

    def feed(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after the last one, int32 [vocabulary]."""
        return np.asarray(self.feed_all(tokens)[-1])


@runtime_checkable
class StateRuntime(Protocol):
    """A runtime that keeps the caches of a decoder in a state.

    Attributes:
        context: largest number of tokens in one state.
        max_tokens: largest number of tokens of one call.
    """

    context: int
    max_tokens: int

    def new_state(self) -> Array:
        """Return the state of a new text."""
        ...

    def run_from(self, feeds: Mapping[str, Array], state: Array, position: int) -> dict[str, Array]:
        """Continue a text behind `position` tokens; the logits may be of the last token alone."""
        ...


class StateSession:
    """A session over a runtime that keeps its caches in a state of its own."""

    def __init__(self, runtime: StateRuntime) -> None:
        """Start with a new state."""
        self._runtime, self._state, self._position = runtime, runtime.new_state(), 0

    @property
    def position(self) -> int:
        """Number of tokens taken in."""
        return self._position

    @property
    def context(self) -> int:
        """Largest number of tokens."""
        return self._runtime.context

    def feed_all(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after each of them, int32 [n, vocabulary].

        Raises:
            DataError: none, or more than the context holds; nothing is taken in.
        """
        return np.stack(self._rows(tokens, 1))

    def feed(self, tokens: Sequence[int]) -> Array:
        """Take in tokens; return the logits after the last one, int32 [vocabulary].

        Raises:
            DataError: none, or more than the context holds; nothing is taken in.
        """
        return self._rows(tokens, self._runtime.max_tokens)[-1]

    def _rows(self, tokens: Sequence[int], most: int) -> list[Array]:
        """Take in tokens, `most` at a time; return the last logits of each call."""
        require_room(self, tokens)
        rows, position = [], self._position
        for start in range(0, len(tokens), most):
            feeds = {"input_ids": np.asarray([list(tokens[start : start + most])], np.int64)}
            results = self._runtime.run_from(feeds, self._state, position + start)
            rows.append(np.asarray(results[LOGITS][0, -1]))
        self._position += len(tokens)
        return rows


def require_room(session: Session, tokens: Sequence[int]) -> None:
    """Check that there are tokens and that they fit.

    Raises:
        DataError: no tokens, or more than are left of the context.
    """
    if not len(tokens):
        raise DataError("The prompt", "has no tokens", "Give at least one token")
    left = session.context - session.position
    if len(tokens) > left:
        raise DataError(
            f"{len(tokens)} tokens",
            f"do not fit the {left} that are left of a context of {session.context}",
            "Shorten the prompt, or compile with a larger --context",
        )


def stream(
    session: Session,
    prompt: Sequence[int],
    sampler: Sampler,
    max_new_tokens: int,
    end: Sequence[int] = (),
) -> Iterator[int]:
    """Yield drawn tokens, the end token included, until one of the limits.

    Args:
        session: the text so far.
        prompt: tokens to take in first.
        sampler: draws from the logits.
        max_new_tokens: most tokens to draw.
        end: tokens that end the text.

    Raises:
        DataError: the prompt is empty or does not fit.
        ModelError: a number of new tokens below zero.
    """
    if max_new_tokens < 0:
        raise ModelError(f"max_new_tokens {max_new_tokens}", "is below zero", "Give a count")
    require_room(session, prompt)
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        token = sampler.pick(session.feed(tokens))
        yield token
        if token in end or session.position == session.context:
            return
        tokens = [token]
