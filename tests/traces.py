"""Traces of models that several tests compile: made once, however many workers there are.

Tracing takes most of the time of a small compilation. A trace follows from the model's modules,
config and weights and from the arguments of the call; tests of other files then read what the
first one made. Not for tests that change the code of models or of the exporter.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir

__all__ = ["read_torchlib_once", "remembered"]

#: Bytes of the weights from which on a trace is not kept.
_LARGEST = 2**27


@functools.cache
def read_torchlib_once() -> None:
    """Let all exports of this process share torchlib's functions: to read them takes 0.4 s."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    read = functools.cache(ONNXRegistry.from_torchlib)

    def from_torchlib(**options: Any) -> Any:
        registry = copy.copy(read(**options))
        registry.functions = {target: [*found] for target, found in registry.functions.items()}
        return registry

    ONNXRegistry.from_torchlib = staticmethod(from_torchlib)


def remembered(trace: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """Return `trace(model, ...)`, which gives a graph or a graph and notes, with a memory.

    Args:
        trace: a function of the tracing frontend.
        folder: where traces are kept, shared by processes.
    """

    @functools.wraps(trace)
    def call(model: Any, *arguments: Any, **named: Any) -> Any:
        state = model.state_dict()
        if sum(tensor.nbytes for tensor in state.values()) > _LARGEST:
            return trace(model, *arguments, **named)
        key = hashlib.sha256(f"{trace.__name__} {type(model)} {arguments} {named}".encode())
        key.update(f"{model} {model.config.to_json_string()}".encode())
        for name, tensor in state.items():
            key.update(name.encode())
            key.update(tensor.contiguous().cpu().numpy().tobytes())
        path = folder / key.hexdigest()
        if path.exists():
            notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            return (ir.load(path), *notes) if notes else ir.load(path)
        read_torchlib_once()
        result = trace(model, *arguments, **named)
        graph, *notes = result if isinstance(result, tuple) else (result,)
        own = folder / f"{path.name}.{os.getpid()}"
        own.write_text(json.dumps(notes), encoding="utf-8")
        own.replace(path.with_suffix(".json"))
        ir.save(graph, own)
        own.replace(path)
        return result

    return call
