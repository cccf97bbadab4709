"""Cases of operators on the TOSA reference model, compared with the numpy references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.backends.tosa.emit import tosa_graph
from intcc.backends.tosa.serialize import serialize
from intcc.runtime.reference import evaluate, evaluate_node
from intcc.runtime.tosa import TosaModel
from intcc.specs import TensorSpec
from tests.c.bench import Bench

__all__ = ["LENGTHS", "Result", "bench_of", "differences", "results", "specs"]

#: Tokens of this call, and of earlier ones.
LENGTHS = ((1, 2), (5, 6), (17, 3))


class ProvenBench(Bench):
    """Cases within the constraints of the operators: those of C try even divisors too."""

    def op(self, kind: str, inputs: Any, **more: Any) -> list[ir.Value]:
        if kind == "Linear":
            inputs = [*inputs[:3], inputs[3] | 1, *inputs[4:]]
        return super().op(kind, inputs, **more)


def bench_of(build: Callable[[Bench], None], kind: type[Bench] = ProvenBench) -> Bench:
    bench = kind("bench")
    build(bench)
    bench.finish()
    return bench


@dataclass(frozen=True)
class Result:
    """One output of one run: what the reference says, and what TOSA computes."""

    label: str
    expected: npt.NDArray[Any]
    got: npt.NDArray[Any]

    def difference(self) -> str:
        """Return where the two differ, empty if nowhere."""
        if self.expected.shape != self.got.shape:
            return f"{self.label} {self.got.shape}, not {self.expected.shape}"
        if (self.expected == self.got).all():
            return ""
        at = tuple(int(i) for i in np.argwhere(self.expected != self.got)[0])
        return f"{self.label}{at} is {self.got[at]}, not {self.expected[at]}"


def results(
    bench: Bench, tokens: int, past: int, batch: int, kinds: Iterable[str], lacking: Iterable[str]
) -> Iterator[Result]:
    """Run a bench at fixed extents on inputs of each kind."""
    extents = {"batch": batch, "sequence": tokens, "past": past, "total": tokens + past}
    flatbuffer = serialize(tosa_graph(bench.model, extents, evaluate_node, tuple(lacking)))
    model = TosaModel(flatbuffer, specs(bench.graph.inputs), specs(bench.graph.outputs))
    for kind in kinds:
        feeds = bench.feeds(tokens, kind, past=past, batch=batch)
        with np.errstate(over="ignore"):
            expected = evaluate(bench.model, feeds)
        got = model.run(feeds)
        for name, array in expected.items():
            yield Result(f"{tokens} {kind}: {name}", array, got[name])


def differences(
    bench: Bench,
    lengths: Iterable[tuple[int, int]] = LENGTHS,
    kinds: Iterable[str] = ("random", "low", "high", "mix", "small"),
    lacking: Iterable[str] = (),
) -> list[str]:
    """Return where TOSA differs from the reference, empty if nowhere."""
    found = [
        result.difference()
        for tokens, past in lengths
        for result in results(bench, tokens, past, 1, kinds, lacking)
    ]
    return [difference for difference in found if difference]


def specs(values: Iterable[ir.Value]) -> list[TensorSpec]:
    made = []
    for value in values:
        assert value.shape is not None and value.dtype is not None
        shape = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
        made.append(TensorSpec(str(value.name), value.dtype.numpy().name, shape))
    return made
