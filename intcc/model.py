"""A compiled model in memory: call it with integer arrays, get integer arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from intcc.errors import DataError, ModelError, SettingsError
from intcc.generation import (
    CachedSession,
    Session,
    StateRuntime,
    StateSession,
    stream,
)
from intcc.runtime.artifact import Artifact
from intcc.runtime.feeds import check_feeds
from intcc.sampling import Sampler
from intcc.specs import LOGITS, TensorSpec

if TYPE_CHECKING:
    from intcc.frontends.tokenizer import TextTokenizer

__all__ = ["BACKENDS", "CompiledModel", "Runtime", "open_runtime", "open_tokenizer", "tokenize"]

Array = npt.NDArray[Any]

#: Ways to run an artifact.
BACKENDS = ("onnx", "c", "reference", "qlinear", "qdq", "npu")


class Runtime(Protocol):
    """What every backend's runtime can do."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name."""
        ...


def open_runtime(artifact: Artifact, backend: str = "onnx", **options: Any) -> Runtime:
    """Open one backend of an artifact.

    Args:
        artifact: the compiled model.
        backend: one of BACKENDS, or the C on an emulated machine such as qemu:cortex-m4.
        options: the runtime's own: threads and level (onnx, qlinear, qdq), spin (onnx, qlinear),
            threads, large_pages, flags and compiler (c), simulate, flags and compiler (npu: the C,
            and the TOSA reference model for its parts).

    Raises:
        SettingsError: no such backend or machine, or the machine is too small.
        ArtifactError: the artifact lacks the backend's files.
        ToolError: onnxruntime, a C compiler or an emulator is missing.
    """
    if backend == "onnx":
        from intcc.runtime.ort import OrtModel

        return OrtModel(artifact.model_onnx, artifact.inputs, artifact.outputs,
                        float_io=artifact.float_io, **options)  # fmt: skip
    if backend == "qlinear":
        from intcc.runtime.ort import OrtModel

        return OrtModel(artifact.qlinear_onnx, artifact.inputs, artifact.outputs, **options)
    if backend == "qdq":
        from intcc.runtime.qdq import QdqModel

        return QdqModel(artifact.qdq_onnx, artifact.inputs, artifact.outputs, **options)
    if backend == "reference":
        from intcc.runtime.reference import ReferenceModel

        return ReferenceModel(artifact.integer_onnx, artifact.inputs, artifact.outputs)
    if backend == "c":
        from intcc.host import flags_of
        from intcc.runtime.native import NativeModel

        if "flags" not in options:
            options["flags"] = flags_of(artifact, options.get("compiler"))
        return NativeModel(artifact.c_folder, artifact.manifest, **options)
    if backend == "npu":
        from intcc.runtime.npu import NpuModel

        return NpuModel(artifact.npu_folder, artifact.manifest, **options)
    if backend.startswith("qemu:"):
        from intcc.emulation.model import EmulatedModel

        return EmulatedModel(artifact.c_folder, artifact.manifest, on=backend)
    raise SettingsError(
        f"Backend '{backend}'", "does not exist", f"Choose from: {', '.join(BACKENDS)}"
    )


def tokenize(artifact: Artifact, texts: Sequence[str]) -> list[dict[str, Array]]:
    """Return one unpadded sample of batch 1 per text, with the artifact's own tokenizer.

    Raises:
        DataError: the artifact has no tokenizer.
    """
    names = {spec.name for spec in artifact.inputs}
    samples = open_tokenizer(artifact).encode(list(texts), artifact.max_length or 0)
    return [{k: v for k, v in sample.items() if k in names} for sample in samples]


def open_tokenizer(artifact: Artifact) -> TextTokenizer:
    """Open the artifact's own tokenizer.

    Raises:
        DataError: it has none.
    """
    from intcc.frontends.tokenizer import TextTokenizer

    path = artifact.tokenizer_json
    if path is None:
        option = "--tokens" if artifact.decodes else "--input"
        raise DataError(
            f"Artifact '{artifact.folder}'", "has no tokenizer", f"Give token ids with {option}"
        )
    return TextTokenizer(path)


