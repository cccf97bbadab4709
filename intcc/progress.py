"""What long work reports while it runs. The base class says nothing: the silent default."""

from __future__ import annotations

__all__ = ["Progress"]


class Progress:
    """Receives the course of a compilation; the command line draws it."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps; the stage before it has ended."""

    def advance(self, steps: int = 1) -> None:
        """Count finished steps of the current stage."""

    def note(self, text: str) -> None:
        """Tell the user something worth knowing, such as a weight conversion."""
