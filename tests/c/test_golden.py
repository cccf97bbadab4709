"""Golden C: one file per operator, and a whole small model. `pytest --update-golden` rewrites."""

from __future__ import annotations

from pathlib import Path

import pytest

from intcc.backends.c.render import render_kernel
from intcc.backends.c.select import select
from intcc.backends.c.target import load_target
from tests.c.bench import Bench
from tests.c.cases import CASES
from tests.c.cases_cache import CACHE_CASES
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
        shown[kernel.template] = render_kernel(kernel)
    check(f"{stem}.c", "\n\n".join(shown.values()) + "\n", request)


@pytest.mark.parametrize("file", ["tiny.h", "tiny.c", "tiny_selftest.c", "main.c", "README.md"])
def test_model(file: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    encoder().emit(tmp_path)
    check(file, (tmp_path / file).read_text(encoding="utf-8"), request)
