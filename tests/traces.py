"""Traces of models that several tests compile: made once, however many workers there are.

Tracing takes most of the time of a small compilation. A trace follows from the model's class,
config and weights and from the arguments of the call; tests of other files then read what the
first one made, as the exporter left it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

__all__ = ["remembered"]

#: Bytes of the weights from which on a trace is not kept.
_LARGEST = 2**23


def remembered(trace: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """Return `trace(model, ...)`, which gives a graph or a tuple of one and more, with a memory.

    Args:
        trace: a function of the tracing frontend.
        folder: where traces are kept, shared by processes.
    """

    def call(model: Any, *arguments: Any, **named: Any) -> Any:
        state = model.state_dict()
        if sum(tensor.nbytes for tensor in state.values()) > _LARGEST:
            return trace(model, *arguments, **named)
        key = hashlib.sha256(f"{trace.__name__} {type(model)} {arguments} {named}".encode())
        key.update(model.config.to_json_string().encode())
        for name, tensor in state.items():
            key.update(name.encode())
            key.update(tensor.contiguous().cpu().numpy().tobytes())
        path = folder / key.hexdigest()
        if not path.exists():
            found = trace(model, *arguments, **named)
            graph, *rest = found if isinstance(found, tuple) else (found,)
            own = folder / f"{path.name}.{os.getpid()}"
            own.write_bytes(pickle.dumps((ir.to_proto(graph).SerializeToString(), rest)))
            own.replace(path)
        data, rest = pickle.loads(path.read_bytes())
        again = ir.from_proto(onnx.ModelProto.FromString(data))
        return (again, *rest) if rest else again

    return call
