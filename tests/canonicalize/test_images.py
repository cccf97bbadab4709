"""Images: convolutions and what surrounds them become operators with channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intcc.errors import UnsupportedOperatorError
from tests.canonicalize.helpers import canonical, kinds

SIZE = "float[batch, 3, 9, 8]"
RANDOM = np.random.default_rng(0)
GIVEN = {"pixel_values": RANDOM.normal(0, 1, (2, 3, 9, 8)).astype(np.float32)}


def constant(name: str, *shape: int) -> str:
    """Return a constant of random elements."""
    numbers = ", ".join(f"{v:.3f}" for v in RANDOM.uniform(0.01, 0.3, shape).reshape(-1))
    extents = ", ".join(map(str, shape))
    return f"{name} = Constant<value = float[{extents}] {{{numbers}}}>() "


def conv(x: str, y: str, *shape: int, **attributes: Any) -> str:
    """Return a Conv with its weights."""
    given = ", ".join(f"{k} = {v}" for k, v in attributes.items())
    return constant(f"{y}w", *shape) + f"{y} = Conv{f'<{given}>' * bool(given)}({x}, {y}w) "


def check(output: str, body: str) -> list[str]:
    """Compare with onnxruntime on the body as it is; return the operators that are left."""
    return kinds(canonical(f"{SIZE} pixel_values", f"float[batch, {output}]", body, GIVEN))


@pytest.mark.parametrize(
    ("shape", "attributes", "output"),
    [
        ((4, 3, 3, 3), {"pads": "[1, 1, 1, 1]"}, "4, 9, 8"),
        ((4, 3, 2, 3), {"strides": "[2, 3]", "pads": "[0, 2, 1, 0]"}, "4, 5, 3"),
        ((6, 1, 3, 2), {"group": 3, "dilations": "[2, 1]"}, "6, 5, 7"),
        ((4, 3, 4, 3), {"strides": "[2, 2]", "auto_pad": '"SAME_UPPER"'}, "4, 5, 4"),
        ((4, 3, 4, 3), {"strides": "[3, 2]", "auto_pad": '"SAME_LOWER"'}, "4, 3, 4"),
        ((4, 3, 1, 1), {"strides": "[2, 2]"}, "4, 5, 4"),
    ],
)
def test_convolution(shape: tuple[int, ...], attributes: dict[str, Any], output: str) -> None:
    found = check(output, conv("pixel_values", "y", *shape, **attributes))
    assert found == ["Transpose", "Conv", "Transpose"]


def test_one_by_one_is_a_product() -> None:
    found = check("4, 9, 8", conv("pixel_values", "y", 4, 3, 1, 1))
    assert found == ["Transpose", "MatMul", "Add", "Transpose"]


def test_a_network_has_channels_last_throughout() -> None:
    """No Transpose is left between the image and the logits."""
    body = (
        conv("pixel_values", "a", 5, 3, 3, 3, pads="[1, 1, 1, 1]")
        + "".join(constant(f"n{i}", 5) for i in range(4))
        + "b = BatchNormalization<epsilon = 0.01>(a, n0, n1, n2, n3) r = Relu(b) "
        "p = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(r) "
        + conv("p", "c", 5, 1, 3, 3, pads="[1, 1, 1, 1]", group=5)
        + constant("k", 5, 1, 1)
        + "s = Add(c, p) m = Mul(s, k) h = HardSwish(m) "
        "o = Constant<value_float = 6.0>() z = Constant<value_float = 0.0>() l = Clip(h, z, o) "
        "v = AveragePool<kernel_shape = [2, 2]>(l) f = Flatten(v) "
        + constant("w", 2, 45)
        + constant("t", 2)
        + "y = Gemm<transB = 1>(f, w, t)"
    )
    assert check("2", body) == [
        "Transpose", "Conv", "Relu", "MaxPool", "Conv", "Add", "Mul", "Mul", "Add", "Clip", "Mul",
        "Clip", "Conv", "Reshape", "MatMul", "Add",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "pool",
    [
        "GlobalAveragePool(c)",
        "ReduceMean<keepdims = 1>(c, axes)",
        "ReduceMean<keepdims = 0>(c, axes)",
    ],
)
def test_mean_of_all_pixels(pool: str) -> None:
    flat = "" if "keepdims = 0" in pool else "y = Flatten(g)"
    name = "g" if flat else "y"
    axes = "axes = Constant<value_ints = [-2, -1]>() "
    body = conv("pixel_values", "c", 4, 3, 3, 3) + axes + f"{name} = {pool} {flat}"
    found = check("4", body)
    assert found[:4] == ["Transpose", "Conv", "Reshape", "MeanPool"]
    assert set(found[4:]) <= {"Reshape"}


def test_gate_per_channel_and_join() -> None:
    """Squeeze and excite, then two branches side by side."""
    body = (
        conv("pixel_values", "c", 4, 3, 3, 3)
        + "g = GlobalAveragePool(c) "
        + conv("g", "e", 4, 4, 1, 1)
        + "s = Sigmoid(e) m = Mul(c, s) j = Concat<axis = 1>(m, c) "
        + conv("j", "y", 2, 8, 1, 1)
    )
    found = check("2, 7, 6", body)
    assert found.count("Transpose") == 2
    assert [k for k in found if k != "Reshape"][2:] == [
        "MeanPool", "MatMul", "Add", "Sigmoid", "Mul", "Concat", "MatMul", "Add", "Transpose",
    ]  # fmt: skip


def test_limits_that_are_not_given() -> None:
    body = conv("pixel_values", "c", 4, 3, 3, 3) + "z = Constant<value_float = 0.0>() "
    assert check("4, 7, 6", body + "y = Clip(c, z)")[1:3] == ["Conv", "Relu"]
    assert check("4, 7, 6", body + "n = Constant<value_float = -2.0>() y = Clip(c, n)")[1:3] == [
        "Conv",
        "Clip",
    ]


def test_average_over_pixels_outside_is_refused() -> None:
    pool = "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(pixel_values)"
    with pytest.raises(UnsupportedOperatorError, match=r"AveragePool '.*' of shape"):
        check("3, 9, 8", pool)


def test_shapes_of_a_fixed_batch_are_those_of_a_free_one() -> None:
    body = (
        conv("pixel_values", "a", 4, 3, 3, 2, pads="[0, 1, 1, 0]", strides="[2, 1]")
        + "b = Relu(a) c = MaxPool<kernel_shape = [2, 3], dilations = [1, 2]>(b) "
        + conv("c", "d", 5, 4, 1, 1, strides="[2, 2]")
        + "y = Flatten(d)"
    )
    shapes = []
    for batch in ("batch", "2"):
        inputs = f"float[{batch}, 3, 9, 8] pixel_values"
        model = canonical(inputs, f"float[{batch}, 20]", body, GIVEN)
        shapes.append([(out.dtype, str(out.shape)) for node in model.graph for out in node.outputs])
    assert shapes[0] == shapes[1] and not any("None" in shape for _, shape in shapes[0])
