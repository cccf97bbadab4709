"""The reference interpreter moves data exactly as onnxruntime does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from intcc.runtime.movement import MOVEMENT
from intcc.runtime.ort import open_session

X = np.arange(24, dtype=np.int32).reshape(2, 3, 4) * 37 % 29


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES = [
    ("Add", (i64(3), i64(9)), {}),
    ("Reshape", (X, i64(0, -1)), {}),
    ("Reshape", (X, i64(4, 6)), {}),
    ("Reshape", (X[:, :0], i64(0, 2, 3)), {"allowzero": 1}),
    ("Transpose", (X,), {"perm": [2, 0, 1]}),
    ("Transpose", (X,), {}),
    ("Slice", (X, i64(1), i64(100), i64(2)), {}),
    ("Slice", (X, i64(-1), i64(-100), i64(1), i64(-1)), {}),
    ("Slice", (X, i64(0, 3), i64(1, 0), i64(0, 2), i64(1, -2)), {}),
    ("Concat", (X, X + 1), {"axis": -1}),
    ("Split", (X, i64(1, 2)), {"axis": 1}),
    ("Split", (X,), {"axis": 2, "num_outputs": 3}),
    ("Squeeze", (X[:1], i64(0)), {}),
    ("Squeeze", (X[:1],), {}),
    ("Unsqueeze", (X, i64(0, -1)), {}),
    ("Expand", (X[:, :1], i64(3, 1)), {}),
    ("Gather", (X, i64(-1, 0)), {"axis": 1}),
    ("Gather", (X, np.array(1)), {}),
    ("Cast", (X * 1000,), {"to": TensorProto.INT8}),
    ("Cast", (X - 20,), {"to": TensorProto.UINT8}),
    ("ArgMax", (X,), {"axis": 1}),
    ("ArgMax", (X // 9,), {"axis": -1, "keepdims": 0, "select_last_index": 1}),
    ("Shape", (X,), {"start": 1, "end": 2}),
    ("Shape", (X,), {}),
    ("Identity", (X,), {}),
]


@pytest.mark.parametrize(("kind", "inputs", "attributes"), CASES)
def test_equals_onnxruntime(
    kind: str, inputs: tuple[np.ndarray, ...], attributes: dict[str, Any]
) -> None:
    got = MOVEMENT[kind](attributes, *inputs)
    names = [f"x{i}" for i in range(len(inputs))]
    outputs = [f"y{i}" for i in range(len(got))]
    graph = helper.make_graph(
        [helper.make_node(kind, names, outputs, **attributes)],
        "g",
        [
            helper.make_tensor_value_info(
                "x0", helper.np_dtype_to_tensor_dtype(inputs[0].dtype), inputs[0].shape
            )
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(a, n) for a, n in zip(inputs[1:], names[1:], strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    expected = open_session(model.SerializeToString()).run(None, {"x0": inputs[0]})
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert (a == b).all()


def test_every_operator_has_a_case() -> None:
    assert {kind for kind, _, _ in CASES} == set(MOVEMENT)
