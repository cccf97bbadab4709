"""Logits of the last token: the graph that is left computes the same row, and little else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from intcc.backends.c.last_token import generates_text, keep_last_token
from intcc.ops import cached_attention
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench
from tests.c.cases_cache import cached, decoder
from tests.ops.harness import i32, i64

Array = npt.NDArray[Any]
S = "sequence"


def _feeds(bench: Bench, n: int) -> dict[str, Array]:
    return bench.feeds(n, "random", past=5)


def _shapes(model: ir.Model) -> dict[str, str]:
    return {str(v.name): str(v.shape) for node in model.graph for v in node.outputs}


def _same_row(bench: Bench) -> ir.Model:
    """Check that the last rows and the caches agree, and that shapes are as declared."""
    before = _shapes(bench.model)
    made = keep_last_token(bench.model)
    assert _shapes(bench.model) == before
    for n in (1, 2, 6):
        want = evaluate(bench.model, _feeds(bench, n))
        seen: list[tuple[ir.Value, Array]] = []
        got = evaluate(made, _feeds(bench, n), lambda *pair, s=seen: s.append(pair))
        assert list(got) == list(want)
        np.testing.assert_array_equal(got["logits"], want["logits"][:, -1:])
        for name in want.keys() - {"logits"}:
            np.testing.assert_array_equal(got[name], want[name])
        for value, array in seen:
            assert value.shape is not None
            for wanted, actual in zip(value.shape, array.shape, strict=True):
                assert not isinstance(wanted, int) or wanted == actual, value.name
    return made


def _cuts(model: ir.Model) -> list[str]:
    return [str(n.inputs[0].name) for n in model.graph if str(n.name).endswith(".last")]  # type: ignore[union-attr]


def test_queries_of_the_last_layer_are_cut() -> None:
    bench = decoder()
    made = _same_row(bench)
    last = [n for n in made.graph if n.op_type == "CachedAttention"]
    rows = [[str(d) for d in n.inputs[0].shape or ()][1] for n in last if n.inputs[0] is not None]
    assert rows == [S, "1"]
    assert len(_cuts(made)) == 1  # the stream before the last layer, for queries and sum alike


def test_a_product_behind_the_attention_is_cut_with_its_scales() -> None:
    rng = np.random.default_rng(1)
    b = decoder()
    stream = b.graph.outputs.pop()
    stream.name = "stream"
    b.case("head")
    codes, m, k = b.op("DynamicQuantize", [stream], outputs=3)
    weight = rng.integers(-127, 127, (40, 9), endpoint=True).astype(np.int8)
    y = b.op("LinearDynamic", [codes, m, k, weight, i32(np.ones(9)), i32(20), i32(np.zeros(9))])[0]
    y = b.move("Reshape", [y, i64([0, -1, 3, 3])])[0]
    y = b.move("Transpose", [y], perm=[0, 1, 3, 2])[0]
    y = b.move("Concat", b.move("Split", [y, i64([1, 2])], axis=2, outputs=2), axis=-2)[0]
    y = b.move("Reshape", [y, i64([1, -1, 9])])[0]
    y.name = "logits"
    b.output(y)
    b.finish()
    assert _cuts(_same_row(b)) == _cuts(keep_last_token(decoder().model))


def test_what_is_not_row_wise_is_computed_in_full() -> None:
    b = Bench("mixed", max_tokens=8)
    b.case("mixed")
    x = b.input(np.int32, ["batch", S, 6], -(2**20), 2**20, "x")
    q, k, v = (b.move("Reshape", [x, i64([0, 0, 1, 6])])[0] for _ in range(3))
    caches = cached(b, 0, 1, 6, 6, (k, v))
    constants = cached_attention.parameters(2.0**-12, 2.0**-12, 0.25, 1, 1, 6, 6)
    y = b.op("CachedAttention", [q, *caches, *constants])[0]
    y = b.move("Reshape", [y, i64([0, 0, -1])])[0]
    mixed = b.move("Reshape", [b.move("Transpose", [y], perm=[0, 2, 1])[0], i64([1, -1, 6])])[0]
    logits = b.op("SaturatingAdd", [mixed, x])[0]
    logits.name = "logits"
    b.output(logits)
    b.finish()
    made = _same_row(b)
    assert _cuts(made) == ["x", mixed.name]


def test_logits_without_a_row_wise_maker_are_cut_themselves() -> None:
    b = Bench("plain", max_tokens=8)
    b.case("plain")
    x = b.input(np.int32, ["batch", S, 6], -9, 9, "x")
    turned = b.move("Transpose", [x], perm=[0, 2, 1])[0]
    logits = b.move("Transpose", [turned], perm=[0, 2, 1])[0]
    logits.name = "logits"
    b.output(logits)
    b.finish()
    assert _cuts(_same_row(b)) == ["logits.all"]


def test_which_graphs_generate_text() -> None:
    bench = decoder()
    assert not generates_text(bench.model)
    bench.model.metadata_props["intcc.task"] = "text-generation"
    assert generates_text(bench.model)
    bench.graph.outputs[-1].name = "hidden"
    assert not generates_text(bench.model)
    plain = Bench("plain")
    plain.model.metadata_props["intcc.task"] = "text-generation"
    assert not generates_text(plain.model)


def test_logits_without_rows_are_our_mistake() -> None:
    b = Bench("flat")
    b.case("flat")
    x = b.input(np.int32, ["batch", 6], -9, 9, "x")
    logits = b.op("Affine", [x, i32([2]), i32([1])])[0]
    logits.name = "logits"
    logits.shape = ir.Shape(["batch", 6])
    b.output(logits)
    with pytest.raises(ValueError, match="have no rows of tokens"):
        keep_last_token(b.model)
