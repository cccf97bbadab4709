"""Fold: constants are computed, large ones stay nodes."""

from __future__ import annotations

import numpy as np

from intcc.backends.onnx.fold import LARGEST, fold_constants
from tests.strict.harness import flat, kinds, node, run, same

I32 = np.int32


def test_constants_become_initializers_with_onnxruntime_s_division() -> None:
    model = flat(
        [node("Div", "a b", "c"), node("Mul", "c c", "d"), node("Add", "x d", "y")],
        {"x": (I32, ["n"])}, {"y": I32},
        {"a": np.array([-7, 7], I32), "b": np.array(2, I32)},
    )  # fmt: skip
    feeds = {"x": np.array([0, 100], I32)}
    before = run(model, feeds)
    fold_constants(model)
    assert kinds(model) == ["Add"]
    assert before[0].tolist() == [9, 109]  # -7 / 2 truncates
    same(before, model, feeds)


def test_large_results_and_outputs_stay() -> None:
    n = LARGEST // 4
    model = flat(
        [node("Add", "a b", "c"), node("Add", "x c", "y"), node("Add", "b b", "z")],
        {"x": (I32, [1])}, {"y": I32, "z": I32},
        {"a": np.zeros(n + 1, I32), "b": np.ones(1, I32)},
    )  # fmt: skip
    feeds = {"x": np.array([5], I32)}
    before = run(model, feeds)
    fold_constants(model)
    assert kinds(model) == ["Add", "Add", "Add"]
    same(before, model, feeds)
