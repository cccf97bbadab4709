"""`intcc generate`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intcc.commands.console import JsonFlag, Printer, QuietFlag, ThreadsOption
from intcc.commands.machines import OnOption, machine_model
from intcc.errors import SettingsError

if TYPE_CHECKING:
    from intcc.frontends.tokenizer import TextTokenizer

__all__ = ["EXAMPLE", "command"]

EXAMPLE = 'Example: intcc generate stories --prompt "Once upon a time" --temperature 0.8 --seed 7'


def command(
    folder: Annotated[Path, typer.Argument(help="Artifact of a language model.")],
    prompt: Annotated[str | None, typer.Option(help="Text to continue.")] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Token ids to continue, with commas between.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens to add.", min=0)] = 100,
    temperature: Annotated[
        float | None,
        typer.Option(help="0: the best token, always. Default: 0, or 1 with --top-k or --top-p."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from this many tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the best tokens of this probability.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Start of the random numbers.")] = 0,
    backend: Annotated[str, typer.Option(help="onnx, qlinear, c or reference.")] = "onnx",
    threads: ThreadsOption = 1,
    on: OnOption = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Continue a text, token by token, in integers alone."""
    from intcc import api
    from intcc.frontends.tokenizer import TextStream
    from intcc.model import open_tokenizer

    if (prompt is None) == (tokens is None):
        raise SettingsError("Give either --prompt or --tokens", "to say what to continue", EXAMPLE)
    if temperature is None and (top_k is not None or top_p is not None):
        temperature = 1.0
    printer = Printer(quiet=quiet, as_json=as_json)
    model = machine_model(folder, on) if on else api.load(folder, backend, threads=threads)
    model.session()  # what is no language model fails here, before its tokenizer is asked
    plain = tokens is not None and model.artifact.tokenizer_json is None
    tokenizer = None if plain else open_tokenizer(model.artifact)
    ids = _parse(tokens) if tokens is not None else _encode(tokenizer, prompt or "")
    text = _Ids() if tokenizer is None else TextStream(tokenizer)
    show = _nothing if as_json else _show
    made: list[int] = []
    start = time.perf_counter()
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    for token in model.stream(ids, max_new_tokens, **sampling):
        made.append(token)
        show(text.push(token))
    seconds = time.perf_counter() - start
    show(text.finish() + "\n")
    printer.result(
        {
            "text": None if tokenizer is None else tokenizer.decode(made),
            "tokens": made,
            "prompt_tokens": ids,
            "seconds": seconds,
            "tokens_per_second": len(made) / seconds,
            "backend": on or backend,
            "seed": seed,
        }
    )
    if not printer.silent:
        rate = f"{len(made) / seconds:.1f} tokens/s"
        sys.stderr.write(f"{len(made)} tokens after {len(ids)} of prompt, {rate}\n")


class _Ids:
    """The text of a model without a tokenizer: its tokens as numbers."""

    def __init__(self) -> None:
        self._space = ""

    def push(self, token: int) -> str:
        """Return the next number."""
        text, self._space = f"{self._space}{token}", " "
        return text

    def finish(self) -> str:
        """Return the rest: nothing."""
        return ""


def _parse(tokens: str) -> list[int]:
    """Return the ids of --tokens."""
    try:
        return [int(token) for token in tokens.split(",")]
    except ValueError as error:
        raise SettingsError(
            f"--tokens '{tokens}'", "is no list of token ids", "Give numbers such as 1,403,407"
        ) from error


def _encode(tokenizer: TextTokenizer | None, prompt: str) -> list[int]:
    """Return all tokens of a prompt, special ones as the tokenizer adds them."""
    assert tokenizer is not None
    return [int(token) for token in tokenizer.encode([prompt], None)[0]["input_ids"][0]]


def _show(text: str) -> None:
    """Print at once what has come."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _nothing(text: str) -> None:
    """Print nothing: the result follows as JSON."""
