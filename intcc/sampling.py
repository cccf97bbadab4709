"""Sampling: a token drawn from integer logits, in integers alone, the same here and in C.

    d = max(q) - q                                    distance from the best logit, 0 <= d < 2**32
    z = rsh(d * mul, shift)                           Q12 exponent to the base 2, temperature inside
    w = h << 24 >> (z >> 12), 0 from z = 40 << 12 on  2**-(z / 4096) in Q40; h = 2**-f in Q16

    order    logit descending, then index ascending
    top-k    the first k in order
    top-p    the shortest beginning of those whose weights sum to ceil(p * total / 2**32) or more
    draw     r = (u * total) >> 64, u from SplitMix64, total of what is left;
             the first token in order of index whose running sum passes r

k = 1 is greedy: the best logit, the lowest index of equal ones; no random number is used up.
Each kept token has the probability w / total to 2**-64. h comes from `exponential`.

Constraints
    (C1) 1 <= len(q) <= 2**24                         so that the total stays below 2**64
    (C2) 0 <= mul < 2**31, 2 <= shift <= 62           so that d * mul + half stays below 2**64
    (C3) 1 <= top_p <= 2**32
Error
    |w / 2**40 - e**-x| <= 1.3e-4 * e**-x + 2**-40, x = d * scale / temperature, plus 2**-31 * x
    from the multiplier

Random numbers: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators",
2014.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.dyadic import Dyadic
from intcc.errors import DataError, SettingsError
from intcc.ops.exponential import exponential
from intcc.specs import Scale

__all__ = ["MAX_VOCABULARY", "Sampler", "SamplerConfig", "SplitMix64", "weights"]

Array = npt.NDArray[Any]

MAX_VOCABULARY = 1 << 24
#: From this exponent on the weight is nothing.
EXPONENTS = 40
#: top_p of 1.
WHOLE = 1 << 32
#: (mul, shift) that leave an exponent as it is.
_UNSCALED = np.array(4), np.array(2)
_MASK = (1 << 64) - 1
#: A multiplier from which on one step of the logits outweighs every exponent.
_STEEPEST = 2.0**28


class SplitMix64:
    """A random generator with 64 bits of state: a Weyl sequence through a mixing function."""

    def __init__(self, seed: int = 0) -> None:
        """Start at `seed`, taken modulo 2**64."""
        self.state = seed & _MASK

    def next(self) -> int:
        """Return 64 random bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        x = self.state
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
        return x ^ (x >> 31)


@dataclass(frozen=True)
class SamplerConfig:
    """The integers that decide a draw.

    Attributes:
        mul: multiplier of z, see the module.
        shift: shift of z.
        top_k: number of tokens kept; 0 keeps all.
        top_p: share of the weight kept, Q32.
    """

    mul: int
    shift: int
    top_k: int = 0
    top_p: int = WHOLE

    @classmethod
    def create(
        cls,
        scale: Scale,
        temperature: float | None = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> SamplerConfig:
        """Turn settings as people give them into integers, once.

        Args:
            scale: meaning of the logits.
            temperature: divisor of the logits; 0 or None is greedy.
            top_k: number of tokens kept; 0 or None keeps all.
            top_p: share of the probability kept, 0 to 1; None keeps all.

        Raises:
            SettingsError: a value is out of its range.
        """
        if not isinstance(scale.mul, int):
            raise SettingsError(
                "Scale of the logits", "differs between tokens", "Sampling needs one scale for all"
            )
        heat, share = temperature or 0.0, 1.0 if top_p is None else top_p
        if not (math.isfinite(heat) and heat >= 0):
            raise SettingsError(
                f"Temperature {temperature}", "is not a number from 0 up", "0 is greedy"
            )
        if not 0 <= share <= 1:
            raise SettingsError(f"top_p {top_p}", "is not between 0 and 1", "1 keeps every token")
        if not 0 <= (top_k or 0) < 1 << 32:
            raise SettingsError(f"top_k {top_k}", "is not a count", "0 keeps every token")
        if heat == 0:
            return cls(0, 2, 1)
        unit = math.ldexp(scale.mul, -scale.shift) * math.log2(math.e) * 4096
        steps = unit / heat if unit < _STEEPEST * heat else _STEEPEST
        dyadic = Dyadic.from_real(steps)
        kept = max(1, math.floor(share * WHOLE + 0.5))
        return cls(dyadic.mul, dyadic.shift, top_k or 0, kept)

    def describe(self) -> str:
        """Return the settings in words."""
        if self.top_k == 1:
            return "greedy"
        kept = [f"the {self.top_k} best tokens"] if self.top_k else []
        kept += [f"{self.top_p / WHOLE:.6g} of the probability"] if self.top_p < WHOLE else []
        return "drawn from " + (", ".join(kept) or "all tokens")


def weights(d: Array, config: SamplerConfig) -> Array:
    """Return the weights of distances, Q40, uint64."""
    half = np.uint64(1 << config.shift >> 1)
    z = (d.astype(np.uint64) * np.uint64(config.mul) + half) >> np.uint64(config.shift)
    fraction = (z & np.uint64(4095)).astype(np.int64)
    h = exponential(fraction, *_UNSCALED).astype(np.uint64) << np.uint64(24)
    n = np.minimum(z >> np.uint64(12), np.uint64(EXPONENTS))
    return np.asarray(h >> n)


class Sampler:
    """Draws tokens, one after another, from one stream of random numbers.

    Attributes:
        config: the integers that decide.
        random: the generator; its state is all that changes.
    """

    def __init__(
        self,
        scale: Scale,
        temperature: float | None = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> None:
        """Fix the settings; see `SamplerConfig.create`.

        Raises:
            SettingsError: a value is out of its range.
        """
        self.config = SamplerConfig.create(scale, temperature, top_k, top_p)
        self.random = SplitMix64(seed)

    def kept(self, logits: Array) -> tuple[Array, Array]:
        """Return what top-k and top-p leave: tokens in order of index, and their weights.

        Raises:
            DataError: see `pick`.
        """
        q = _checked(logits)
        order = np.argsort(-q, kind="stable")
        order = order[: self.config.top_k or None]
        w = weights(q.max() - q[order], self.config)
        sums = np.cumsum(w)
        target = -(-int(sums[-1]) * self.config.top_p // WHOLE)
        count = int(np.searchsorted(sums, np.uint64(target))) + 1
        by_index = np.argsort(order[:count])
        return order[:count][by_index], w[:count][by_index]

    def pick(self, logits: Array) -> int:
        """Return the index of the token drawn.

        Args:
            logits: int32 [vocabulary].

        Raises:
            DataError: the logits are not one row of int32, are none, or break C1.
        """
        if self.config.top_k == 1:
            return int(np.argmax(_checked(logits)))
        tokens, w = self.kept(logits)
        sums = np.cumsum(w)
        r = self.random.next() * int(sums[-1]) >> 64
        return int(tokens[np.searchsorted(sums, np.uint64(r), side="right")])


def _checked(logits: Array) -> Array:
    """Return the logits as int64."""
    if logits.dtype != np.int32 or logits.ndim != 1:
        raise DataError(
            "Logits", f"are {logits.dtype} {list(logits.shape)}", "Give one row of int32"
        )
    if not 1 <= logits.size <= MAX_VOCABULARY:
        raise DataError("Logits", f"are {logits.size} values", f"1 to {MAX_VOCABULARY} are taken")
    return logits.astype(np.int64)
