"""intcc: ahead-of-time compiler from Hugging Face models to integer-only ONNX and C.

artifact = intcc.compile("path/to/model", "out")
model = intcc.load("out", backend="c")
report = intcc.verify("out")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intcc._version import __version__

if TYPE_CHECKING:
    from intcc.api import compile, load, verify

__all__ = ["__version__", "compile", "load", "verify"]


def __getattr__(name: str) -> Any:
    """Import the API on first use, so that `import intcc.dyadic` stays light and free of cycles."""
    if name in ("compile", "load", "verify"):
        from intcc import api

        return getattr(api, name)
    raise AttributeError(f"module 'intcc' has no attribute '{name}'")
