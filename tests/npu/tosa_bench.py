"""Cases of operators on the TOSA reference model, compared with the numpy references."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx_ir as ir

from intcc.backends.tosa.emit import tosa_graph
from intcc.backends.tosa.serialize import serialize
from intcc.runtime.reference import evaluate, evaluate_node
from intcc.runtime.tosa import TosaModel
from intcc.specs import TensorSpec
from tests.c.bench import Bench

#: Tokens of this call, and of earlier ones.
LENGTHS = ((1, 2), (5, 6), (17, 3))


class ProvenBench(Bench):
    """Cases within the constraints of the operators: those of C try even divisors too."""

    def op(self, kind: str, inputs: Any, **more: Any) -> list[ir.Value]:
        if kind == "Linear":
            inputs = [*inputs[:3], inputs[3] | 1, *inputs[4:]]
        return super().op(kind, inputs, **more)


def bench_of(build: Callable[[Bench], None]) -> Bench:
    bench = ProvenBench("bench")
    build(bench)
    bench.finish()
    return bench


def differences(
    bench: Bench,
    lengths: Iterable[tuple[int, int]] = LENGTHS,
    kinds: Iterable[str] = ("random", "low", "high", "mix", "small"),
    lacking: Iterable[str] = (),
) -> list[str]:
    """Return where TOSA differs from the reference, empty if nowhere."""
    found = []
    for tokens, past in lengths:
        extents = {"batch": 1, "sequence": tokens, "past": past, "total": tokens + past}
        flatbuffer = serialize(tosa_graph(bench.model, extents, evaluate_node, tuple(lacking)))
        model = TosaModel(flatbuffer, specs(bench.graph.inputs), specs(bench.graph.outputs))
        for kind in kinds:
            feeds = bench.feeds(tokens, kind, past=past)
            with np.errstate(over="ignore"):
                expected = evaluate(bench.model, feeds)
            got = model.run(feeds)
            for name, array in expected.items():
                if array.shape != got[name].shape:
                    found.append(f"{tokens} {kind}: {name} {got[name].shape}, not {array.shape}")
                elif (array != got[name]).any():
                    at = tuple(int(i) for i in np.argwhere(array != got[name])[0])
                    found.append(f"{tokens} {kind}: {name}{at} is {got[name][at]}, not {array[at]}")
    return found


def specs(values: Any) -> list[TensorSpec]:
    return [TensorSpec(str(v.name), v.dtype.numpy().name, ()) for v in values]
