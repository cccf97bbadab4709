"""RMS norms of a torch model as one node each.

    RMSNormalization(x, gain, epsilon)         x / sqrt(mean(x**2) + epsilon) * gain

Left to itself the exporter drops an epsilon below 1e-8 from the spelled-out norm as if it were
zero, which changes models whose activations are small. A module counts as an RMS norm when it
computes the formula, with its weight or one plus its weight as the gain.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["rms_norms"]

#: Relative difference of a float32 norm to the formula in float64.
_TOLERANCE = 1e-5
#: Buffer that holds one plus the weight during a trace.
_GAIN = "gain"
_EPSILONS = ("variance_epsilon", "eps", "epsilon")


def _offset(module: Any, epsilon: float) -> float | None:
    """Return c where `module` computes the formula with the gain c + weight; None elsewhere."""
    import torch

    weight = module.weight.detach()
    generator = torch.Generator().manual_seed(0)
    # Rows whose mean squares lie above, at and below epsilon.
    sizes = torch.tensor([[1.0], [30 * epsilon**0.5], [epsilon**0.5], [0.03 * epsilon**0.5]])
    x = torch.randn(len(sizes), len(weight), generator=generator) * sizes
    got, wide = module(x).double(), x.double()
    unit = wide / (wide.square().mean(-1, keepdim=True) + epsilon).sqrt()
    for offset in (0.0, 1.0):
        expected = unit * (offset + weight).double()
        bound = _TOLERANCE * expected.abs().amax(-1, keepdim=True)
        if bool(((got - expected).abs() <= bound).all()):
            return offset
    return None


@contextlib.contextmanager
def rms_norms(model: Any) -> Iterator[None]:
    """Let every RMS norm leave a trace as one node; outside of a trace nothing changes."""
    import torch

    swapped = []
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if "RMSNorm" not in type(module).__name__ or weight is None or weight.ndim != 1:
            continue
        epsilon = next((getattr(module, n) for n in _EPSILONS if hasattr(module, n)), None)
        offset = _offset(module, float(epsilon)) if epsilon else None
        if offset is None:
            continue
        if offset:
            module.register_buffer(_GAIN, offset + weight.detach(), persistent=False)

        def forward(
            x: Any,
            *,
            module: Any = module,
            gain: str = _GAIN if offset else "weight",
            epsilon: float = float(epsilon),  # type: ignore[arg-type]
            own: Any = module.forward,
        ) -> Any:
            if not torch.compiler.is_exporting():
                return own(x)
            return torch.onnx.ops.symbolic(
                "RMSNormalization",
                # Read from the module: a tensor from elsewhere would lose its name.
                (x, getattr(module, gain)),
                attrs={"axis": -1, "epsilon": epsilon},
                dtype=x.dtype,
                shape=x.shape,
                version=23,
            )

        module.forward = forward
        swapped.append(module)
    try:
        yield
    finally:
        for module in swapped:
            del module.forward
            if hasattr(module, _GAIN):
                delattr(module, _GAIN)
