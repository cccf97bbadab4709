"""A bench of operators: many small graphs in one model, one C build, compared with the reference.

Each case adds its own inputs, nodes and outputs. The whole is emitted and compiled once per set
of flags; a difference is reported under the case's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.c.emit import CReport, emit_c
from intcc.ops.operator import DOMAIN
from intcc.runtime.c_model import CModel
from intcc.runtime.native import NativeModel
from intcc.runtime.reference import evaluate
from intcc.specs import TensorSpec

Array = npt.NDArray[Any]
Dims = Sequence[int | str]
#: Largest token count of a bench: two lanes of keys and a half, and no multiple of a block.
MAX_TOKENS = 41
TOKENS = (1, 2, 3, 4, 5, 7, 16, 17, 32, 41)


class Prototype(CModel):
    """What the header says of C that another program calls: nothing is built."""

    def call(self, *_: Any) -> int:
        raise NotImplementedError


class Bench:
    """A model under construction."""

    def __init__(self, name: str, *, max_tokens: int = MAX_TOKENS) -> None:
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": 20, "ai.intcc": 1}, name=name)
        self.model = ir.Model(self.graph, ir_version=10)
        self.model.metadata_props.update(
            {"intcc.name": name, "intcc.max_length": str(max_tokens), "intcc.task": "test"}
        )
        self.limits: dict[str, tuple[int, int]] = {}
        self.prefix = ""
        self._count = 0
        self._expected: dict[bytes, dict[str, Array]] = {}

    def case(self, name: str) -> None:
        """Start a case: its values carry this prefix."""
        self.prefix, self._count = name, 0

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{self.prefix}.{stem}{self._count}"

    def input(self, dtype: Any, shape: Dims, lo: int, hi: int, name: str = "") -> ir.Value:
        """Add an input whose elements lie in [lo, hi]."""
        value = ir.Value(
            name=name or self._fresh("in"),
            shape=ir.Shape(shape),
            type=ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype))),
        )
        value.metadata_props["intcc.range"] = f"{lo} {hi}"
        self.graph.inputs.append(value)
        self.limits[str(value.name)] = (lo, hi)
        return value

    def const(self, array: Any, dtype: Any = None) -> ir.Value:
        """Add a constant."""
        a = np.asarray(array, dtype)
        value = ir.Value(
            name=self._fresh("const"),
            shape=ir.Shape(a.shape),
            type=ir.TensorType(ir.DataType.from_numpy(a.dtype)),
            const_value=ir.tensor(a),
        )
        self.graph.register_initializer(value)
        return value

    def op(
        self,
        kind: str,
        inputs: Sequence[ir.Value | Array | None],
        *,
        outputs: int = 1,
        domain: str = DOMAIN.domain,
        **attributes: Any,
    ) -> list[ir.Value]:
        """Add a node; arrays become constants."""
        operands = [self.const(x) if isinstance(x, np.ndarray) else x for x in inputs]
        made = [ir.Value(name=self._fresh(kind.lower())) for _ in range(outputs)]
        node = ir.Node(
            domain,
            kind,
            operands,
            attributes=ir.convenience.convert_attributes(attributes),
            outputs=made,
            name=self._fresh(kind),
        )
        node.metadata_props["intcc.layer"] = f"{self.prefix}.{kind.lower()}"
        self.graph.append(node)
        return made

    def move(
        self, kind: str, inputs: Sequence[ir.Value | Array | None], **more: Any
    ) -> list[ir.Value]:
        """Add a standard data-movement node."""
        return self.op(kind, inputs, domain="", **more)

    def output(self, *values: ir.Value) -> None:
        """Declare outputs."""
        self.graph.outputs.extend(values)

    # -- running --------------------------------------------------------------------------------

    def finish(self) -> ir.Model:
        """Infer types and shapes by running two lengths; return the model."""
        seen: dict[ir.Value, list[Array]] = {}
        for n in (5, 7):
            evaluate(
                self.model,
                self.feeds(n, "low", past=6),
                lambda v, a: seen.setdefault(v, []).append(np.asarray(a)),
            )
        for value, (a, b) in seen.items():
            symbols = {(5, 7): "sequence", (11, 13): "total"}
            for x, y in zip(a.shape, b.shape, strict=True):
                assert x == y or (x, y) in symbols, f"{value.name}: {a.shape} and {b.shape}"
            dims = [symbols.get((x, y), x) for x, y in zip(a.shape, b.shape, strict=True)]
            value.shape = ir.Shape(dims)
            value.type = ir.TensorType(ir.DataType.from_numpy(a.dtype))
        return self.model

    def feeds(
        self, n: int, kind: str, seed: int = 0, *, past: int = 0, batch: int = 1
    ) -> dict[str, Array]:
        """Return inputs: "low" and "high" ends, their "mix", "small" numbers, or "random" ones.

        "sizes" are random with rows of all magnitudes.
        """
        symbols = {"batch": batch, "past": past}
        rng = np.random.default_rng([n, seed])
        made = {}
        for value in self.graph.inputs:
            assert value.shape is not None and value.dtype is not None
            shape = [d if isinstance(d, int) else symbols.get(str(d.value), n) for d in value.shape]
            lo, hi = self.limits[str(value.name)]
            made[str(value.name)] = _numbers(rng, shape, lo, hi, kind).astype(value.dtype.numpy())
        return made

    def all_feeds(self) -> Iterator[tuple[str, dict[str, Array]]]:
        """Yield a label and inputs: every token count at random, then the edges."""
        for n in TOKENS:
            yield f"{n} tokens", self.feeds(n, "random")
        for kind in ("low", "high", "mix", "small"):
            yield kind, self.feeds(17, kind)

    def expected(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the reference makes of inputs, once for all builds of the finished model."""
        digest = hashlib.sha256()
        for name, array in feeds.items():
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        key = digest.digest()
        if key not in self._expected:
            self._expected[key] = evaluate(self.model, feeds)
        return self._expected[key]

    def emit(self, folder: Path, **options: Any) -> CReport:
        """Write the C."""
        return emit_c(self.model, folder, evaluate=evaluate, **options)

    def manifest(self) -> dict[str, Any]:
        """Return what NativeModel reads."""
        return {
            "inputs": [_spec(v) for v in self.graph.inputs],
            "outputs": [_spec(v) for v in self.graph.outputs],
        }

    def prototype(self, folder: Path) -> Prototype:
        """Read the header of `folder`."""
        return Prototype(folder, self.manifest())

    def native(self, folder: Path, flags: Sequence[str] = ("-O1",), **options: Any) -> NativeModel:
        """Build and load the C of `folder`."""
        return NativeModel(folder, self.manifest(), flags=flags, **options)


