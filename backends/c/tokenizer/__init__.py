"""Tokenizers as C: text to ids and back, bit for bit as the `tokenizers` library does it."""

from intcc.backends.c.tokenizer.emit import TokenizerReport, emit_tokenizer
from intcc.backends.c.tokenizer.unsupported import UnsupportedTokenizerError

__all__ = ["TokenizerReport", "UnsupportedTokenizerError", "emit_tokenizer"]
