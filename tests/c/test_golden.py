"""Golden C: one file per operator, and a whole small model. `pytest --update-golden` rewrites."""

from __future__ import annotations

from pathlib import Path

import pytest

from intcc.backends.c.generator import Generation
from intcc.backends.c.render import render_kernel
from intcc.backends.c.select import select
from intcc.backends.c.target import load_target
from tests.c.bench import Bench
from tests.c.cases import CASES
from tests.c.cases_cache import CACHE_CASES, decoder
from tests.c.encoder import encoder

ALL = {**CASES, **CACHE_CASES}
GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / name
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.exists(), "run pytest --update-golden and review the file"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("stem", sorted(ALL))
def test_operator(stem: str, request: pytest.FixtureRequest) -> None:
    bench = Bench("golden")
    ALL[stem](bench)
    program = select(bench.finish(), load_target("generic"))
    # The widest instance of each template shows it best.
    shown = {}
    for kernel in program.kernels():
        shown[kernel.template] = render_kernel(kernel, {})
    check(f"{stem}.c", "\n\n".join(shown.values()) + "\n", request)


@pytest.mark.parametrize(
    "file", ["tiny.h", "tiny.c", "tiny_selftest.c", "tiny_memory.h", "examples/main.c", "README.md"]
)
def test_model(file: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    encoder().emit(tmp_path)
    check(Path(file).name, (tmp_path / file).read_text(encoding="utf-8"), request)


@pytest.mark.parametrize(
    "file", ["decoder.h", "decoder.c", "decoder_selftest.c", "examples/main.c"]
)
def test_generator(file: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bench = decoder()
    bench.model.metadata_props["intcc.task"] = "text-generation"
    bench.emit(tmp_path, chunk=4, generation=Generation(end_tokens=(2, 3), begin_token=1))
    name = file if file.startswith("decoder") else f"decoder_{Path(file).name}"
    check(name, (tmp_path / file).read_text(encoding="utf-8"), request)
