"""C identifiers: readable, unique, never a keyword, from any ONNX name.

A module path becomes its layer and as few of its last parts as tell it from all other names:

    encoder.layer.0.attention.self.query.weight   ->  layer0_query_weight
    encoder.layer.0.output.dense.bias             ->  layer0_output_dense_bias
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["Names", "identifier", "layer_title", "short_names"]

#: Internal identifiers are significant to 63 characters in C99.
_LONGEST = 48
#: Characters of an external identifier that C99 promises to look at.
_SIGNIFICANT = 31
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if
        inline int long register restrict return short signed sizeof static struct switch typedef
        union unsigned void volatile while asm bool true false nullptr main arena base below at n
        cache held position tokens parallel work own share part parts row rows column columns stage
        begin length run int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t
        size_t""",
    )
)


#: Parts that a short name has at least, layer apart.
_PARTS = 2


def identifier(name: str) -> str:
    """Return the nearest C identifier in lower case."""
    text = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower() or "value"
    if text[0].isdigit():
        text = f"v{text}"
    return text[:_LONGEST].rstrip("_")


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the layer ("layer0", or nothing) and the other parts of a module path."""
    parts = [p for p in re.split(r"[./:]+", name) if p] or [name]
    for position, part in enumerate(parts[:-1]):
        if part.isdigit() and position:
            return f"layer{part}", tuple(parts[position + 1 :])
    return "", tuple(parts)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the shortest telling form of every name; distinct names stay distinct."""
    split = {name: _split(name) for name in names}
    endings: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for layer, parts in split.values():
        endings.update((layer, parts[-k:]) for k in range(1, len(parts) + 1))
    short = {}
    for name, (layer, parts) in split.items():
        k = min(_PARTS, len(parts))
        while k < len(parts) and endings[layer, parts[-k:]] > 1:
            k += 1
        short[name] = "_".join([*([layer] if layer else []), *parts[-k:]])
    return short


def layer_title(path: str) -> str:
    """Return the banner of a module path: the layer and the block inside it."""
    layer, parts = _split(path)
    block = parts[0] if parts else ""
    return f"layer {layer.removeprefix('layer')}: {block}" if layer else block


class Names:
    """Gives out identifiers, each once."""

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        """Start with the C keywords and `reserved` taken."""
        self._taken = set(_RESERVED | reserved)
        self._external: set[str] = set()

    def unique(self, name: str) -> str:
        """Return an identifier for `name` that was not returned before."""
        stem = name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else identifier(name)
        candidate, count = stem, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{stem}_{count}"
        self._taken.add(candidate)
        return candidate

    def external(self, prefix: str, name: str) -> str:
        """Return an identifier that other files see; C99 looks at 31 characters (5.2.4.1).

        A number behind the prefix tells names apart that begin alike, where it lies within these.

        Args:
            prefix: what all names of the model begin with.
            name: what distinguishes this one.
        """
        candidate, count = prefix + name, 1
        while candidate[:_SIGNIFICANT] in self._external:
            count += 1
            candidate = f"{prefix}{count}_{name}"
            if len(prefix) + len(str(count)) >= _SIGNIFICANT:
                break
        self._external.add(candidate[:_SIGNIFICANT])
        return self.unique(candidate)
