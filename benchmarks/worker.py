"""One engine in a process of its own, so that its threads and its memory disturb no other.

    python worker.py MODULE CLASS OPTIONS

Makes engines.MODULE.CLASS(**OPTIONS) and calls its methods: a request is a line of JSON with a
method and its arguments, an answer a line with the result or the error. The first answer says that
the engine is made. It runs in the environment of the engine, which need not have intcc.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO


def answer(answers: TextIO, work: Callable[[], Any]) -> None:
    """Do what was asked and say what came of it."""
    try:
        said = {"result": work()}
    except Exception as error:  # whatever an engine raises belongs into its row of the table
        said = {"error": f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")}
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def call(engine: Any, method: str, arguments: dict[str, Any]) -> Any:
    """Call a method by its name."""
    return getattr(engine, method)(**arguments)


def main() -> None:
    module, kind, options = sys.argv[1:]
    made: list[Any] = []

    def make() -> None:
        engine = getattr(importlib.import_module(f"engines.{module}"), kind)
        made.append(engine(**json.loads(options)))

    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # libraries print what they like: not among the answers
        answer(answers, make)
        for line in sys.stdin if made else ():
            asked = json.loads(line)
            answer(answers, partial(call, made[0], asked["call"], asked["with"]))


if __name__ == "__main__":
    main()
