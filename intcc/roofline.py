"""Limits of this machine, measured: what no kernel can exceed.

    peak     multiply-accumulates of bytes a second between registers, by instruction set
    read     bytes a second from memory, of a buffer that no cache holds, in pages of 2 MB where the
             system gives them; the best of the ways to read below

A layer's time is at least max(multiply-accumulates / peak, bytes of weights / read).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from intcc.backends.c.render import render
from intcc.errors import ToolError
from intcc.runtime.compiler import DEFAULT_FLAGS, find_compiler, shared_library

__all__ = ["INSTRUCTION_SETS", "InstructionSet", "Limits", "Roofline", "measure", "supported"]

#: Bytes of the largest vector, and of a line of the cache.
LINE = 64
#: Seconds of one measurement of the peak, shorter than the turns that a system gives to its
#: processes; and how often each is taken. The best counts.
SECONDS, REPEAT = 0.002, 30
#: Bytes that are read; more than any cache holds.
BUFFER = 256 << 20


@dataclass(frozen=True)
class InstructionSet:
    """Instructions that multiply and add bytes.

    Attributes:
        name: as shown.
        needs: flags of /proc/cpuinfo, all of them.
        code: what one accumulator takes; {r} is its number.
        accumulators: registers that add up, so that no instruction waits.
        register: name of a register for the compiler, with {r}.
        macs: multiply-accumulates of `code`.
        used: other registers of `code`.
    """

    name: str
    needs: tuple[str, ...]
    code: tuple[str, ...]
    accumulators: int
    register: str
    macs: int
    used: tuple[int, ...]

    def template(self) -> dict[str, Any]:
        """Return what the template needs."""
        names = [self.register.format(r=r) for r in (*range(self.accumulators), *self.used)]
        return {
            "symbol": self.symbol,
            "macs": self.macs_a_turn,
            "turn": [c.format(r=r) for r in range(self.accumulators) for c in self.code],
            "clobbers": ", ".join(f'"{name}"' for name in names),
        }

    @property
    def symbol(self) -> str:
        """Name as part of an identifier."""
        return self.name.replace("-", "_")

    @property
    def macs_a_turn(self) -> int:
        """Multiply-accumulates of one turn of the loop."""
        return self.macs * self.accumulators


#: The best first, for each family of processors.
INSTRUCTION_SETS = (
    InstructionSet(
        "avx512-vnni", ("avx512_vnni",), ("vpdpbusd %%zmm31, %%zmm30, %%zmm{r}",),
        24, "xmm{r}", 64, (30, 31),
    ),
    InstructionSet(
        "avx-vnni", ("avx_vnni",), ("%{{vex%}} vpdpbusd %%ymm15, %%ymm14, %%ymm{r}",),
        12, "xmm{r}", 32, (14, 15),
    ),
    InstructionSet(
        "avx2", ("avx2",),
        (
            "vpmaddubsw %%ymm14, %%ymm15, %%ymm13",
            "vpmaddwd %%ymm14, %%ymm13, %%ymm13",
            "vpaddd %%ymm13, %%ymm{r}, %%ymm{r}",
        ),
        12, "xmm{r}", 32, (13, 14, 15),
    ),
    InstructionSet(
        "i8mm", ("i8mm",), ("smmla v{r}.4s, v30.16b, v31.16b",), 24, "v{r}", 32, (30, 31)
    ),
    InstructionSet(
        "dotprod", ("asimddp",), ("sdot v{r}.4s, v30.16b, v31.16b",), 24, "v{r}", 16, (30, 31)
    ),
)  # fmt: skip

#: Ways to read: their number of streams at once, and how many lines ahead is fetched past the
#: caches (0: never).
_READS = (
    {"name": "stream", "streams": 1, "ahead": 0, "note": "One stream."},
    {"name": "ahead", "streams": 1, "ahead": 64, "note": "Fetched past the caches, well ahead."},
    {"name": "streams", "streams": 4, "ahead": 0, "note": "Four streams at once."},
)


@dataclass(frozen=True)
class Limits:
    """Limits for a number of threads.

    Attributes:
        threads: how many.
        peak: multiply-accumulates a second, by instruction set.
        read: bytes a second.
    """

    threads: int
    peak: Mapping[str, float]
    read: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "threads": self.threads,
            "macs_per_second": dict(self.peak),
            "bytes_per_second": self.read,
        }


@dataclass(frozen=True)
class Roofline:
    """Limits of a machine.

    Attributes:
        limits: by number of threads.
    """

    limits: Mapping[int, Limits]


def supported() -> tuple[InstructionSet, ...]:
    """Return the instruction sets of this machine, the best first; none where it does not say."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return ()
    return tuple(s for s in INSTRUCTION_SETS if words.issuperset(s.needs))


