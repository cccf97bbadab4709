"""intcc: ahead-of-time compiler from Hugging Face models to integer-only ONNX and C."""

from intcc._version import __version__

__all__ = ["__version__"]