def _numbers(rng: np.random.Generator, shape: list[int], lo: int, hi: int, kind: str) -> Array:
    if kind == "low":
        return np.full(shape, lo, np.int64)
    if kind == "high":
        return np.full(shape, hi, np.int64)
    if kind == "mix":
        return np.where(rng.random(shape) < 0.5, lo, hi).astype(np.int64)
    if kind == "small":
        middle = (lo + hi) // 2
        return rng.integers(max(lo, middle - 3), min(hi, middle + 3) + 1, shape)
    numbers = rng.integers(lo, hi, shape, endpoint=True)
    if kind == "sizes":
        rows = [*shape[:-1], 1] if shape else []
        shorter = rng.uniform(0, np.log2(2.0 + max(-lo, hi)), rows)
        return np.asarray(np.clip((numbers * np.exp2(-shorter)).astype(np.int64), lo, hi))
    return numbers


def _spec(value: ir.Value) -> dict[str, Any]:
    assert value.shape is not None and value.dtype is not None
    shape = tuple(d if isinstance(d, int) else str(d.value) for d in value.shape)
    return TensorSpec(str(value.name), value.dtype.numpy().name, shape).to_json()


def differences(bench: Bench, native: CModel) -> list[str]:
    """Return where the C differs from the reference, empty if nowhere."""
    found = []
    for label, feeds in bench.all_feeds():
        expected, got = bench.expected(feeds), native.run(feeds)
        for name, array in expected.items():
            if array.shape != got[name].shape:
                found.append(f"{label}: {name} has shape {got[name].shape}, not {array.shape}")
            elif (array != got[name]).any():
                at = tuple(int(i) for i in np.argwhere(array != got[name])[0])
                found.append(f"{label}: {name}{at} is {got[name][at]}, not {array[at]}")
    return found
