"""Text generators: what their C has beside the model, and what the templates need for it.

<name>_sampler.h .c                       draws tokens from logits
<name>_tokenizer.h .c, ..._tables.c       text to tokens and back, where the tokenizer is supported
examples/chat.c                           an example: continues a text
examples/main.c                           in its place without a tokenizer: continues token ids
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intcc.backends.c.interface import Port
from intcc.backends.c.program import Place, Program
from intcc.backends.c.sampler import emit_sampler
from intcc.backends.c.tokenizer import (
    TokenizerReport,
    UnsupportedTokenizerError,
    emit_tokenizer,
)
from intcc.sampling import SamplerConfig

__all__ = ["GREEDY", "Companions", "Generation", "emit_companions", "generator_context", "quiet"]

GREEDY = SamplerConfig(0, 2, 1)
#: Bytes of a prompt that the example takes for each token of the context.
_TEXT_BYTES = 16


@dataclass(frozen=True)
class Generation:
    """What the C of a text generator needs beside its graph.

    Attributes:
        presets: settings of the sampler by name; the example's default comes first.
        tokenizer_json: the model's tokenizer.
        end_tokens: tokens that end a text.
        begin_token: what an empty text begins with.
    """

    presets: Mapping[str, SamplerConfig] = field(default_factory=lambda: {"greedy": GREEDY})
    tokenizer_json: Path | None = None
    end_tokens: tuple[int, ...] = ()
    begin_token: int | None = None


@dataclass(frozen=True)
class Companions:
    """Files beside the model's own.

    Attributes:
        sources: names of the C files.
        headers: names of the headers.
        tokenizer: figures of the tokenizer, where there is one.
        notes: what a user should know.
    """

    sources: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    tokenizer: TokenizerReport | None = None
    notes: tuple[str, ...] = ()


def emit_companions(generation: Generation, name: str, folder: Path) -> Companions:
    """Write the sampler and, if its kind is supported, the tokenizer.

    Args:
        generation: what to write.
        name: prefix of all public names.
        folder: where the files go; it exists.
    """
    files = [*emit_sampler(name, folder, generation.presets)]
    tokenizer, notes = None, []
    if generation.tokenizer_json is None:
        notes.append("No text in C: the model has no tokenizer.json")
    else:
        try:
            tokenizer = emit_tokenizer(generation.tokenizer_json, name, folder)
            files += tokenizer.files
        except UnsupportedTokenizerError as error:
            notes.append(f"No text in C: {error}")
    return Companions(
        tuple(f.name for f in files if f.suffix == ".c"),
        tuple(f.name for f in files if f.suffix == ".h"),
        tokenizer,
        tuple(notes),
    )


def quiet(program: Program) -> int:
    """Return the number of leading calls that fill the caches; the rest makes the logits."""
    writes = [any(v.storage.place is Place.STATE for v in c.writes) for c in program.calls]
    return max((i + 1 for i, w in enumerate(writes) if w), default=0)


def generator_context(
    program: Program, generation: Generation, companions: Companions, ports: tuple[Port, Port]
) -> dict[str, Any]:
    """Return what the templates of a generator show.

    Args:
        program: the model.
        generation: settings of its texts.
        companions: files beside the model's own.
        ports: the token ids and the logits.
    """
    ids, logits = ports
    decoder = companions.tokenizer
    return {
        "ids": ids.name,
        "logits": logits.name,
        "vocabulary": logits.extent.at(1),
        "limit": ids.limit,
        "end_tokens": generation.end_tokens,
        "begin_token": generation.begin_token,
        "presets": list(generation.presets),
        "tokenizer": decoder,
        "text_bytes": _TEXT_BYTES * max(program.context, 8),
        "sources": companions.sources,
        "headers": companions.headers,
        "example": "main" if decoder is None else "chat",
    }