def measure(
    threads: Sequence[int] = (1,), *, buffer: int = BUFFER, seconds: float = SECONDS,
    repeat: int = REPEAT,
) -> Roofline:  # fmt: skip
    """Measure this machine.

    Args:
        threads: numbers of threads.
        buffer: bytes to read.
        seconds: length of one measurement of a peak.
        repeat: measurements of each; the best counts, as others may use the machine too.

    Raises:
        ToolError: no C compiler, or more threads than this process may use processors.
    """
    meter = Meter(buffer)
    return Roofline({n: meter.limits(n, seconds, repeat) for n in threads})


class Meter:
    """What measures, with its buffer; for repeated measurements."""

    def __init__(self, buffer: int = BUFFER) -> None:
        """Build the code and fill the buffer.

        Args:
            buffer: bytes to read, at least 64 KiB for each thread.
        """
        self._library = _library()
        self._buffer = mmap.mmap(-1, buffer, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._buffer.madvise(mmap.MADV_HUGEPAGE)
        for start in range(0, buffer, 1 << 20):  # pages of zeros alone may share one frame
            self._buffer[start : start + (1 << 20)] = b"\1" * min(1 << 20, buffer - start)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))

    def limits(self, threads: int, seconds: float = SECONDS, repeat: int = REPEAT) -> Limits:
        """Measure all limits."""
        peaks = {s.name: self.peak(s, threads, seconds, repeat) for s in supported()}
        return Limits(threads, peaks, self.read(threads, repeat))

    def peak(
        self, chosen: InstructionSet, threads: int, seconds: float = SECONDS, repeat: int = REPEAT
    ) -> float:
        """Return multiply-accumulates a second of all threads together."""
        run = self._library[f"peak_{chosen.symbol}"]
        run.argtypes, run.restype = [ctypes.c_uint64], None
        turns = 1000
        while (elapsed := _together([partial(run, turns)])) < seconds / 4:
            turns *= 4
        turns = max(int(turns * seconds / elapsed), 1)
        best = min(_together([partial(run, turns)] * threads) for _ in range(repeat))
        return threads * turns * chosen.macs_a_turn / best

    def read(self, threads: int, repeat: int = REPEAT) -> float:
        """Return bytes a second of all threads together; each reads its own part."""
        lines = len(self._buffer) // LINE // threads // 16 * 16
        best = min(
            _together([self._reader(kind["name"], part, lines) for part in range(threads)])
            for kind in _READS
            for _ in range(repeat)
        )
        return threads * lines * LINE / best

    def _reader(self, kind: Any, part: int, lines: int) -> Callable[[], object]:
        run = self._library[f"read_{kind}"]
        run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_uint64
        start = self._start + part * lines * LINE
        return partial(run, start, lines)


@cache
def _library() -> ctypes.CDLL:
    context = {"sets": [s.template() for s in supported()], "reads": _READS}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "limits.c"
        source.write_text(render("limits.c", context, "roofline"), encoding="utf-8")
        return shared_library([source], [], find_compiler(), DEFAULT_FLAGS)


def _together(work: Sequence[Callable[[], object]]) -> float:
    """Run functions at once, each on a processor of its own; return the seconds of all."""
    processors = _processors()
    if len(work) > len(processors):
        raise ToolError(
            f"{len(work)} threads", f"do not fit {len(processors)} processors", "Use fewer threads"
        )
    barrier = threading.Barrier(len(work))
    spans: list[tuple[float, float]] = []

    def one(run: Callable[[], object], processor: int) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {processor})  # of this thread alone
        barrier.wait()
        start = time.perf_counter()
        run()
        spans.append((start, time.perf_counter()))

    made = [threading.Thread(target=one, args=pair) for pair in zip(work, processors, strict=False)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    return max(end for _, end in spans) - min(start for start, _ in spans)


def _processors() -> list[int]:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
