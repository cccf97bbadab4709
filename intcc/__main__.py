"""`python -m intcc`."""

from __future__ import annotations

from intcc.cli import entry

entry()
