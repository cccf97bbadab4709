"""What `--emit tosa` refuses and knows without any NPU tool; the bits are in `tests/npu`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intcc
from intcc.backends.tosa.builder import Builder
from intcc.backends.tosa.emit import tosa_graph
from intcc.backends.tosa.extents import fixed_extents
from intcc.backends.tosa.graph import Type
from intcc.backends.tosa.movement import MOVEMENT
from intcc.backends.tosa.ops import gates
from intcc.backends.tosa.quotients import Quotients
from intcc.backends.tosa.rules import RULES
from intcc.errors import MissingToolError, RangeProofError, SettingsError, UnsupportedOperatorError
from intcc.interval import Interval
from intcc.ops import OPERATORS
from intcc.ops.exponential import power_of_half
from intcc.runtime.reference import evaluate_node
from tests.c.bench import Bench
from tests.c.cases_cache import decoder
from tests.c.encoder import LONGEST, encoder
from tests.npu.random_cases import RANDOM_CASES, random_case
from tests.ops.harness import i32, i64
from tests.test_tiny import perceptron

S = "sequence"


def graph_of(b: Bench, **extents: int) -> Any:
    b.finish()
    return tosa_graph(b.model, {"batch": 1, S: 5, **extents}, evaluate_node)


def test_every_operator_has_a_rule() -> None:
    assert set(RULES) == set(OPERATORS)


def test_every_rule_has_a_random_case() -> None:
    """Each around its own operator; `tests/npu` runs them on the reference model."""
    rules = {("ai.intcc", kind) for kind in RULES} | {("", kind) for kind in MOVEMENT}
    assert set(RANDOM_CASES) == rules
    for domain, kind in RANDOM_CASES:
        graph = random_case(domain, kind, 0).bench.graph
        assert (domain, kind) in {(n.domain, n.op_type) for n in graph}


def test_operator_without_a_form() -> None:
    b = Bench("odd")
    b.case("steps")
    x = b.input(np.int32, ["batch", S, 12], -9, 9)
    b.output(*b.move("Slice", [x, i64([0]), i64([12]), i64([2]), i64([3])]))
    message = "Slice 'steps.Slice7' has no TOSA form: it has steps of 3. Leave it to the C"
    with pytest.raises(UnsupportedOperatorError, match=re.escape(message)):
        graph_of(b)


def test_indices_beyond_the_table() -> None:
    """TOSA leaves undefined what GATHER reads there; negative ones count from the end in ONNX."""
    b = Bench("indices")
    b.case("a")
    table, at = b.input(np.int32, [7, 3], -9, 9), b.input(np.int64, ["batch", S], -1, 6)
    b.output(*b.move("Gather", [table, at], axis=0))
    with pytest.raises(UnsupportedOperatorError, match=r"reads indices \[-1, 6\] of 7 elements"):
        graph_of(b)


def test_too_many_dimensions() -> None:
    b = Bench("deep")
    b.case("patches")
    x = b.input(np.int32, ["batch", 64], -9, 9)
    b.output(*b.move("Reshape", [x, i64([0, 2, 2, 2, 2, 2, 2])]))
    message = "Reshape 'patches.Reshape4' has no TOSA form: it has 7 dimensions, and TOSA 6. Leave"
    with pytest.raises(UnsupportedOperatorError, match=re.escape(message)):
        graph_of(b)


def test_one_number_without_dimensions() -> None:
    b = Bench("one")
    b.case("a")
    one = b.move("Gather", [b.input(np.int32, [5], -9, 9), i64(4)], axis=0)
    b.output(*b.op("Clip", [*one, i32(-3), i32(20)]))
    (result,) = graph_of(b).outputs
    assert (result.shape, result.lo, result.hi) == ((), -3, 9)


def test_open_extent() -> None:
    b = Bench("open")
    b.case("a")
    b.output(*b.op("Relu", [b.input(np.int32, ["batch", "length", 2], 0, 9, "x")]))
    message = "Input 'x' has the dimension 'length', which TOSA needs as a number"
    with pytest.raises(SettingsError, match=re.escape(message)):
        graph_of(b)


def test_empty_extent() -> None:
    b = Bench("empty")
    b.case("a")
    b.output(*b.op("Relu", [b.input(np.int32, ["batch", S, 2], 0, 9, "x")]))
    message = "Input 'x' has the extents [1, 0, 2], and TOSA knows no empty tensors"
    with pytest.raises(SettingsError, match=re.escape(message)):
        graph_of(b, sequence=0)


def test_range_without_a_proof() -> None:
    """Numbers beyond an operator's constraints are no graph."""
    b = Bench("wide")
    b.case("a")
    x = b.input(np.int32, ["batch", S, 2], -(2**31), 2**31 - 1)
    b.output(*b.op("Add", [x, i32([0, 1])]))
    with pytest.raises(RangeProofError, match="TOSA's ADD ranges over"):
        graph_of(b)


