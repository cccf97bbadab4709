"""The errors that users see: one message of subject, fact and remedy; never a traceback.

    subject   what the message is about: a file, a node, a value, an option
    fact      what was found, with the figures
    remedy    what to do next

A bug of ours is an AssertionError, never one of these.
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "BudgetError",
    "CalibrationError",
    "DataError",
    "EqualityError",
    "IntccError",
    "MissingToolError",
    "ModelError",
    "RangeProofError",
    "SettingsError",
    "ToolError",
    "UnsupportedOperatorError",
]


class IntccError(Exception):
    """Base of all errors caused by input, settings or the machine."""

    def __init__(self, subject: str, fact: str, remedy: str = "") -> None:
        """Keep the three parts; `str()` joins them."""
        self.subject, self.fact, self.remedy = subject, fact, remedy
        super().__init__(f"{subject} {fact}." + (f" {remedy}." if remedy else ""))


class ModelError(IntccError):
    """The source model is missing, damaged, unsafe or not a model."""


class UnsupportedOperatorError(IntccError):
    """A float operator has no integer rule."""


class CalibrationError(IntccError):
    """Calibration data are missing, empty, malformed or not finite."""


class DataError(IntccError):
    """Inputs given to a compiled artifact do not fit it."""


class EqualityError(IntccError):
    """Two ways to run a model give different integers."""


class RangeProofError(IntccError):
    """An integer value cannot be proved to fit its type."""


class ArtifactError(IntccError):
    """An output folder exists, is not an artifact, or could not be written."""


class BudgetError(IntccError):
    """A figure is over the limit that `--budget` names."""


class SettingsError(IntccError):
    """A setting or option does not exist or has an impossible value: a usage error."""


class ToolError(IntccError):
    """A compiler or package that the request needs is not installed."""


class MissingToolError(ToolError):
    """A program is not installed; the remedy names the packages that bring it."""
