"""Small models for the tests of the QDQ flavour, built up to the integer graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from intcc.build import Built, build_graph
from intcc.progress import Progress
from intcc.runtime.ort import open_session
from intcc.settings import Settings
from tests.onnx_convnet import images, write_convnet
from tests.onnx_encoder import LENGTH, feeds, write_encoder

__all__ = ["CLOSE", "build", "change", "convnet", "encoder", "family", "session"]

Array = npt.NDArray[Any]
#: Cosine to float, as for the integer models of tests/test_families.py: random weights are the
#: hard case.
CLOSE = 0.99


def session(model: onnx.ModelProto, level: str = "all") -> onnxruntime.InferenceSession:
    """Return a session of one thread."""
    opened: onnxruntime.InferenceSession = open_session(model.SerializeToString(), 1, level)
    return opened


def build(path: Path, **settings: Any) -> Built:
    """Compile in memory."""
    return build_graph(path, Settings.of(calibration_samples=12, **settings), Progress())


def encoder(folder: Path, norm: str) -> tuple[Path, Built]:
    """Write an encoder of odd extents; return its path and what it compiles to."""
    path = write_encoder(folder / "m.onnx", 45, 5, 77, norm=norm)
    samples = [feeds(i, 1, 5 + i % (LENGTH - 5))["input_ids"] for i in range(12)]
    np.savez(folder / "ids.npz", input_ids=np.concatenate([np.resize(s, (1, 9)) for s in samples]))
    return path, build(path, max_length=LENGTH, calibration=folder / "ids.npz")


def convnet(folder: Path) -> tuple[Path, Built]:
    """Write a small convolutional network; return its path and what it compiles to."""
    path = write_convnet(folder / "m.onnx")
    np.savez(folder / "images.npz", pixel_values=images(1, 12))
    return path, build(path, calibration=folder / "images.npz")


@dataclass(frozen=True)
class Family:
    """A model of transformers with inputs and its own results.

    Attributes:
        built: what it compiles to.
        integers: inputs of the integer model.
        real: the same of the float model.
        exact: results of the float model.
        shown: which rows of them are no padding.
    """

    built: Built
    integers: dict[str, Array]
    real: dict[str, Array]
    exact: Array
    shown: Array


def family(name: str, folder: Path) -> Family:
    """Return a tiny model of a family: texts with padding, or images of bytes."""
    from tests.frontends import families

    torch_model = families.save(name, folder)
    built = build(folder, max_length=None if name == "vit" else 21)
    types = "token_type_ids" in [s.name for s in built.graph.inputs]
    integers = families.feeds(name, 7, 13, types)
    real = dict(integers)
    if name == "vit":
        scale = built.graph.inputs[0].scale
        assert scale is not None
        shape = integers["pixel_values"].shape
        integers = {"pixel_values": np.random.default_rng(3).integers(0, 256, shape, np.uint8)}
        real = {"pixel_values": scale.dequantize(integers["pixel_values"]).astype(np.float32)}
    exact = families.reference(torch_model, real)
    shown = np.ones(exact.shape[:2], bool)
    if name != "vit":
        shown = integers["attention_mask"].astype(bool)
    return Family(built, integers, real, exact, shown)


def change(model: onnx.ModelProto, ending: str, work: Any) -> onnx.ModelProto:
    """Return a copy whose first initializer of a name that ends so is changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = next(t for t in copy.graph.initializer if t.name.endswith(ending))
    tensor.CopyFrom(numpy_helper.from_array(work(numpy_helper.to_array(tensor)), tensor.name))
    return copy
