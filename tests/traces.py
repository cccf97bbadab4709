"""Traces of models that several tests compile: made once, however many workers there are.

Tracing takes most of the time of a small compilation. A trace follows from the model's modules,
config and weights and from the arguments of the call; tests of other files then read what the
first one made. Only for tests that leave the code of models and of the exporter as it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir

__all__ = ["remembered"]

#: Bytes of the weights from which on a trace is not kept.
_LARGEST = 2**23


def remembered(trace: Callable[..., ir.Model], folder: Path) -> Callable[..., ir.Model]:
    """Return `trace(model, ...)`, which gives a graph, with a memory.

    Args:
        trace: a function of the tracing frontend.
        folder: where traces are kept, shared by processes.
    """

    def call(model: Any, *arguments: Any, **named: Any) -> ir.Model:
        state = model.state_dict()
        if sum(tensor.nbytes for tensor in state.values()) > _LARGEST:
            return trace(model, *arguments, **named)
        key = hashlib.sha256(f"{trace.__name__} {type(model)} {arguments} {named}".encode())
        key.update(f"{model} {model.config.to_json_string()}".encode())
        for name, tensor in state.items():
            key.update(name.encode())
            key.update(tensor.contiguous().cpu().numpy().tobytes())
        path = folder / key.hexdigest()
        if not path.exists():
            graph = trace(model, *arguments, **named)
            own = folder / f"{path.name}.{os.getpid()}"
            ir.save(graph, own)
            own.replace(path)
            return graph
        return ir.load(path)

    return call
