"""Two dot products of 16-bit numbers at a time: what attention on Cortex-M is made of."""

from __future__ import annotations

from intcc.backends.c.builder import Builder
from intcc.backends.c.program import Kernel

__all__ = ["PAIR", "PAIR_OF_BYTES", "pair_for"]

#: acc[i] = x . y_i with y of 16 bits.
PAIR = Kernel("kernels/pair", "dot_pair", {"element": "int16_t", "load": "vldrh.u16", "bytes": 16})
#: The same with y of 8 bits.
PAIR_OF_BYTES = Kernel(
    "kernels/pair", "dot_pair_of_bytes", {"element": "int8_t", "load": "vldrb.s16", "bytes": 8}
)


def pair_for(b: Builder, template: str, pair: Kernel) -> tuple[Kernel, ...]:
    """Return what the machine form of a template calls: nothing where the target has no such form.

    Args:
        b: the program under construction.
        template: name of the general template.
        pair: the kernel of its machine form.
    """
    return (pair,) if b.target.kernels.get(template, "").endswith("_pairs") else ()
