"""Tiny random-weight convolutional networks; channels and extents are no powers of two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["NETWORKS", "SIZE", "build", "save"]

#: Rows and columns of the images.
SIZE = (33, 27)
_STAGES = {"embedding_size": 12, "hidden_sizes": [20, 28], "depths": [2, 1], "num_labels": 3}
_MOBILE = {"image_size": list(SIZE), "depth_multiplier": 0.25, "num_labels": 3}

#: Name to (family, config).
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("ResNet", {**_STAGES, "layer_type": "bottleneck"}),
    "resnet-basic": ("ResNet", {**_STAGES, "layer_type": "basic"}),
    "regnet": ("RegNet", {**_STAGES, "layer_type": "y", "groups_width": 4}),
    "mobilenet-v1": ("MobileNetV1", _MOBILE),
    "mobilenet-v2": ("MobileNetV2", _MOBILE),
}


def build(name: str) -> Any:
    """Return a torch model in evaluation mode: signals keep their size through its layers."""
    import torch
    import transformers

    family, settings = NETWORKS[name]
    config = getattr(transformers, f"{family}Config")(**settings)
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, f"{family}ForImageClassification")(config)
    for key, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0, (2 / parameter[0].numel()) ** 0.5)
        else:
            torch.nn.init.normal_(parameter, float(key.endswith("weight")), 0.1)
    for key, buffer in model.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            torch.nn.init.normal_(buffer, float(key.endswith("var")), 0.1)
    return model.eval()


def save(name: str, folder: Path) -> Any:
    """Write the model as a Hugging Face folder with its image processor; return it."""
    model = build(name)
    model.save_pretrained(folder)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    size = {"height": SIZE[0], "width": SIZE[1]}
    prepared = {"image_mean": mean, "image_std": std, "size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    return model
