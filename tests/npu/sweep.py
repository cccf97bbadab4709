"""python -m tests.npu.sweep SEEDS [OPERATOR ...]: random cases beyond those of the tests."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter

from tests.npu.random_cases import RANDOM_CASES, random_case
from tests.npu.tosa_bench import results


def sweep(seeds: range, kinds: list[str]) -> int:
    """Run the cases, print what fails and the totals; return the number of failures."""
    count: Counter[str] = Counter()
    for domain, kind in RANDOM_CASES:
        if kinds and kind not in kinds:
            continue
        started = time.monotonic()
        for seed in seeds:
            count["cases"] += 1
            try:
                case = random_case(domain, kind, seed)
                for result in results(case.bench, *case.extents, case.kinds, case.lacking):
                    count["results"] += 1
                    count["values"] += result.expected.size
                    if difference := result.difference():
                        count["results that differ"] += 1
                        print(f"{kind}, seed {seed}: {difference}")
            except Exception:
                count["cases without a result"] += 1
                print(f"{kind}, seed {seed}:\n{traceback.format_exc()}")
        print(f"{kind}: {time.monotonic() - started:.1f} s", flush=True)
    print(", ".join(f"{number} {what}" for what, number in count.items()))
    return count["results that differ"] + count["cases without a result"]


if __name__ == "__main__":
    sys.exit(bool(sweep(range(int(sys.argv[1])), sys.argv[2:])))
