"""Prove generated kernels free of run-time errors with Frama-C's value analysis: `make prove`.

Each kernel is emitted as a model of its own, at one small shape. A driver calls it with intervals
in place of numbers, so that the analysis covers every input at once: no overflow, no invalid
access, no read of what was not written, no division by zero, no shift out of range.

    matmul    [3, 6] x [6, 5], every byte; bias, quotient and clip included
    rescale   [3, 4], every int32 but the least
    softmax   rows of 3, every number of 30 bits. Intervals forget that the largest of a row is one
              of its numbers, so the driver says which one it is, and tries 17 values of it; the
              kernel itself sees nothing but differences.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intcc.errors import ToolError
from intcc.toolchain import find_program
from tests.c.bench import Bench

__all__ = ["PACKAGES", "PROOFS", "Proof", "prove"]

PACKAGES = ("frama-c-base",)
OPTIONS = (
    "-eva", "-eva-precision", "5", "-machdep", "gcc_x86_32",
    "-warn-signed-downcast", "-warn-right-shift-negative",
)  # fmt: skip
TOKENS = 3


def _matmul(b: Bench) -> None:
    rng = np.random.default_rng(1)
    x = b.input(np.uint8, ["batch", "sequence", 6], 0, 255)
    weight = rng.integers(-64, 64, (6, 5), endpoint=True).astype(np.int8)
    bias = rng.integers(-900, 900, 5).astype(np.int32)
    divisor = np.array([101, 3, 7, 2001, 77], np.int32)
    ends = [np.array(end, np.int32) for end in (0, 255)]
    b.output(*b.op("Linear", [x, weight, bias, divisor, *ends]))


def _rescale(b: Bench) -> None:
    x = b.input(np.int32, ["batch", "sequence", 4], -(2**31) + 1, 2**31 - 1)
    ends = [np.array(end, np.int32) for end in (-(2**20), 2**20)]
    b.output(*b.op("Rescale", [x, np.array(2**31 - 1), np.array(33), *ends]))


def _softmax(b: Bench) -> None:
    x = b.input(np.int32, ["batch", 1, "sequence", "sequence"], -(2**29), 2**29)
    b.output(*b.op("Softmax", [x, np.array(4), np.array(2)]))


#: What a driver does with the inputs, `count` of them in `in`, between two of its calls.
_ALL = """\
    for (int i = 0; i < {count}; i++) {{
        in[i] = ({type})Frama_C_interval({low}, {high});
    }}
    return run();
"""
_LARGEST = """\
    int status = 0;

    for (int at = 0; at < 3; at++) {{
        for (int32_t top = -8; top <= 8; top++) {{
            for (int i = 0; i < {count}; i++) {{
                in[i] = i % 3 == at ? top : Frama_C_interval({low}, top);
            }}
            status |= run();
        }}
    }}
    return status;
"""
_DRIVER = """\
#include "__fc_builtin.h"
#include "{name}.h"

static uint64_t arena[({upper}_ARENA_BYTES + 8) / 8];
static {type} in[{count}];
static {out_type} out[{out_count}];

static int run(void)
{{
    return {name}_run(arena, in, {tokens}, out);
}}

int main(void)
{{
{body}}}
"""


@dataclass(frozen=True)
class Proof:
    """What is proved of one kernel.

    Attributes:
        build: adds the operator to a bench.
        body: of the driver's main function.
    """

    build: Callable[[Bench], None]
    body: str


PROOFS: Mapping[str, Proof] = {
    "matmul": Proof(_matmul, _ALL),
    "rescale": Proof(_rescale, _ALL),
    "softmax": Proof(_softmax, _LARGEST),
}


def emit(name: str, folder: Path) -> list[Path]:
    """Write a kernel's model and its driver; return the sources."""
    proof, bench = PROOFS[name], Bench(name, max_tokens=TOKENS)
    bench.case(name)
    proof.build(bench)
    bench.finish()
    bench.emit(folder)
    feeds = bench.feeds(TOKENS, "low")
    (source,) = feeds.values()
    (result,) = bench.native(folder).run(feeds).values()
    low, high = bench.limits[next(iter(feeds))]
    values = {
        "name": name,
        "upper": name.upper(),
        "type": f"{source.dtype}_t",
        "count": source.size,
        "out_type": f"{result.dtype}_t",
        "out_count": result.size,
        "tokens": TOKENS,
        "low": low,
        "high": high,
    }
    text = _DRIVER.format(**values, body=proof.body.format(**values))
    (folder / "drive.c").write_text(text, encoding="utf-8")
    weights = folder / f"{name}_weights.c"
    return [folder / "drive.c", folder / f"{name}.c", weights]


def prove(sources: list[Path]) -> list[str]:
    """Return the alarms of the analysis; none where every run is free of errors.

    Raises:
        MissingToolError: Frama-C is not installed.
        ToolError: it does not finish, or does not reach the kernel.
    """
    tool = find_program("frama-c", PACKAGES)
    folder = sources[0].parent
    command = [tool, *OPTIONS, f"-cpp-extra-args=-I{folder} -std=c99", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "ANALYSIS SUMMARY" not in done.stdout:
        raise ToolError("Frama-C", f"failed ({(done.stderr or done.stdout)[-300:].strip()})")
    alarms = re.findall(r"\[eva:alarm\] (.*(?:\n  .*)*)", done.stdout)
    if not alarms and "NON TERMINATING FUNCTION" in done.stdout:
        raise ToolError("Frama-C", "finds that the kernel never returns")
    return alarms


def main() -> int:
    """Prove all kernels, print a line each."""
    failed = 0
    for name in PROOFS:
        with tempfile.TemporaryDirectory() as scratch:
            sources, start = emit(name, Path(scratch)), time.perf_counter()
            alarms = prove(sources)
        seconds = time.perf_counter() - start
        sys.stdout.write(f"{name:<8} {len(alarms)} alarms in {seconds:.1f} s\n")
        for alarm in alarms:
            sys.stdout.write(f"    {alarm}\n")
        failed += bool(alarms)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