class CompiledModel:
    """A callable model.

        model = intcc.load("out")
        result = model(input_ids=ids)                       integers by name
        real = model.dequantize("sentence_embedding", result["sentence_embedding"])

    Attributes:
        artifact: the folder it came from.
        backend: what runs it.
    """

    def __init__(self, artifact: Artifact, backend: str = "onnx", **options: Any) -> None:
        """Open the backend."""
        self.artifact, self.backend = artifact, backend
        self._runtime = open_runtime(artifact, backend, **options)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape, dtype and scale of each input."""
        return self.artifact.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape, dtype and scale of each output."""
        return self.artifact.outputs

    def __call__(self, feeds: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Array]:
        """Run on integer arrays, by mapping or by keyword.

        An absent attention_mask is all ones, absent token_type_ids are zeros.

        Raises:
            DataError: the inputs do not fit the model.
        """
        checked = check_feeds(self.inputs, {**(feeds or {}), **named}, self.artifact.max_length)
        return self._runtime.run(checked)

    @property
    def generates(self) -> bool:
        """Whether the model is a decoder: it has caches and can continue tokens."""
        return self.artifact.decodes

    def session(self) -> Session:
        """Begin a text.

        Raises:
            ModelError: the model is no decoder.
        """
        if not self.generates:
            raise ModelError(
                f"Artifact '{self.artifact.folder}'",
                f"computes {self.artifact.task}, it generates nothing",
                "Compile a causal language model with --task text-generation",
            )
        if isinstance(self._runtime, StateRuntime):
            return StateSession(self._runtime)
        return CachedSession(self._runtime, self.inputs, self.artifact.max_length or 0)

    def sampler(
        self,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Sampler:
        """Return what draws tokens from this model's logits, in integers."""
        scale = _named(self.outputs, LOGITS, "Output").scale
        assert scale is not None
        return Sampler(scale, temperature, top_k, top_p, seed)

    def stream(
        self, token_ids: Sequence[int], max_new_tokens: int = 100, **sampling: Any
    ) -> Iterator[int]:
        """Yield new tokens one by one; see `generate`."""
        end = self.artifact.manifest.get("end_tokens", [])
        session = self.session()
        limit = _named(self.inputs, "input_ids", "Input").limits[1]
        unknown = [token for token in token_ids if not 0 <= token <= limit]
        if unknown:
            raise DataError(
                f"Token {unknown[0]}", "is not in the vocabulary", f"Allowed: 0 to {limit}"
            )
        return stream(session, token_ids, self.sampler(**sampling), max_new_tokens, end)

    def generate(
        self, token_ids: Sequence[int], max_new_tokens: int = 100, **sampling: Any
    ) -> list[int]:
        """Continue tokens; return all of them, the given ones first.

        Args:
            token_ids: the prompt, at least one token.
            max_new_tokens: most tokens to add; an end token or a full context stops earlier.
            sampling: temperature (0 or None: greedy), top_k, top_p, seed.

        Raises:
            DataError: the prompt is empty, does not fit the context, or has unknown tokens.
            ModelError: the model is no decoder.
            SettingsError: a sampling setting out of its range.
        """
        prompt = [int(token) for token in token_ids]
        return [*prompt, *self.stream(prompt, max_new_tokens, **sampling)]

    def tokenize(self, texts: Sequence[str]) -> list[dict[str, Array]]:
        """Return one unpadded sample of batch 1 per text."""
        return tokenize(self.artifact, texts)

    def quantize(self, name: str, array: npt.ArrayLike) -> Array:
        """Turn the float model's input `name` into this model's integers.

        Raises:
            DataError: no such input, an index input, or values that are not finite.
        """
        spec = _named(self.inputs, name, "Input")
        real = np.asarray(array, dtype=np.float64)
        if spec.scale is None:
            raise DataError(f"Input '{name}'", "holds indices, which have no scale",
                            "Pass the integers as they are")  # fmt: skip
        if not np.isfinite(real).all():
            raise DataError(f"Input '{name}'", "holds NaN or infinity", "Give finite numbers")
        return spec.scale.quantize(real, *spec.limits).astype(spec.dtype)

    def dequantize(self, name: str, array: npt.ArrayLike) -> Array:
        """Turn output (or input) `name` into real numbers, float64."""
        spec = _named((*self.outputs, *self.inputs), name, "Output")
        q = np.asarray(array)
        return q.astype(np.float64) if spec.scale is None else spec.scale.dequantize(q)


def _named(specs: Sequence[TensorSpec], name: str, kind: str) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    known = ", ".join(s.name for s in specs)
    raise DataError(f"{kind} '{name}'", "does not exist", f"Known: {known}")
