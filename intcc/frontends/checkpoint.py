"""Load a checkpoint into its torch model: every weight found, of its shape, and finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intcc.errors import ModelError

__all__ = ["load_torch"]


def load_torch(folder: Path, config: dict[str, Any], task: str, allow_pickle: bool) -> Any:
    """Load the float32 torch model whose head fits the task, every weight found and finite.

    Args:
        folder: holds the checkpoint.
        config: content of its config.json.
        task: a key of `source.TASKS`.
        allow_pickle: open pickled weights.

    Raises:
        ModelError: the checkpoint is damaged, incomplete, or of another task.
    """
    import torch
    import transformers

    from intcc.frontends.ternary import is_bitnet, load_bitnet
    from intcc.frontends.tracing_decoder import CAUSAL

    loader = {
        "text-classification": transformers.AutoModelForSequenceClassification,
        "image-classification": transformers.AutoModelForImageClassification,
        "text-generation": transformers.AutoModelForCausalLM,
    }.get(task, transformers.AutoModel)
    options: dict[str, Any] = {
        "dtype": torch.float32,
        "local_files_only": True,
        "use_safetensors": None if allow_pickle else True,
        "output_loading_info": True,
        "trust_remote_code": False,
    }
    try:
        if task == "text-generation" and is_bitnet(config):
            model, info = load_bitnet(folder, config, CAUSAL)
        elif task == "text-generation":
            model, info = loader.from_pretrained(folder, attn_implementation=CAUSAL, **options)
        else:
            model, info = _load_encoder(loader, folder, options)
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged folder makes transformers raise
        if isinstance(error, KeyError) and error.args == (CAUSAL,):
            raise ModelError(
                f"Model type '{config['model_type']}'",
                "computes attention in code of its own, which no other can replace",
                "Use a decoder of another family, or report the model to us",
            ) from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Model '{folder}'",
            f"cannot be loaded ({reason})",
            "Check that config.json and the weights belong together",
        ) from error
    # An unused pooler may be missing from a checkpoint; any other gap would be random numbers.
    missing = sorted(k for k in info["missing_keys"] if "pooler." not in k or task in _POOLED)
    if missing or info["mismatched_keys"]:
        names = missing or sorted(str(key[0]) for key in info["mismatched_keys"])
        what = "lacks" if missing else "has the wrong shape for"
        raise ModelError(
            f"Checkpoint '{folder}'",
            f"{what} {len(names)} weight(s) of {type(model).__name__}, such as '{names[0]}'",
            "Download the checkpoint again, or choose the --task that it was trained for",
        )
    if task != "text-generation" and any(getattr(m, "is_causal", False) for m in model.modules()):
        raise ModelError(
            f"Task '{task}'",
            f"does not fit {type(model).__name__}, whose tokens see only earlier ones",
            "Compile it with --task text-generation, or choose an encoder",
        )
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise ModelError(
                f"Weight '{name}'",
                f"holds {count} NaN or infinite value(s)",
                "The checkpoint is damaged: download it again",
            )
    return model.eval()


def _load_encoder(loader: Any, folder: Path, options: dict[str, Any]) -> tuple[Any, Any]:
    """Load with our attention, or with a family's own code, which is recognised after the trace."""
    from intcc.frontends.tracing import ATTENTION

    try:
        model, info = loader.from_pretrained(folder, attn_implementation=ATTENTION, **options)
        if getattr(model, "_supports_attention_backend", False):
            return model, info
    except KeyError as error:  # the family has a table of its own, without ours
        if error.args != (ATTENTION,):
            raise
    model, info = loader.from_pretrained(folder, attn_implementation="eager", **options)
    return model, info


_POOLED = ("text-classification", "image-classification")
