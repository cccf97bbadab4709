"""Verify an artifact: is it whole, is it free of float, do ranges hold, are all backends equal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from intcc.backends.c.target import load_target
from intcc.backends.onnx.qdq_grid import DYADIC, NONE
from intcc.backends.onnx.qlinear import cover
from intcc.errors import IntccError, MissingToolError, SettingsError, ToolError
from intcc.objects import is_program, model_sources
from intcc.passes.prove_ranges import prove_ranges
from intcc.progress import Progress
from intcc.report.qlinear import describe
from intcc.runtime.artifact import Artifact
from intcc.runtime.compiler import find_compiler
from intcc.runtime.native import NativeModel, kernel_sets
from intcc.runtime.reference import load_graph
from intcc.verification import tosa
from intcc.verification.equality import Variant, compare, open_way, variants
from intcc.verification.float_c import compile_without_float, generated_sources, token_findings
from intcc.verification.float_onnx import count_tensors, float_findings, without_tail
from intcc.verification.float_scales import scale_constants, unscaled_floats
from intcc.verification.inputs import inputs_of
from intcc.verification.qdq import BOUND, nearness, scale_findings, weight_findings
from intcc.verification.report import Check, FailedError, Report, SkippedError
from intcc.verification.target import TargetChecks

__all__ = ["Check", "Options", "Report", "verify_artifact"]

#: Newest standard opset that strict models may use.
MAX_OPSET = 21


@dataclass(frozen=True)
class Options:
    """How thorough to be.

    Attributes:
        inputs: random inputs for the comparison of onnxruntime and C; recorded ones come on top.
        reference: how many of all these the slow reference judges.
        target: machine that the C is compiled for, to examine the objects: a name that `intcc
            targets` lists, or "own", the one that the artifact was made for; None: no such checks.
    """

    inputs: int = 24
    reference: int = 6
    target: str | None = None


class _Verification:
    """One run over one artifact."""

    def __init__(self, artifact: Artifact, progress: Progress, options: Options) -> None:
        self.artifact, self.progress, self.options = artifact, progress, options
        self.report = Report()
        self.emitted = artifact.settings.get("emit", ())

    def check(self, name: str, work: Callable[[], str]) -> None:
        """Run one check and add its line."""
        self.progress.stage(name)
        start = time.perf_counter()
        try:
            detail, ok = work(), True
        except (SkippedError, MissingToolError) as error:
            self.report.skipped[name] = str(error)
            return
        except (FailedError, IntccError) as error:
            detail, ok = str(error), False
        self.report.checks.append(Check(name, ok, detail, time.perf_counter() - start))

    def run(self) -> Report:
        """Run all checks that the emitted backends allow."""
        self.check("files match the manifest", self.files)
        if "onnx" in self.emitted:
            self.check("ONNX free of float", self.onnx_float)
            self.check("ONNX standard operators only", self.onnx_operators)
        if "qlinear" in self.emitted:
            self.check("QLinear float in scales only", self.qlinear_float)
            self.check("QLinear standard operators only", self.qlinear_operators)
            self.check("QLinear requantization", self.qlinear_rounding)
        if "qdq" in self.emitted:
            self.check("QDQ scales and weights", self.qdq_scales)
            self.check("QDQ near the integers", self.qdq_nearness)
        if "c" in self.emitted or "vela" in self.emitted:
            self.check("C sources free of float and heap", self.c_tokens)
            self.check("C compiles without float registers", self.c_registers)
        if "c" in self.emitted:
            self.check("C self-test", self.c_selftest)
            self.machine_code()
        if "tosa" in self.emitted:
            self.check("TOSA free of float", lambda: tosa.float_types(self.artifact))
        self.check("ranges proved", self.ranges)
        self.equality()
        self.tosa_equality()
        return self.report

    def files(self) -> str:
        """Every listed file has its sha256."""
        changed = self.artifact.changed_files()
        if changed:
            raise FailedError(f"changed or missing: {', '.join(changed[:5])}")
        return f"{len(self.artifact.files)} files"

    def _strict(self) -> onnx.ModelProto:
        model = _read(self.artifact.model_onnx)
        return without_tail(model) if self.artifact.float_io else model

    def onnx_float(self) -> str:
        """No float in any input, output, value, initialiser, attribute, body or subgraph."""
        model = self._strict()
        found = float_findings(model)
        if found:
            raise FailedError(f"{len(found)} findings, first: {found[0]}")
        tail = " before the dequantize that --float-io asked for" if self.artifact.float_io else ""
        return f"0 float of {count_tensors(model):,} tensors{tail}"

    def onnx_operators(self) -> str:
        """Standard domain (or kept ai.intcc functions), opset within the limit."""
        return _standard_operators(self._strict())

    def qlinear_float(self) -> str:
        """No float but constants that are scales: none is ever computed."""
        model = _read(self.artifact.qlinear_onnx)
        found = unscaled_floats(model)
        if found:
            raise FailedError(f"{len(found)} findings, first: {found[0]}")
        scales = len(scale_constants(model))
        return f"0 float of {count_tensors(model) - scales:,} tensors beside {scales} scales"

    def qlinear_operators(self) -> str:
        """Standard domain, opset within the limit."""
        return _standard_operators(_read(self.artifact.qlinear_onnx))

    def qlinear_rounding(self) -> str:
        """Count again, from integer.onnx alone, where float32 rounds otherwise than integers."""
        _, coverage = cover(load_graph(self.artifact.integer_onnx))
        if self.artifact.settings.get("rounding") == "half-even" and not coverage.proved:
            raise FailedError(f"--rounding half-even promised equal bits: {describe(coverage)}")
        return describe(coverage)

    def qdq_scales(self) -> str:
        """Standard operators; scales, zero points, types and pairs as the settings promise."""
        model = _read(self.artifact.qdq_onnx)
        settings = self.artifact.settings
        scales, int16 = str(settings["scales"]), str(settings.get("int16", NONE))
        found = scale_findings(model, scales, int16)
        if scales == DYADIC:
            found += weight_findings(model, _read(self.artifact.integer_onnx))
        if found:
            raise FailedError(f"{len(found)} findings, first: {found[0]}")
        _check_with_onnx(model)
        pairs = sum(n.op_type == "QuantizeLinear" for n in model.graph.node)
        wide = "" if int16 == NONE else f", int16 {int16}"
        return f"{pairs:,} quantized values, scales {scales}{wide}"

    def qdq_nearness(self) -> str:
        """It loads in onnxruntime and computes what the integers compute, but for rounding."""
        artifact = self.artifact
        inputs = artifact.recorded()[: self.options.reference]
        strict = "onnx" if "onnx" in self.emitted else "reference"
        ours, integers = (
            [runtime.run(feeds) for feeds in inputs]
            for runtime in (open_way(artifact, "qdq"), open_way(artifact, strict))
        )
        least = nearness(artifact.outputs, inputs, ours, integers)
        bound = BOUND[str(artifact.settings["scales"])]
        text = f"cosine {least:.5f} on {len(inputs)} inputs, at least {bound}"
        if not least >= bound:
            raise FailedError(text)
        return text

    def _c_folders(self) -> list[Path]:
        """Return where generated C lies: of the whole model, and around the parts of an NPU."""
        found = [self.artifact.c_folder] if "c" in self.emitted else []
        return [*found, self.artifact.npu_folder / "c"] if "vela" in self.emitted else found

    def c_tokens(self) -> str:
        """No float type or literal, no heap, no header but the three allowed ones."""
        sources = [source for folder in self._c_folders() for source in generated_sources(folder)]
        found = [
            line for path in sources for line in token_findings(path, program=is_program(path))
        ]
        if found:
            raise FailedError(f"{len(found)} findings, first: {found[0]}")
        return f"{len(sources)} files"

    def c_registers(self) -> str:
        """The compiler accepts every source with general registers only.

        Sets of kernels are the model once more, with vectors.
        """
        name, sources = self.artifact.name, list[Path]()
        for folder in self._c_folders():
            sets = {f"{name}_{s}.c" for s in kernel_sets(folder, name)}
            sources += [p for p in model_sources(folder) if p.name not in sets]
        try:
            failed = compile_without_float(sources, find_compiler())
        except ToolError as error:
            raise SkippedError(str(error)) from error
        if failed:
            raise FailedError(failed[0])
        return f"{len(sources)} files with -mgeneral-regs-only"

    def c_selftest(self) -> str:
        """The generated self-test meets its recorded output."""
        model = NativeModel(self.artifact.c_folder, self.artifact.manifest)
        status = model.selftest()
        if status:
            raise FailedError(f"returned {status}")
        return f"arena of {model.arena_bytes:,} bytes"

    def machine_code(self) -> None:
        """Check the C and its objects for the target, where one is named."""
        if self.options.target is None:
            return
        own = str(self.artifact.settings.get("target", "generic"))
        name = own if self.options.target == "own" else self.options.target
        with TargetChecks(self.artifact, load_target(name)) as checks:
            for title, work in checks.all():
                self.check(title, work)

    def ranges(self) -> str:
        """Every interval follows again from integer.onnx alone."""
        intervals = prove_ranges(load_graph(self.artifact.integer_onnx))
        return f"{len(intervals):,} values"

    def equality(self) -> None:
        """All backends give the same bits."""
        artifact = self.artifact
        ways = variants(artifact)
        if not ways:
            return
        inputs = inputs_of(artifact, self.options.inputs)
        expected: list[dict[str, npt.NDArray[Any]]] = []

        def first() -> str:
            runtime = ways[0].open()
            expected.extend(runtime.run(feeds) for feeds in inputs)
            return f"{len(inputs)} inputs, the yardstick of the lines below"

        def judge() -> str:
            chosen = _spread(len(inputs), self.options.reference)
            return self._equal(chosen, open_way(artifact, "reference"), ways[0].exact)

        def other(way: Variant) -> Callable[[], str]:
            count = max(2, round(way.share * len(inputs)))
            return lambda: self._equal(_spread(len(inputs), count), way.open(), way.exact)

        self.inputs, self.expected = inputs, expected
        self.check(ways[0].name, first)
        if expected:
            self.check("reference", judge)
            for way in ways[1:]:
                self.check(way.name, other(way))

    def tosa_equality(self) -> None:
        """The reference model of TOSA gives the same bits, on inputs of the graph's extents."""
        if "tosa" in self.emitted:
            count = self.options.reference
            self.check("TOSA reference model", lambda: tosa.equal_values(self.artifact, count))

    def _equal(self, chosen: list[int], runtime: Any, exact: bool = True) -> str:
        inputs = [self.inputs[i] for i in chosen]
        difference = compare(self.artifact, inputs, [self.expected[i] for i in chosen], runtime)
        text = f"{difference.differing} of {difference.values:,} values differ"
        text += f" on {difference.inputs} inputs"
        if difference.differing and exact:
            raise FailedError(f"{text}, first at {difference.first}")
        return text


