"""Where float32 rounds as integers do: exhaustively, by count, and in onnxruntime itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from intcc.requantization import LARGEST_DIVISOR, differing, scale_of
from intcc.runtime.ort import open_session

Array = npt.NDArray[np.int64]


def exact(u: Array, d: Array, zero: int) -> Array:
    return np.asarray(np.clip((u + d // 2) // d + zero, 0, 255))


def rounded(u: Array, d: Array, zero: int) -> Array:
    product = u.astype(np.float32) * scale_of(d)
    assert product.dtype == np.float32
    return np.asarray(np.clip(np.rint(product).astype(np.int64) + zero, 0, 255))


def steps(d: Array, zero: int) -> Array:
    """Return the accumulators on both sides of every step of the result: [len(d), 510]."""
    last = np.arange(-zero, 255 - zero) * d[:, None] + (d[:, None] - 1) // 2
    return np.concatenate([last, last + 1], axis=1)


@pytest.mark.parametrize("zero", [0, 128, 255])
def test_every_divisor_up_to_the_largest_is_exact(zero: int) -> None:
    d = np.arange(1, LARGEST_DIVISOR + 1, 2)
    u = steps(d, zero)
    assert (exact(u, d[:, None], zero) == rounded(u, d[:, None], zero)).all()


def test_each_side_of_a_step_is_another_result() -> None:
    """Otherwise the test above would look at the wrong places."""
    u = steps(np.array([1, 3, 999]), 128)
    y = exact(u, np.array([[1], [3], [999]]), 128)
    assert (y[:, 255:] - y[:, :255] == 1).all()


@pytest.mark.parametrize("d", [77777, 2**20 + 1, 2**22 + 5])
def test_differences_are_counted(d: int) -> None:
    """Against a look at everything near a step; further off even float32 is sure."""
    divisor, reach = np.array([d, 7]), np.array([d * 130, 900])
    near = np.arange(-300, 301) + (np.arange(-129, 128) * d + d // 2)[:, None]
    assert d > near.shape[1] * 2
    wrong = exact(near, divisor[:1], 128) != rounded(near, divisor[:1], 128)
    assert wrong.any()
    assert not wrong[:, [0, 1, -2, -1]].any()
    assert differing(divisor, 128, -reach, reach).tolist() == [wrong.sum(), 0]
    assert differing(divisor, 128, np.array([-9, 0]), np.array([9, 0])).tolist() == [0, 0]


def test_ties_of_powers_of_two_are_counted() -> None:
    """m d + d / 2 goes up, and in float32 to even: they differ where m is even."""
    u = np.arange(-1000, 1001)
    wrong = exact(u, np.array([[8]]), 128) != rounded(u, np.array([[8]]), 128)
    assert wrong.any()
    found = differing(np.array([8, 7]), 128, np.array([-1000, -9]), np.array([1000, 9]))
    assert found.tolist() == [wrong.sum(), 0]


def requantize(u: Array, d: Array, zero: int, level: str) -> Array:
    """Let onnxruntime requantize accumulators: biases of a convolution of nothing."""
    n = len(u)
    constants: dict[str, npt.NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "x_zero": np.array(0, np.uint8),
        "w": np.ones((n, 1, 1), np.int8),
        "s": scale_of(d),
        "w_zero": np.zeros(n, np.int8),
        "zero": np.array(zero, np.uint8),
        "bias": u.astype(np.int32),
    }
    names = ["x", "one", "x_zero", "w", "s", "w_zero", "one", "zero", "bias"]
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", names, ["y"], kernel_shape=[1])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, n, 3])],
        [numpy_helper.from_array(a, k) for k, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    session = open_session(model.SerializeToString(), level=level)
    y = session.run(None, {"x": np.zeros((1, 1, 3), np.uint8)})[0][0]
    assert (y == y[:, :1]).all()
    return np.asarray(y[:, 0], np.int64)


@pytest.mark.parametrize("level", ["disable", "all"])
def test_onnxruntime_computes_what_is_counted(level: str) -> None:
    """On and beside all steps, of exact divisors and of ones so large that float32 errs."""
    random = np.random.default_rng(1)
    small = np.array([1, 3, 5, 127, LARGEST_DIVISOR, *(2 * random.integers(0, 8192, 8) + 1)])
    large = 2 * random.integers(2**16, 2**21, 8) + 1
    for zero in (0, 128):
        for divisors in (small, large):
            u = steps(divisors, zero).ravel()
            d = np.repeat(divisors, 510)
            y = requantize(u, d, zero, level)
            assert (y == rounded(u, d, zero)).all()
            assert (y == exact(u, d, zero)).all() == (divisors is small)
