"""transformers on torch, with its cache of keys and values."""

from __future__ import annotations

from collections.abc import Sequence

from engines import timing


class Decoder(timing.Decoder):
    """A language model."""

    def __init__(self, checkpoint: str, dtype: str, threads: int = 1) -> None:
        """Load it."""
        import torch
        import transformers

        torch.set_num_threads(threads)
        self._torch = torch
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=getattr(torch, dtype), local_files_only=True
        ).eval()

    def begin(self) -> None:
        """Begin a text."""
        self._past = None

    def feed(self, ids: Sequence[int]) -> None:
        """Take in tokens."""
        with self._torch.inference_mode():
            made = self._model(
                input_ids=self._torch.tensor([list(ids)]), past_key_values=self._past,
                use_cache=True, logits_to_keep=1,
            )  # fmt: skip
        self._past, self._logits = made.past_key_values, made.logits

    def last(self) -> timing.Array:
        """Return the logits."""
        return self._logits[0, -1].to(self._torch.float32).numpy()
