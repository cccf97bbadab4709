"""Text to token ids with the model's own tokenizer.json, through the `tokenizers` library.

The same class serves the compiler and a finished artifact; transformers is not needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from intcc.errors import ModelError

__all__ = ["TOKENIZER_FILES", "TextTokenizer", "tokenizer_files"]

#: Files that belong to a tokenizer, copied into artifacts where they exist.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """List the tokenizer's files in `folder`."""
    return tuple(folder / name for name in TOKENIZER_FILES if (folder / name).is_file())


class TextTokenizer:
    """A tokenizer that truncates and adds the model's special tokens, and never pads."""

    def __init__(self, path: Path) -> None:
        """Read a tokenizer.json.

        Raises:
            ModelError: the file is damaged.
        """
        try:
            text = path.read_text(encoding="utf-8")
            truncation = json.loads(text).get("truncation") or {}
            self._tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise ModelError(
                f"Tokenizer '{path.name}'",
                f"cannot be read ({error})",
                "Restore the file from the model's repository",
            ) from None
        self._tokenizer.no_padding()
        #: Truncation length that the file itself asks for, if any.
        self.own_length: int | None = truncation.get("max_length")

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: list[str], max_length: int) -> list[dict[str, npt.NDArray[Any]]]:
        """Return one unpadded sample of batch 1 per text: ids, mask and segment ids [1, n]."""
        self._tokenizer.enable_truncation(max_length)
        return [
            {
                "input_ids": np.array([encoding.ids], dtype=np.int64),
                "attention_mask": np.ones((1, len(encoding.ids)), dtype=np.int64),
                "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
            }
            for encoding in self._tokenizer.encode_batch(texts)
        ]
