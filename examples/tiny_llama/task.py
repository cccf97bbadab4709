"""The task of the tiny Llama: put up to six letters from a to f into alphabetical order.

    "sort: dacbfa ="  ->  " aabcdf"

There are 6 + 6**2 + ... + 6**6 = 55,986 inputs, few enough to try every one.
"""

from __future__ import annotations

import itertools
import re

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
    found = re.fullmatch(rf"sort: ([{ALPHABET}]{{1,{LONGEST}}}) =", prompt)
    if found is None:
        raise ValueError(f"not an input of this task: {prompt!r}")
    return " " + "".join(sorted(found[1]))