def _standard_operators(model: onnx.ModelProto) -> str:
    """Check the domain of every operator, the opset, and what ONNX itself checks."""
    local = {(f.domain, f.name) for f in model.functions}
    nodes = [*model.graph.node, *(n for f in model.functions for n in f.node)]
    foreign = {
        f"{n.domain}.{n.op_type}"
        for n in nodes
        if n.domain not in ("", "ai.onnx") and (n.domain, n.op_type) not in local
    }
    if foreign:
        raise FailedError(f"operators of other domains: {', '.join(sorted(foreign))}")
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset > MAX_OPSET:
        raise FailedError(f"opset {opset} is above {MAX_OPSET}")
    _check_with_onnx(model)
    return f"{len(model.graph.node):,} nodes, opset {opset}"


def _check_with_onnx(model: onnx.ModelProto) -> None:
    """Let ONNX itself check operators, types and shapes."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise FailedError(f"ONNX refuses it: {str(error).splitlines()[0]}") from error


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's decode errors have no common base
        raise FailedError(f"{path.name} cannot be read: {error}") from error


def _spread(count: int, wanted: int) -> list[int]:
    """Return `wanted` indices spread evenly over range(count)."""
    return sorted(set(np.linspace(0, count - 1, max(1, min(wanted, count))).round().astype(int)))


def verify_artifact(artifact: Artifact, progress: Progress, **options: Any) -> Report:
    """Run all checks; see `intcc.api.verify`."""
    known = Options.__dataclass_fields__
    for name, value in options.items():
        if name not in known:
            raise SettingsError(f"Option '{name}'", "does not exist", f"Known: {', '.join(known)}")
        if name != "target" and value < 1:
            raise SettingsError(f"Option '{name}'", f"is {value}", "Give a positive number")
    chosen = Options(**options)
    if chosen.target is not None:
        if "c" not in artifact.settings.get("emit", ()):
            raise SettingsError(
                "--target", "needs an artifact with C", "Compile with --emit onnx,c"
            )
        if chosen.target != "own":
            load_target(chosen.target)
    return _Verification(artifact, progress, chosen).run()
