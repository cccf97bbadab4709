"""MiniLM on two threads, while another process keeps one processor busy.

    python benchmarks/crowded.py [--length 128] [--rounds 7] [--write DOCUMENT]

Threads that wait for each other by spinning are at worst slower than one thread alone: the last
column is the time of two threads beside the other process by that of one thread alone, in the same
round.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import common
import numpy as np
from hosts import FLOAT, INT8, RUNS, contenders, prepare
from workers import Outcome, Worker, compete, ratio

HEADER = ["engine", "1 thread", "2 threads", "2 threads, crowded", "crowded by 1 thread"]


def rows(one: Sequence[Outcome], two: Sequence[Outcome]) -> list[list[str]]:
    """Return the table's rows.

    Args:
        one: with one thread; a round is its seconds.
        two: the same engines with two; a round is its seconds alone, and beside the other process.
    """
    made = []
    for single, double in zip(one, two, strict=True):
        found = ratio(double, single, lambda r: r[-1])
        if found is None:
            made.append([single.name, single.note or double.note, "–", "–", "–"])
            continue
        times = [
            single.median(lambda r: r[0]),
            double.median(lambda r: r[0]),
            double.median(lambda r: r[1]),
        ]
        made.append([single.name, *(f"{1e3 * t:.2f} ms" for t in times), f"{found:.2f}"])
    return made


def main() -> None:
    parser = common.parser(__doc__, "build/minilm-stsb")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    setting = prepare(options.output)
    processor = min(os.sched_getaffinity(0))
    one, two = (
        [c for c in contenders(setting, options.length, n) if c.ours or c.name in (FLOAT, INT8)]
        for n in (1, 2)
    )

    def ask(worker: Worker) -> list[float]:
        def typical() -> float:
            return float(np.median(worker.call("time", length=options.length, runs=RUNS)))

        if worker.threads == 1:
            return [typical()]
        alone = typical()
        with common.busy(processor):
            return [alone, typical()]

    outcomes = compete([*one, *two], options.rounds, ask)
    table = common.markdown(HEADER, rows(outcomes[: len(one)], outcomes[len(one) :]))
    print(table)
    if options.write:
        note = (
            f"\n{common.circumstances()}; {options.length} tokens, {options.rounds} rounds of "
            f"{RUNS} calls; `python benchmarks/crowded.py`.\n"
        )
        common.replace_section(options.write, "crowded", table + note)


if __name__ == "__main__":
    main()
