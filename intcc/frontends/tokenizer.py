"""Text to token ids with the model's own tokenizer.json, through the `tokenizers` library.

The same class serves the compiler and a finished artifact; transformers is not needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from intcc.errors import ModelError

__all__ = ["TOKENIZER_FILES", "TextStream", "TextTokenizer", "tokenizer_files"]

#: Files that belong to a tokenizer, copied into artifacts where they exist.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
#: A token that stands for one byte.
_BYTE = re.compile("<0x[0-9A-F]{2}>")
#: What the bytes of an incomplete character decode to.
_INCOMPLETE = "\ufffd"


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
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = {index for index, token in added.items() if token.special}
        #: Truncation length that the file itself asks for, if any.
        self.own_length: int | None = truncation.get("max_length")

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: list[str], max_length: int | None) -> list[dict[str, npt.NDArray[Any]]]:
        """Return one unpadded sample of batch 1 per text: ids, mask and segment ids [1, n].

        Args:
            texts: what to encode.
            max_length: most tokens, special ones included; None: all of them.
        """
        if max_length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length)
        return [
            {
                "input_ids": np.array([encoding.ids], dtype=np.int64),
                "attention_mask": np.ones((1, len(encoding.ids)), dtype=np.int64),
                "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
            }
            for encoding in self._tokenizer.encode_batch(texts)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens; special tokens leave no trace."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def unfinished(self, ids: Sequence[int]) -> int:
        """Return how many tokens at the end may get another text from what follows.

        Tokens of single bytes become characters together: the run at the end is not complete
        before another token follows it. Tokens that leave no trace do not end a run.
        """
        count = 0
        for index, token in enumerate(reversed(ids), 1):
            text = self._tokenizer.id_to_token(token)
            if text is not None and _BYTE.fullmatch(text):
                count = index
            elif text is not None and token not in self._special:
                break
        return count


class TextStream:
    """Text of tokens as they come: what is given out is never taken back.

        "".join(stream.push(token) for token in ids) + stream.finish() == tokenizer.decode(ids)

    An incomplete character is held back, and so is what a later token may still change.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        """Start with no tokens."""
        self._tokenizer, self._ids, self._given = tokenizer, list[int](), ""

    def push(self, token: int) -> str:
        """Take in a token; return the text that is certain now, often none."""
        self._ids.append(token)
        certain = len(self._ids) - self._tokenizer.unfinished(self._ids)
        return self._advance(self._tokenizer.decode(self._ids[:certain]).rstrip(_INCOMPLETE))

    def finish(self) -> str:
        """Return the rest of the text."""
        return self._advance(self._tokenizer.decode(self._ids))

    def _advance(self, text: str) -> str:
        if not text.startswith(self._given):
            return ""
        new, self._given = text[len(self._given) :], text
        return new
