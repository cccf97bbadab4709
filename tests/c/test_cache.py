"""State: C against the reference over several calls on one text, bit for bit."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intcc.errors import DataError
from intcc.generation import CachedSession, StateSession
from intcc.runtime.c_model import CModel
from intcc.runtime.reference import evaluate
from tests.c.bench import MAX_TOKENS, Bench
from tests.c.cases_cache import cache_bench, decoder
from tests.c.test_operators import LEVELS, UNDEFINED

Array = npt.NDArray[Any]
CONTEXT = 70
#: Tokens per call: their sum is the context.
STEPS = (1, 1, 3, 17, 1, 2, 41, 4)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return cache_bench(CONTEXT)


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("caches")
    bench.emit(path)
    return path


def differences(bench: Bench, native: CModel, kind: str, steps: Sequence[int] = STEPS) -> list[str]:
    """Return where C differs from the reference along one text, `steps` tokens a call."""
    found, position = [], 0
    state = native.new_state()
    state[:] = 0xA5  # a state needs no initial value
    caches = {s.name: s.empty_cache() for s in native.inputs if s.cached}
    for step, n in enumerate(steps):
        feeds = {**bench.feeds(n, kind, step), **caches}
        want = evaluate(bench.model, feeds)
        got = native.run_from(feeds, state, position)
        found += [
            f"{kind}, call {step}: {name}"
            for name in got
            if not np.array_equal(got[name], want[name])
        ]
        position += n
        made = dict(zip(_pasts(bench), _presents(bench), strict=True))
        caches = {name: want[made[name]] for name in caches}
    return found


def test_sessions_of_all_runtimes_agree(tmp_path: Path) -> None:
    bench = decoder(max_tokens=8, context=30)
    bench.emit(tmp_path)
    native = bench.native(tmp_path)
    assert native.selftest() == 0
    assert (native.max_tokens, native.context) == (8, 30)

    class Reference:
        def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
            return evaluate(bench.model, feeds)

    sessions = (StateSession(native), CachedSession(Reference(), native.inputs, 30))
    rng = np.random.default_rng(4)
    for n in (1, 8, 19, 2):  # 19 tokens are three calls in C
        tokens = rng.integers(0, 50, n).tolist()
        mine, theirs = (s.feed_all(tokens) for s in sessions)
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(DataError, match="do not fit the 0 that are left of a context of 30"):
        sessions[0].feed([1])


def _pasts(bench: Bench) -> list[str]:
    appends = [n for n in bench.graph if n.op_type in ("CacheKeys", "CacheValues")]
    return [str(v.name) for n in appends for v in n.inputs[3:] if v is not None]


def _presents(bench: Bench) -> list[str]:
    appends = [n for n in bench.graph if n.op_type in ("CacheKeys", "CacheValues")]
    return [str(v.name) for n in appends for v in n.outputs]


@pytest.mark.parametrize("level", LEVELS, ids=" ".join)
def test_equal_to_reference(bench: Bench, folder: Path, level: tuple[str, ...]) -> None:
    compiler, *flags = level
    native = bench.native(folder, (*flags, "-Wsign-conversion"), compiler=compiler)
    for kind in ("random", "small", "low", "high", "mix"):
        assert differences(bench, native, kind) == []
    assert native.selftest() == 0


def test_no_undefined_behaviour(bench: Bench, folder: Path) -> None:
    native = bench.native(folder, UNDEFINED)
    for kind in ("random", "mix"):
        assert differences(bench, native, kind) == []


def test_one_call_equals_one_per_token_and_states_are_apart(bench: Bench, folder: Path) -> None:
    native = bench.native(folder)
    whole = bench.feeds(12, "random")
    together = native.run(whole)
    states = [native.new_state(), native.new_state()]
    for i in range(12):
        one = {name: x[:, i : i + 1] for name, x in whole.items() if "past" not in name}
        for state in states:
            got = native.run_from(one, state, i)
            for name, y in got.items():
                np.testing.assert_array_equal(y, together[name][:, i : i + 1])


def test_a_text_is_cut_short_by_an_earlier_position(bench: Bench, folder: Path) -> None:
    native, state = bench.native(folder), bench.native(folder).new_state()
    first, more, other = (bench.feeds(n, "random", n) for n in (5, 9, 3))
    native.run_from(first, state, 0)
    want = native.run_from(other, state.copy(), 5)
    native.run_from(more, state, 5)
    got = native.run_from(other, state, 5)
    for name, y in want.items():
        np.testing.assert_array_equal(got[name], y)


@pytest.mark.parametrize(("n", "position"), [(1, CONTEXT), (2, CONTEXT - 1), (1, 2**63)])
def test_a_full_context_writes_nothing(bench: Bench, folder: Path, n: int, position: int) -> None:
    native = bench.native(folder)
    state = native.new_state()
    state[:] = 7
    with pytest.raises(DataError, match="got more tokens than its context holds"):
        native.run_from(bench.feeds(n, "random"), state, position)
    assert (state == 7).all()


def test_filled_caches_are_refused(bench: Bench, folder: Path) -> None:
    with pytest.raises(DataError, match=r"Input 'past_key\.0' is not empty"):
        bench.native(folder).run(bench.feeds(2, "random", past=3))


def test_the_state_holds_caches_and_nothing_else(bench: Bench, folder: Path) -> None:
    native = bench.native(folder)
    least = 0
    for node in bench.graph:
        if node.op_type in ("CacheKeys", "CacheValues"):
            codes = node.inputs[0]
            assert codes is not None and codes.shape is not None
            heads, dim = (int(d) for d in list(codes.shape)[2:] if isinstance(d, int))
            least += CONTEXT * heads * (dim + 3)
    assert least <= native.state_bytes <= least + 3 * 64 * len(_pasts(bench))
    assert native.context == CONTEXT


def test_example_and_sanitizers(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "example"
    sources = [
        folder / f for f in ("examples/main.c", "caches.c", "caches_weights.c", "caches_selftest.c")
    ]
    flags = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = ["gcc", "-std=c99", *flags, f"-I{folder}", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "selftest: passed" in done.stdout
    assert MAX_TOKENS < CONTEXT
