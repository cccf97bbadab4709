"""The QDQ flavour: near the float model, scales as promised, and refusals where it has no form."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

import intcc
from intcc.backends.onnx.qdq import emit_qdq
from intcc.backends.onnx.qdq_grid import DYADIC, POW2, Grid, significant
from intcc.errors import ArtifactError, SettingsError, UnsupportedOperatorError
from intcc.pipeline import CompiledGraph
from intcc.qparams import QParams
from intcc.report.metrics import cosine
from intcc.runtime.artifact import MANIFEST
from intcc.runtime.qdq import QdqModel
from intcc.settings import Settings
from intcc.verification.qdq import scale_findings, weight_findings
from tests.onnx_convnet import images
from tests.onnx_encoder import LENGTH, feeds
from tests.qdq_models import CLOSE, change, family, session
from tests.qdq_models import convnet as convnet_model
from tests.qdq_models import encoder as encoder_model

Array = npt.NDArray[Any]
SCALES = (DYADIC, POW2)


@pytest.fixture(scope="module", params=["layer", "rms"])
def encoder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, CompiledGraph]]:
    """Yield an encoder of odd extents, and what it compiles to."""
    path, built = encoder_model(tmp_path_factory.mktemp("qdq"), request.param)
    yield path, built.graph


@pytest.mark.parametrize("scales", SCALES)
def test_near_the_float_model(encoder: tuple[Path, CompiledGraph], scales: str) -> None:
    path, graph = encoder
    model = emit_qdq(graph.scaled, graph.integer, scales)
    onnx.checker.check_model(model, full_check=True)
    assert scale_findings(model, scales) == []
    exact, ours = session(onnx.load(path)), session(model)
    for batch, length in ((1, 1), (1, LENGTH), (5, 11)):
        given = feeds(99 + length, batch, length)
        shown = given["attention_mask"].astype(bool)
        a, b = (s.run(None, given)[0][shown] for s in (exact, ours))
        assert cosine(a, b).mean() > CLOSE


def test_weights_are_the_integers_of_the_integer_model(
    encoder: tuple[Path, CompiledGraph],
) -> None:
    _, graph = encoder
    model = emit_qdq(graph.scaled, graph.integer, DYADIC)
    integer = ir.to_proto(graph.integer)
    assert weight_findings(model, integer) == []
    weight = next(t for t in model.graph.initializer if t.name.endswith(".weight"))
    changed = numpy_helper.to_array(weight).copy()
    changed[0, 0] ^= 1
    weight.raw_data = changed.tobytes()
    assert len(weight_findings(model, integer)) == 1


def test_emission_is_deterministic(encoder: tuple[Path, CompiledGraph]) -> None:
    _, graph = encoder
    first, second = (
        emit_qdq(graph.scaled, graph.integer, POW2).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second


def test_what_is_quantized(encoder: tuple[Path, CompiledGraph]) -> None:
    """Per layer: the inputs of four products (one shared by three), queries and keys."""
    _, graph = encoder
    model = emit_qdq(graph.scaled, graph.integer, DYADIC)
    kinds = [n.op_type for n in model.graph.node]
    assert kinds.count("QuantizeLinear") == 2 * 6
    assert kinds.count("DequantizeLinear") == 2 * (6 + 2 * 6)
    assert {o.domain for o in model.opset_import} == {""}


@pytest.mark.parametrize(
    ("scales", "ending", "work", "message"),
    [
        (POW2, ".linear.scale", lambda a: np.float32(1.5) * a, "more than 1 significant bits"),
        (POW2, ".weight.scale", lambda a: np.float32(1.5) * a, "more than 1 significant bits"),
        (POW2, ".linear.zero", lambda a: a + a.dtype.type(3), "a zero point of 3"),
        (POW2, ".linear.zero", lambda a: a.astype(np.uint8), "stored as uint8"),
        (DYADIC, ".linear.scale", lambda a: np.float32(1 / 3) * a, "than 8 significant bits"),
        (DYADIC, ".bias.scale", lambda a: np.float32(2) * a, "the product of its layer's scales"),
        (DYADIC, ".query.scale", lambda a: np.repeat(a[None], 2), "an activation with 2 scales"),
        (DYADIC, ".key.scale", lambda a: -a, "a scale that is no positive number"),
    ],
)
def test_findings(
    encoder: tuple[Path, CompiledGraph], scales: str, ending: str, work: Any, message: str
) -> None:
    _, graph = encoder
    model = emit_qdq(graph.scaled, graph.integer, scales)
    found = scale_findings(change(model, ending, work), scales)
    assert any(message in line for line in found), found


@pytest.mark.parametrize("name", ["mpnet", "vit"])
def test_families(name: str, tmp_path: Path) -> None:
    """A position bias on the scores; pixels with a mean per channel, and norms before products."""
    case = family(name, tmp_path / "model")
    graph = case.built.graph
    spec = graph.outputs[0]
    assert spec.scale is not None
    for scales in SCALES:
        path = tmp_path / f"{scales}.onnx"
        onnx.save(emit_qdq(graph.scaled, graph.integer, scales), path)
        model = QdqModel(path, graph.inputs, graph.outputs)
        ours = spec.scale.dequantize(model.run(case.integers)[spec.name])
        assert cosine(ours[case.shown], case.exact[case.shown]).mean() > CLOSE


@pytest.fixture(scope="module")
def made(encoder: tuple[Path, CompiledGraph], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, _ = encoder
    folder = tmp_path_factory.mktemp("artifact") / "out"
    intcc.compile(path, folder, emit="onnx,qdq", scales=POW2, calibration=path.parent / "ids.npz",
                  max_length=LENGTH)  # fmt: skip
    return folder


def test_artifact(made: Path) -> None:
    artifact = intcc.load(made, "qdq").artifact
    assert artifact.settings["scales"] == POW2
    report = artifact.report()
    assert report["qdq"] == {
        "scales": POW2, "int16": "none", "quantized_values": 12, "int16_values": 0,
        "quantized_weights": 12,
    }  # fmt: skip
    assert report["operators"]["qdq"]["QuantizeLinear"] == 12
    verified = intcc.verify(made, inputs=2, reference=2)
    assert verified.ok, [c for c in verified.checks if not c.ok]
    names = [c.name for c in verified.checks]
    assert "QDQ scales and weights" in names
    assert "QDQ near the integers" in names


def test_backends_agree_but_for_rounding(made: Path) -> None:
    strict, qdq = intcc.load(made), intcc.load(made, "qdq", threads=2)
    given = feeds(5, 1, 9)
    name = strict.outputs[0].name
    a, b = (m.dequantize(name, m(given)[name])[0] for m in (strict, qdq))
    assert not np.array_equal(a, b)
    assert cosine(a, b).mean() > CLOSE


def test_verify_finds_a_wrong_model(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(made, folder)
    model = onnx.load(folder / "model.qdq.onnx")
    model = change(model, ".bias", lambda a: -a - 2**20)
    onnx.save(
        change(model, ".linear.zero", lambda a: a + a.dtype.type(9)), folder / "model.qdq.onnx"
    )
    failed = {
        c.name: c.detail for c in intcc.verify(folder, inputs=1, reference=1).checks if not c.ok
    }
    assert "a zero point of 9" in failed["QDQ scales and weights"]
    assert re.match(r"cosine .* at least 0\.98", failed["QDQ near the integers"])


def test_refusals(made: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--scales pow2 changes model\.qdq\.onnx only"):
        Settings.of(scales="pow2")
    with pytest.raises(SettingsError, match=r"--activations dynamic finds them .* Use --activ"):
        Settings.of(emit="qdq", activations="dynamic")
    with pytest.raises(SettingsError, match=r"--scales 'pow3' is not known\. Choose from: dyadic,"):
        Settings.of(emit="qdq", scales="pow3")
    folder = tmp_path / "out"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("model.qdq.onnx"))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["settings"]["emit"] = ["onnx"]
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(
        ArtifactError, match=r"has no model\.qdq\.onnx\. Compile with --emit .*,qdq"
    ):
        intcc.load(folder, "qdq")


def test_a_layer_without_a_form_is_refused(encoder: tuple[Path, CompiledGraph]) -> None:
    _, graph = encoder
    layer = next(n for n in graph.integer.graph if n.op_type == "LinearWide")
    layer.op_type = "LinearDynamic"
    try:
        with pytest.raises(UnsupportedOperatorError, match=r"is no product of 8-bit inputs of fix"):
            emit_qdq(graph.scaled, graph.integer)
    finally:
        layer.op_type = "LinearWide"


def test_grids() -> None:
    query = Grid.of(QParams.of([0.5, 1.0], 64, 1, 127), DYADIC)
    # All of int8, where the integer model keeps a bit back: steps of 63/127 of the form's.
    assert (query.scale, query.zero, query.dtype.name) == (0.5, 0, "int8")
    np.testing.assert_allclose(query.factor * [0.5, 1.0] * 63 / 127, 0.5)
    pixels = Grid.of(QParams.of([0.01, 0.02], [100.5, 3.25]), DYADIC)
    x = np.array([0.3, -0.05])
    code = np.rint((x * pixels.factor + pixels.offset) / pixels.scale) + pixels.zero
    assert code.tolist() == np.rint(x / [0.01, 0.02] + [100.5, 3.25]).tolist()
    one_sided = Grid.of(QParams.of(0.02, 5), POW2)
    ends = np.array([-5 * 0.02, 250 * 0.02])
    ends = (ends * one_sided.factor + one_sided.offset) / one_sided.scale
    np.testing.assert_allclose(ends, [-127, 127])
    plain = Grid.of(QParams.of(0.0371, 116), DYADIC)
    assert (float(plain.factor), float(plain.offset), plain.zero) == (1, 0, 116)
    assert abs(plain.scale / 0.0371 - 1) < 2.0**-8


def test_products_of_scales_are_exact_in_float32() -> None:
    random = np.random.default_rng(0)
    a = significant(random.uniform(1e-4, 2, 1000), 8)
    b = significant(random.uniform(1e-6, 1, 1000), 16)
    assert ((a.astype(np.float32) * b.astype(np.float32)).astype(np.float64) == a * b).all()


@pytest.fixture(scope="module")
def convnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompiledGraph]:
    path, built = convnet_model(tmp_path_factory.mktemp("convnet"))
    return path, built.graph


@pytest.mark.parametrize("scales", SCALES)
def test_convolutions(convnet: tuple[Path, CompiledGraph], scales: str) -> None:
    """Padding, where 0 has to be 0 in u too; activations as limits; groups; pools between."""
    path, graph = convnet
    model = emit_qdq(graph.scaled, graph.integer, scales)
    onnx.checker.check_model(model, full_check=True)
    assert scale_findings(model, scales) == []
    if scales == DYADIC:
        assert weight_findings(model, ir.to_proto(graph.integer)) == []
    given = {"pixel_values": images(5, 20)}
    a, b = (s.run(None, given)[0] for s in (session(onnx.load(path)), session(model)))
    assert cosine(a, b).mean() > CLOSE
