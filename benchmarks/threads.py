"""Threads: MiniLM by one thread and by several, in turn, also with a core taken by another program;
and what a call from Python takes beyond the C."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import common
import numpy as np

import intcc
from intcc.runtime.native import NativeModel


def compare(runs: list[Callable[[], Any]], rounds: int, calls: int) -> np.ndarray[Any, Any]:
    """Return the times of interleaved runs in milliseconds, [rounds][runs]."""
    common.seconds(lambda: [run() for run in runs], 2)
    return 1000 * np.array([[common.seconds(run, calls) for run in runs] for _ in range(rounds)])


def overhead(native: NativeModel, run: Callable[[], Any]) -> float:
    """Return the microseconds of a call whose C function does nothing: the least of many."""
    idle = ctypes.CDLL(None)["abs"]
    idle.argtypes, idle.restype = native._run.argtypes, lambda status: 0
    native._run = idle
    return 1e6 * min(common.seconds(run, 20) for _ in range(300))


def main() -> None:
    parser = common.parser(__doc__, "build/minilm-threads")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    common.artifact(options.output, emit="c", target="native", threads=True)
    models = [intcc.load(options.output, "c", threads=t) for t in (1, options.threads)]
    random, rows = np.random.default_rng(0), []
    for length in options.lengths:
        ids = random.integers(0, 30000, (1, length))
        runs = [functools.partial(model, input_ids=ids) for model in models]
        for taken in (False, True):
            core = max(os.sched_getaffinity(0))
            with common.busy(core) if taken else nullcontext():
                times = compare(runs, options.rounds, 4)
            one, several = (f"{t:.2f} ms" for t in np.median(times, 0))
            ratio = f"{np.median(times[:, 1] / times[:, 0]):.2f}"
            best = f"{times[:, 1].min() / times[:, 0].min():.2f}"
            rows.append([str(length), "one" if taken else "none", one, several, ratio, best])
    head = ["tokens", "cores taken", "1 thread", f"{options.threads} threads", "ratio", "of best"]
    table = common.markdown(head, rows)
    native = models[0]._runtime
    assert isinstance(native, NativeModel)
    call = overhead(native, lambda: models[0](input_ids=np.ones((1, 16), np.int64)))
    target = models[0].artifact.settings["target"]
    note = (
        f"\nMiniLM, {target}, {common.machine()}; medians of {options.rounds} rounds in turn; a "
        f"call from Python takes {call:.1f} µs beyond the C; `python benchmarks/threads.py`.\n"
    )
    print(table + note)
    if options.write:
        common.replace_section(options.write, "threads", table + note)


if __name__ == "__main__":
    main()
