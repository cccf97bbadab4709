"""Processes that each hold one engine, asked in turn by the program that compares them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
#: Environment of the peers; see `make bench-peers`.
PEERS = Path(os.environ.get("PEERS_VENV", FOLDER.parent / ".venv-peers")) / "bin" / "python"
INSTALL = "not installed: make bench-peers"
#: Seconds between two engines, in which threads of the last one stop spinning.
PAUSE = 0.03


class EngineError(Exception):
    """An engine could not be made, or failed; the text goes into its row."""


@dataclass(frozen=True)
class Contender:
    """An engine to compare.

    Attributes:
        name: as in the table.
        module: in engines/.
        kind: class in it.
        options: of the class.
        ours: whether it runs in this environment, or in that of the peers.
        note: why it cannot run; empty where it can.
        preload: library that the process loads before all others; empty: none.
    """

    name: str
    module: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False
    note: str = ""
    preload: str = ""


class Worker:
    """A running contender.

    Attributes:
        name: as in the table.
        threads: of the engine.
    """

    def __init__(self, contender: Contender) -> None:
        """Start the process and make the engine.

        Raises:
            EngineError: it is not installed, or cannot be made.
        """
        if contender.note:
            raise EngineError(contender.note)
        python = Path(sys.executable) if contender.ours else PEERS
        if not python.exists():
            raise EngineError(INSTALL)
        self.name, self.threads = contender.name, int(contender.options.get("threads", 1))
        command = [str(python), str(FOLDER / "worker.py"), contender.module, contender.kind]
        self._process = subprocess.Popen(
            [*command, json.dumps(dict(contender.options))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "LD_PRELOAD": contender.preload} if contender.preload else None,
        )  # fmt: skip
        try:
            self._answer()
        except EngineError as error:
            self.close()
            missing = "ModuleNotFoundError" in str(error) and not contender.ours
            raise EngineError(INSTALL if missing else str(error)) from error

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the engine and return its result.

        Raises:
            EngineError: it failed.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": method, "with": arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(f"ended with status {self._process.wait()}")
        said = json.loads(line)
        if "error" in said:
            raise EngineError(said["error"])
        return said["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass
class Outcome:
    """What became of a contender.

    Attributes:
        name: as in the table.
        rounds: its figures, one entry a round.
        note: why there are none.
    """

    name: str
    rounds: list[Any] = field(default_factory=list)
    note: str = ""

    def median(self, figure: Callable[[Any], float]) -> float:
        """Return the median of a figure of all rounds."""
        return float(np.median([figure(r) for r in self.rounds]))


def compete(
    contenders: Sequence[Contender],
    rounds: int,
    ask: Callable[[Worker], Any],
    *,
    last: Callable[[Worker], None] = lambda worker: None,
    progress: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> list[Outcome]:
    """Ask all contenders in turn, round after round.

    Args:
        contenders: who takes part; one that cannot keeps its reason.
        rounds: how many count, after one that does not.
        ask: returns the figures of one round.
        last: asks for what is needed once, behind the rounds; one that fails keeps its figures.
        progress: is told what goes on.
    """
    outcomes = [Outcome(c.name) for c in contenders]
    workers: dict[int, Worker] = {}
    for index, contender in enumerate(contenders):
        progress(f"  start {contender.name}")
        try:
            workers[index] = Worker(contender)
        except EngineError as error:
            outcomes[index].note = str(error)
    try:
        for turn in range(rounds + 1):
            progress(f"  round {turn} of {rounds}")
            for index in list(workers):
                try:
                    figures = ask(workers[index])
                except EngineError as error:  # one that fails takes no further part
                    outcomes[index] = Outcome(contenders[index].name, note=str(error))
                    workers.pop(index).close()
                    continue
                if turn:
                    outcomes[index].rounds.append(figures)
                time.sleep(PAUSE)
        for worker in workers.values():
            try:
                last(worker)
            except EngineError as error:
                progress(f"  {worker.name}: {error}")
    finally:
        for worker in workers.values():
            worker.close()
    return outcomes


def ratio(outcome: Outcome, other: Outcome | None, figure: Callable[[Any], float]) -> float | None:
    """Return the median over rounds of a figure of `outcome` divided by that of `other`."""
    if other is None or not other.rounds or not outcome.rounds:
        return None
    pairs = zip(outcome.rounds, other.rounds, strict=True)
    return float(np.median([figure(a) / figure(b) for a, b in pairs]))
