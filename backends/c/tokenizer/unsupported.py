"""The error of tokenizers that the generated C does not reproduce."""

from __future__ import annotations

from intcc.errors import IntccError

__all__ = ["UnsupportedTokenizerError"]


class UnsupportedTokenizerError(IntccError):
    """The tokenizer has a part that the generated C lacks; the model itself is not affected."""
