"""All choices that a user can make for one compilation, checked once, here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from intcc.budget import Budget
from intcc.errors import SettingsError

__all__ = ["Settings"]

#: Every closed choice, so that messages and `--help` list the same words.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "emit": ("onnx", "c", "qlinear", "qdq", "tosa", "vela"),
    "task": ("auto", "sentence-embedding", "feature-extraction", "text-classification",
             "text-generation", "image-feature-extraction", "image-classification"),
    "scheme": ("w8a8", "w1.58a8"),
    "activations": ("auto", "static", "dynamic"),
    "observer": ("minmax", "percentile", "mse"),
    "rounding": ("half-up", "half-even"),
    "rope": ("exact", "hf", "phase"),
    "ternary": ("auto", "int8", "2bit", "trits"),
    "weights": ("auto", "c", "section"),
    "scales": ("dyadic", "pow2"),
    "int16": ("none", "wide", "all"),
    "rescale": ("dyadic", "pow2"),
    "offload": ("matmul", "conv"),
    "accelerator": ("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256",
                    "ethos-u65-256", "ethos-u65-512", "ethos-u85-128", "ethos-u85-256",
                    "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048"),
}  # fmt: skip

#: Settings that take several of their choices.
LISTS = ("emit", "offload")

#: Where something is read from or put, not what is made: two runs that differ in these alone
#: make the same bytes, so the manifest leaves them out.
LOCAL = ("calibration", "force", "budget")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one compilation.

    Attributes:
        emit: backends to emit, of "onnx", "c", "qlinear", "qdq", "tosa" and "vela": parts for an
            NPU, and the C around them.
        task: what the model computes; "auto" reads it from the source folder.
        scheme: what is quantized how; "w8a8": 8-bit weights per output channel, 8-bit activations;
            "w1.58a8": ternary weights of a BitNet model stay ternary.
        activations: scales of linear inputs, fixed at compile time ("static") or computed per token
            ("dynamic"); "auto": per token in decoders.
        calibration: file of samples; None: the text that ships with the package.
        calibration_column: column of a .csv or key of a .jsonl calibration file.
        calibration_samples: number of samples to use at most.
        max_length: longest sequence; None: the tokenizer's, at most 128.
        context: most tokens that a language model sees; None: its positions, at most 512.
        chunk: most tokens that one call of a language model's C takes in; memory grows with it.
        target: machine family that the C is written for; a name that `intcc targets` lists, or
            "native": the best of them for this machine.
        threads: whether threads can share a run of the C; None: as the target prefers.
        ternary: how C stores ternary weights: a byte each ("int8"), four ("2bit") or five ("trits")
            to a byte; "auto": as the target prefers.
        weights: constant data as "c", or as a file of bytes that becomes a "section" of the
            program; "auto": a section where it is large and the target a host.
        offload: products that the C leaves to an accelerator's functions, of "matmul" and "conv".
        accelerator: NPU that "vela" compiles for.
        rope: angles of rotary embeddings, "exact", with transformers' rounding, "hf", or exact ones
            whose cosines and sines C computes instead of storing a table, "phase".
        rescale: how sums of layers with fixed scales come down to 8 bits: by any odd divisor, a
            dyadic multiplier in C ("dyadic"), or by powers of two, to which the steps of the
            weights adapt ("pow2").
        scales: scales of model.qdq.onnx: "dyadic", or powers of two with zero points of 0, "pow2".
        int16: values of model.qdq.onnx that are int16: none, those that the integer model keeps in
            more than 8 bits, float32 otherwise ("wide"), or the inputs of products too ("all").
        float_io: add a float dequantize to the very end of model.onnx.
        budget: limits on the result.
        force: replace an existing artifact.
        keep_functions: leave the ai.intcc functions in model.onnx instead of inlining them.
        equivalences: rescale channels, function-preserving, before quantization.
        error_compensation: let later weights make up for the rounding of earlier ones.
        rounding: "half-even": requantization by divisors for which float32 arithmetic that rounds
            half to even provably gives the same bits, as QLinear operators compute; "half-up":
            any odd divisor.
        observer: how calibration turns statistics into ranges.
        allow_pickle: read pickled checkpoints, which can run code as they load.
    """

    emit: tuple[str, ...] = ("onnx", "c")
    task: str = "auto"
    scheme: str = "w8a8"
    activations: str = "auto"
    calibration: Path | None = None
    calibration_column: str | None = None
    calibration_samples: int = 64
    max_length: int | None = None
    context: int | None = None
    chunk: int = 16
    target: str = "generic"
    threads: bool | None = None
    ternary: str = "auto"
    weights: str = "auto"
    offload: tuple[str, ...] = ()
    accelerator: str = "ethos-u85-256"
    rope: str = "exact"
    rescale: str = "dyadic"
    scales: str = "dyadic"
    int16: str = "none"
    float_io: bool = False
    budget: Budget = field(default_factory=Budget)
    force: bool = False
    keep_functions: bool = False
    equivalences: bool = True
    error_compensation: bool = True
    rounding: str = "half-up"
    observer: str = "minmax"
    allow_pickle: bool = False

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Build from loosely typed values: comma lists, strings for paths, budget text.

        Raises:
            SettingsError: an unknown setting, or a value outside its choices.
        """
        names = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                near = get_close_matches(name, names, 1)
                raise SettingsError(
                    f"Setting '{name}'",
                    "does not exist",
                    f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}",
                )
        for name in LISTS:
            if isinstance(values.get(name), str):
                values[name] = [part.strip() for part in values[name].split(",") if part.strip()]
            if name in values:
                values[name] = tuple(values[name])
        if values.get("calibration") is not None:
            values["calibration"] = Path(values["calibration"])
        if not isinstance(values.get("budget"), Budget):
            values["budget"] = Budget.parse(values.get("budget") or "")
        return cls(**values)

    def __post_init__(self) -> None:
        """Check every value against its choices and limits."""
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            for part in value if name in LISTS else (value,):
                if part not in choices:
                    raise SettingsError(
                        f"--{name} '{part}'", "is not known", f"Choose from: {', '.join(choices)}"
                    )
        if not self.emit:
            known = ", ".join(CHOICES["emit"])
            raise SettingsError("--emit", "names no backend", f"Choose from: {known}")
        for name in ("calibration_samples", "max_length", "context", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = name.replace("_", "-")
                raise SettingsError(f"--{option} {value}", "is below 1", "Give a positive number")
        if self.offload and "c" not in self.emit:
            raise SettingsError("--offload", "changes the C only", "Add c to --emit")
        if self.float_io and "onnx" not in self.emit:
            raise SettingsError("--float-io", "changes model.onnx only", "Add onnx to --emit")
        if self.accelerator != type(self).accelerator and "vela" not in self.emit:
            raise SettingsError(
                f"--accelerator {self.accelerator}",
                "is for vela only",
                "Add vela to --emit",
            )
        if self.rescale == "pow2" and self.rounding == "half-even":
            raise SettingsError(
                "--rescale pow2",
                "has ties, which --rounding half-even has to do without",
                "Leave one of them out",
            )
        self._check_qdq()

    def _check_qdq(self) -> None:
        """Check what belongs to model.qdq.onnx."""
        for name in ("scales", "int16"):
            value = getattr(self, name)
            if value != getattr(type(self), name) and "qdq" not in self.emit:
                raise SettingsError(
                    f"--{name} {value}", "changes model.qdq.onnx only", "Add qdq to --emit"
                )
        if "qdq" in self.emit and self.activations == "dynamic":
            raise SettingsError(
                "--emit qdq",
                "needs scales that are known at compile time, and --activations dynamic finds them "
                "at run time",
                "Use --activations static",
            )

    def per_token(self, decoder: bool) -> bool:
        """Tell whether the inputs of linear layers get their scales at run time."""
        return self.activations == "dynamic" or (self.activations == "auto" and decoder)

    def for_manifest(self) -> dict[str, Any]:
        """Return what decides the bytes of the artifact, ready for JSON."""
        chosen = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in LOCAL
        }
        return {**chosen, **{name: list(chosen[name]) for name in LISTS}}
