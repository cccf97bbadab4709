"""What has no C form is one error that names the node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from intcc.errors import UnsupportedOperatorError
from tests.c.bench import Bench
from tests.c.cases import i32, i64

S = "sequence"


def last_token(b: Bench) -> None:
    x = b.input(np.int32, ["batch", S, 4], -9, 9)
    b.output(*b.move("Gather", [x, i64(-1)], axis=1))


def tail(b: Bench) -> None:
    x = b.input(np.int32, ["batch", S, 4], -9, 9)
    b.output(*b.move("Slice", [x, i64([-2]), i64([2**31]), i64([1])]))


def stepped(b: Bench) -> None:
    x = b.input(np.int32, ["batch", S, 4], -9, 9)
    b.output(*b.move("Slice", [x, i64([0]), i64([4]), i64([2]), i64([2])]))


def corner(b: Bench) -> None:
    x = b.input(np.int32, ["batch", S, 4, 4], -9, 9)
    b.output(*b.move("Slice", [x, i64([0, 0]), i64([2, 2]), i64([2, 3])]))


def repeated_left(b: Bench) -> None:
    x, y = b.input(np.uint8, [S, 6], 0, 127), b.input(np.uint8, [4, 6, 7], 1, 255)
    b.output(*b.op("BatchMatMul", [x, np.asarray(64, np.uint8), y]))


def inner_broadcast(b: Bench) -> None:
    x, y = (b.input(np.int32, shape, -9, 9) for shape in ([3, 4, 5], [3, 1, 5]))
    b.output(*b.op("Add", [x, y]))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (last_token, "counts from the end of the sequence"),
        (tail, "counts from the end of the sequence"),
        (stepped, "has steps other than one"),
        (corner, "cuts several axes at once"),
        (repeated_left, "repeats its left operand"),
        (inner_broadcast, r"broadcasts \[3, 4, 5\] and \[3, 1, 5\]"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_named(build: Callable[[Bench], None], text: str, tmp_path: Path) -> None:
    bench = Bench("refused")
    bench.case("part")
    build(bench)
    if build is tail:  # its extent does not depend on the length
        value = bench.graph.outputs[0]
        value.shape, value.type = ir.Shape([1, 2, 4]), ir.TensorType(ir.DataType.INT32)
    else:
        bench.finish()
    with pytest.raises(UnsupportedOperatorError, match=rf"'part\.\w+' {text}\. Report"):
        bench.emit(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_foreign_operator(tmp_path: Path) -> None:
    bench = Bench("foreign")
    bench.case("part")
    x = bench.input(np.int32, [1, 4], -9, 9)
    (y,) = bench.move("Mul", [x, i32([2])])
    y.shape, y.type = ir.Shape([1, 4]), ir.TensorType(ir.DataType.INT32)
    bench.output(y)
    with pytest.raises(UnsupportedOperatorError, match=r"Mul 'part\.\w+' has no C form"):
        bench.emit(tmp_path / "c")


def test_unknown_dimension(tmp_path: Path) -> None:
    bench = Bench("unknown")
    bench.case("part")
    x = bench.input(np.int32, ["batch", "height"], -9, 9)
    (y,) = bench.op("Relu", [x])
    y.shape, y.type = x.shape, x.type
    bench.output(y)
    with pytest.raises(UnsupportedOperatorError, match="has the dimension 'height'"):
        bench.emit(tmp_path / "c")