def test_missing_serializer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before the work of a compilation, and nothing is written."""
    monkeypatch.setitem(sys.modules, "tosa_serializer", None)
    perceptron(tmp_path / "model.onnx")
    message = "TOSA's serializer is not installed. Install it: pip install 'intcc[npu]'."
    with pytest.raises(MissingToolError, match=re.escape(message)):
        intcc.compile(tmp_path / "model.onnx", tmp_path / "out", emit="onnx,tosa")
    assert not (tmp_path / "out").exists()


def test_extents_of_an_encoder() -> None:
    assert fixed_extents(encoder().model) == {"batch": 1, S: LONGEST}


def test_extents_of_a_decoder() -> None:
    model = decoder(context=30).model
    assert fixed_extents(model) == {"batch": 1, S: 1, "past": 29, "total": 30}
    model.metadata_props["intcc.max_positions"] = "1"
    with pytest.raises(SettingsError, match="--context 1 leaves a step no earlier token"):
        fixed_extents(model)


@pytest.mark.parametrize("lacking", [(), ("INTDIV", "REDUCE_MAX")])
def test_what_is_lacking_is_expressed_by_others(lacking: tuple[str, ...]) -> None:
    model = encoder().model
    graph = tosa_graph(model, fixed_extents(model), evaluate_node, lacking)
    kinds = {operation.kind for operation in graph.operations}
    assert {"CONV2D", "GATHER", "MATMUL"} <= kinds
    assert kinds & {"INTDIV", "REDUCE_MAX"} == {"INTDIV", "REDUCE_MAX"} - {*lacking}


def test_types_are_integers() -> None:
    graph = graph_of(encoder())
    assert {o.output.type.value for o in graph.operations} <= {"int8", "int16", "int32"}
    assert [t.name for t in graph.inputs] == ["input_ids", "attention_mask"]


@pytest.mark.parametrize(("lo", "hi"), [(0, 255), (1, 127), (90, 91)])
@pytest.mark.parametrize("reach", [300, 2**20, 2**31 - 1])
def test_quotients_floor(lo: int, hi: int, reach: int) -> None:
    """RESCALE's formula on every number where a quotient begins or ends."""
    divisors = np.array([1, 3, 5, 77, 1001, 2**16 + 1, 2**30 + 1, 2**31 - 1])
    how = Quotients.of(Interval.of(-reach, reach), divisors, lo, hi)
    for index, (d, factor) in enumerate(zip(divisors.tolist(), how.factors, strict=True)):
        edges = {q * d + j for q in range(lo, hi + 2) for j in (-1, 0)} | {-reach, reach}
        for t in sorted(e for e in edges if -reach <= e <= reach):
            held = t
            if how.held is not None:
                held = min(max(t, int(how.held[0][index])), int(how.held[1][index]))
            v = held + int(how.offset[index])
            assert -(1 << (factor.shift - 1)) <= v < 1 << (factor.shift - 1)
            found = min(max(factor.apply(v) + how.middle, lo), hi)
            assert found == min(max(t // d, lo), hi)


@pytest.mark.parametrize("value", [2056510509, -2056510509])
def test_quotients_of_a_range_beyond_the_bounds(value: int) -> None:
    """What every number is held at may lie outside of the range itself."""
    divisors = np.array([1, 45440])
    how = Quotients.of(Interval.of(value, value), divisors, 65, 230)
    assert how.held is not None
    for d, factor, low, high in zip(divisors.tolist(), how.factors, *how.held, strict=True):
        v = min(max(value, int(low)), int(high)) - d // 2 - how.middle * d
        assert min(max(factor.apply(v) + how.middle, 65), 230) == min(max(value // d, 65), 230)


def test_a_bias_that_has_no_place_for_the_offset() -> None:
    how = Quotients.of(Interval.of(5000 - 2**31, 6000 - 2**31), np.array([8001]), 0, 255)
    assert how.moved(np.array([-(2**31)])) is None
    moved = how.moved(np.array([4000 - 2**31]))
    assert moved is not None and moved.tolist() == [-(2**31)]


def test_offsets_stay_in_int32() -> None:
    """The middle of one channel's quotients may be billions of another's dividends."""
    divisors = np.array([169585, 23540331, 352920549, 55329012, 201982131])
    reach = 1798867452
    how = Quotients.of(Interval.of(-reach, reach), divisors, 21, 42)
    assert not how.factors or min(how.offset) >= -(2**31)
    with pytest.raises(AssertionError, match="a constant leaves int32"):
        Builder().constant(np.array([2**31]), Type.INT32)


@pytest.mark.parametrize(
    ("divisor", "most"), [(50810751, 1981619288), (1066537076, 2133074151), (94768429, 2084905437)]
)
def test_the_last_quotient_of_large_divisors(divisor: int, most: int) -> None:
    """A multiplier may pass the next quotient early, before anything saturates."""
    assert (most + 1) % divisor == 0
    how = Quotients.of(Interval.of(0, most), np.array([divisor]), 0, 255)
    for factor in how.factors:
        held = most if how.held is None else min(most, int(how.held[1][0]))
        got = factor.apply(held + int(how.offset[0])) + how.middle
        assert got == most // divisor


def test_gates_stay_in_their_ranges() -> None:
    """The bounds that the rule of gates states, at every number that can come up."""
    d = np.arange(65536, 2 * 65536 + 1, dtype=np.int64)
    r = 46261 - ((d * 30840 + 2**16) >> 17)
    r = (r * (32768 - ((d * r + 2**16) >> 17)) + 2**13) >> 14
    assert gates.RECIPROCAL.min <= r.min() and r.max() <= gates.RECIPROCAL.max
    p = r * (65536 - ((d * r + 2**15) >> 16))
    assert gates.LOGISTIC.min <= p.min() and p.max() <= gates.LOGISTIC.max
    h, _ = power_of_half(np.arange(4096, dtype=np.int64))
    assert h.min() >= 0 and h.max() <= 65535
