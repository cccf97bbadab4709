"""The task of the tiny Llama: put up to six letters from a to f into alphabetical order.

    "sort: dacbfa ="  ->  " aabcdf"

There are 6 + 6**2 + ... + 6**6 = 55,986 inputs, few enough to try every one.
"""

from __future__ import annotations

import itertools

__all__ = ["ALPHABET", "LONGEST", "answer", "prompts"]

ALPHABET = "abcdef"
LONGEST = 6


def prompts() -> list[str]:
    """Return every input, the shortest first."""
    return [
        f"sort: {''.join(letters)} ="
        for length in range(1, LONGEST + 1)
        for letters in itertools.product(ALPHABET, repeat=length)
    ]


def answer(prompt: str) -> str:
    """Return the text that follows `prompt`.

    Raises:
        ValueError: `prompt` is not an input of this task.
    """
    head, letters, tail = (prompt.split(" ") + ["", "", ""])[:3]
    if f"{head} {letters} {tail}" != prompt or (head, tail) != ("sort:", "="):
        raise ValueError(f"not an input of this task: {prompt!r}")
    if not 1 <= len(letters) <= LONGEST or set(letters) - set(ALPHABET):
        raise ValueError(f"not 1 to {LONGEST} letters of {ALPHABET}: {letters!r}")
    return " " + "".join(sorted(letters))
