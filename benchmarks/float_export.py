"""A sentence encoder as users export it: transformers' own graph in float32, pooled."""

from __future__ import annotations

from pathlib import Path


def export(checkpoint: Path, path: Path) -> Path:
    """Write the ONNX file that the peers start from, where it is not there."""
    if path.exists():
        return path
    import torch
    import transformers

    network = transformers.AutoModel.from_pretrained(
        checkpoint, attn_implementation="eager", local_files_only=True
    )

    class Embedder(torch.nn.Module):
        """Mean of the tokens, of length one."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            made = self.network(input_ids=input_ids, attention_mask=attention_mask)
            mask = attention_mask.unsqueeze(-1).to(made.last_hidden_state.dtype)
            mean = (made.last_hidden_state * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=-1)

    # Two tensors: one given twice would be exported as a single input.
    ids, mask = (torch.ones(2, 8, dtype=torch.int64) for _ in range(2))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        Embedder().eval(),
        (ids, mask),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["sentence_embedding"],
        opset_version=18,
        dynamo=True,
        dynamic_shapes=(axes, axes),
        external_data=False,
    )
    return path
