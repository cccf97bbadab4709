"""The compiler on one screen: the ordered passes from a float graph to a proved integer graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.dyadic import Dyadic
from intcc.errors import ModelError
from intcc.frontends.probes import vocabulary_probes
from intcc.frontends.source import SourceModel
from intcc.interval import Interval
from intcc.measurement import LayerRecord, measure
from intcc.passes.assign_scales import assign_scales
from intcc.passes.assign_units import assign_units
from intcc.passes.calibrate import calibrate, probe
from intcc.passes.canonicalize import canonicalize
from intcc.passes.check_integer import check_integer
from intcc.passes.correct_bias import BIAS_INPUT, correct_bias
from intcc.passes.equivalences.balance import balance
from intcc.passes.equivalences.center_keys import center_keys
from intcc.passes.equivalences.center_values import center_values
from intcc.passes.equivalences.split_units import split_units
from intcc.passes.lowering import lower
from intcc.passes.lowering.context import Lowering
from intcc.passes.lowering.divisors import Divisors
from intcc.passes.prove_ranges import prove_ranges
from intcc.progress import Progress
from intcc.qparams import QParams
from intcc.settings import Settings
from intcc.sites import is_decoder, linear_sites
from intcc.specs import Scale, TensorSpec, integer_feeds

__all__ = ["PASSES", "CompiledGraph", "compile_graph"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
#: Samples that show which channels are large.
BALANCE_SAMPLES = 16

#: The passes in order, each with the reason for its place.
PASSES = (
    ("canonicalize", "one spelling per float idiom, so that every later pass has one case"),
    ("balance", "decoders: channels of one size, by the sizes of a few samples"),
    ("center_keys", "decoders: after balance, which changes what keys have in common"),
    ("calibrate", "ranges, means and second moments of the values as they now are"),
    ("probe", "encoders: how far values reach on tokens that calibration did not see"),
    ("center_values", "encoders: the middle of a range, as probes show it; before it gets a scale"),
    ("assign_scales", "unsigned forms: per role, smoothed against the consumers' weights"),
    ("split_units", "encoders: massive hidden units, known by the steps just assigned, get copies"),
    ("assign_units", "power-of-two grids of the wide values, from the forms' worst case"),
    ("lower", "integer operators; weights are rounded here, against the forms just chosen"),
    ("correct_bias", "encoders: mean errors are measured on the integer graph, so it must exist"),
    ("check_integer", "no float, no unknown operator"),
    ("prove_ranges", "last: what is proved is what is shipped"),
)


@dataclass(frozen=True)
class CompiledGraph:
    """The result of compilation, before anything is written.

    Attributes:
        scaled: the float graph with the forms of its values.
        integer: the proved integer graph.
        intervals: what is proved of its values, by name.
        inputs: of the integer graph.
        outputs: of the integer graph.
        layers: the error of every value.
        corrections: what bias correction moved, by value.
    """

    scaled: ir.Model
    integer: ir.Model
    intervals: dict[str, Interval]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: list[LayerRecord]
    corrections: dict[str, float]


def compile_graph(
    source: SourceModel,
    samples: Sequence[Feeds],
    settings: Settings,
    progress: Progress | None = None,
) -> CompiledGraph:
    """Run all passes.

    Args:
        source: the imported model.
        samples: calibration feeds of the float graph, unpadded.
        settings: the user's choices.
        progress: receives the course of the work.

    Raises:
        IntccError: an unsupported operator, data that are not finite, a range without proof.
    """
    from intcc.backends.onnx.strict import functions_of

    progress = progress or Progress()
    probes = vocabulary_probes(source, samples)
    progress.stage("canonicalize")
    model = canonicalize(source.model)
    decoder = is_decoder(model.graph)
    _require_scheme(source, model, settings.scheme)
    dynamic = settings.per_token(decoder)
    if decoder and settings.equivalences:
        few = list(samples)[:BALANCE_SAMPLES]
        progress.stage("balance", len(few))
        balance(model, calibrate(model, few, progress.advance, moments=False))
        center_keys(model, few)
    progress.stage("calibrate", len(samples))
    statistics = calibrate(model, list(samples), progress.advance)
    if not decoder:
        progress.stage("probe", len(probes))
        probe(model, statistics, probes, progress.advance)
        if settings.equivalences:
            center_values(model, statistics)
    progress.stage("assign scales")
    pixels = _pixel_form(source)
    assign_scales(model, statistics, settings.observer, pixels, dynamic=dynamic)
    if not decoder:
        split_units(model, statistics)
    assign_units(model, statistics, dynamic=dynamic)
    progress.stage("lower")
    positions = int(model.metadata_props.get("intcc.max_positions", source.max_length or 1))
    integer, context = lower(
        model,
        statistics,
        positions,
        compensation=settings.error_compensation,
        dynamic=dynamic,
        rope=settings.rope,
        divisors=Divisors(settings.rescale == "pow2", settings.rounding == "half-even"),
    )
    for record in statistics.values():
        record.forget_rows()
    _describe(integer, context, source, positions)
    inputs, outputs = _specs(integer, context)
    feeds = [integer_feeds(inputs, sample) for sample in samples]
    corrections: dict[str, float] = {}
    if not decoder:
        wide = sum(node.op_type in BIAS_INPUT for node in integer.graph)
        progress.stage("correct bias", wide)
        corrections = correct_bias(
            integer,
            context.sites,
            statistics,
            feeds,
            functions_of(integer),
            progress.advance,
        )
    check_integer(integer)
    progress.stage("prove ranges")
    intervals = prove_ranges(integer)
    progress.stage("measure")
    layers = measure(model, integer, statistics, samples, feeds, functions_of(integer))
    return CompiledGraph(model, integer, intervals, inputs, outputs, layers, corrections)


def _require_scheme(source: SourceModel, model: ir.Model, scheme: str) -> None:
    """Check that a ternary scheme meets ternary weights: nothing is rounded to three values."""
    if scheme == "w1.58a8" and not any(s.ternary for s in linear_sites(model.graph).values()):
        raise ModelError(
            f"Model '{source.name}'",
            "has no layer of ternary weights, which --scheme w1.58a8 keeps",
            "Use --scheme w8a8, or give a BitNet checkpoint",
        )


def _describe(integer: ir.Model, context: Lowering, source: SourceModel, positions: int) -> None:
    """Write the metadata that backends and later proofs read."""
    integer.metadata_props.update(
        {
            "intcc.name": source.name,
            "intcc.task": source.task,
            "intcc.max_length": str(source.max_length),
            "intcc.max_positions": str(positions),
        }
    )
    for value in integer.graph.inputs:
        interval = context.intervals[str(value.name)]
        value.metadata_props["intcc.range"] = f"{interval.min} {interval.max}"


def _pixel_form(source: SourceModel) -> dict[str, QParams]:
    """The form of image bytes: the normalisation of the source is their scale and zero."""
    if source.image is None:
        return {}
    std, mean = np.asarray(source.image.std), np.asarray(source.image.mean)
    scale = (source.image.rescale / std).reshape(-1, 1, 1)
    zero = (mean / source.image.rescale).reshape(-1, 1, 1)
    return {"pixel_values": QParams.of(scale, zero)}


def _scale(value: ir.Value) -> Scale | None:
    scale = value.meta.get("scale")
    if scale is None:
        return None
    if not isinstance(scale, QParams):
        return Scale(1, round(-np.log2(float(scale))))
    largest = Dyadic.from_real(float(scale.scale.max()))
    if scale.scale.size == 1:
        return Scale(largest.mul, largest.shift, int(np.rint(scale.zero.max())))
    mul = np.rint(scale.scale.ravel() * 2.0**largest.shift).astype(int).tolist()
    zero = np.rint(np.broadcast_to(scale.zero, scale.scale.shape)).ravel().astype(int).tolist()
    return Scale(tuple(mul), largest.shift, tuple(zero), axis=1)


def _specs(
    integer: ir.Model, context: Lowering
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    def spec(value: ir.Value, *, limits: bool) -> TensorSpec:
        assert value.dtype is not None and value.shape is not None
        shape = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
        interval = context.intervals[str(value.name)]
        bounds = (interval.min, interval.max) if limits else (None, None)
        dtype = value.dtype.numpy().name
        return TensorSpec(str(value.name), dtype, shape, _scale(value), *bounds)

    return (
        tuple(spec(v, limits=True) for v in integer.graph.inputs),
        tuple(spec(v, limits=False) for v in integer.graph.outputs),
    )
