"""The machine itself: what it can do at most, in the same round as the engines."""

from __future__ import annotations

from intcc.roofline import Meter, supported


class Machine:
    """Limits for a number of threads."""

    def __init__(self, threads: int = 1) -> None:
        """Prepare the measurement."""
        self._meter, self._threads = Meter(), threads

    def time(self, repeat: int = 8, **_: object) -> list[float]:
        """Return multiply-accumulates a second of the best instructions (0: unknown), and bytes."""
        best = next(iter(supported()), None)
        peak = self._meter.peak(best, self._threads, repeat=repeat) if best else 0.0
        return [peak, self._meter.read(self._threads, repeat)]
