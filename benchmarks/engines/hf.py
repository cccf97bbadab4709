"""transformers on torch, with its cache of keys and values."""

from __future__ import annotations

from collections.abc import Sequence

from engines import timing


class Decoder(timing.Decoder):
    """A language model."""

    def __init__(self, checkpoint: str, dtype: str, threads: int = 1) -> None:
        """Load it; `int8` is torch's own dynamic quantization of all linear layers."""
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self._torch = torch
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=torch.float32 if dtype == "int8" else getattr(torch, dtype),
            local_files_only=True,
        ).eval()
        if dtype == "int8":
            self._model = torch.ao.quantization.quantize_dynamic(
                self._model, {torch.nn.Linear}, dtype=torch.qint8
            )

    def begin(self) -> None:
        """Begin a text."""
        self._cache = None

    def feed(self, ids: Sequence[int]) -> None:
        """Take in tokens."""
        with self._torch.inference_mode():
            made = self._model(
                input_ids=self._torch.tensor([list(ids)]), cache=self._cache,
                use_cache=True, logits_to_keep=1,
            )  # fmt: skip
        self._cache, self._logits = made.cache, made.logits

    def last(self) -> timing.Array:
        """Return the logits."""
        return self._logits[0, -1].to(self._torch.float32).numpy()
