"""Probes: every token once, extremes of what calibration did not see, and ranges that follow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from intcc.frontends.probes import LENGTH, MOST, vocabulary_probes
from intcc.frontends.source import SourceModel
from intcc.passes import calibrate as calibration
from intcc.passes.assign_scales import assign_scales
from intcc.passes.calibrate import calibrate, probe
from intcc.qparams import Role

WIDTH, INNER = 4, 6
LOUD = 7  # the token that one hidden unit answers to


def source(words: int, max_length: int = 128, extra: str = "") -> SourceModel:
    """Return embedding -> MatMul -> Gelu -> MatMul; hidden unit 2 is loud on one token alone."""
    random = np.random.default_rng(1)
    table = np.zeros((words, WIDTH))
    table[:, :3] = random.normal(0, 1, (words, 3))
    table[LOUD, 3] = 1.0
    w1 = np.zeros((WIDTH, INNER))
    w1[:3] = random.normal(0, 0.5, (3, INNER))
    w1[3, 2] = 9.0
    inputs = ["int64[batch, sequence] input_ids", "int64[batch, sequence] attention_mask"]
    if extra:
        inputs.append(f"int64[batch, sequence] {extra}")
    proto = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": 20]>
        net ({", ".join(inputs)}) => (float[batch, sequence, {WIDTH}] y)
        <float[batch, sequence, {WIDTH}] x, float[batch, sequence, {INNER}] h,
         float[batch, sequence, {INNER}] g> {{
            x = Gather(table, input_ids)
            h = MatMul(x, w1)
            g = Gelu(h)
            y = MatMul(g, w2)
        }}""")
    for name, array in (("table", table), ("w1", w1), ("w2", random.normal(size=(INNER, WIDTH)))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    return SourceModel(ir.from_proto(proto), "net", "feature-extraction", max_length)


def sample(*ids: int) -> dict[str, np.ndarray]:
    tokens = np.array([ids], np.int64)
    return {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}


def test_every_token_comes_once_between_the_special_ones() -> None:
    probes = vocabulary_probes(source(1000), [sample(2, 50, 51, 3)])
    inner = np.concatenate([p["input_ids"][0, 1:-1] for p in probes])
    assert sorted(inner) == list(range(1000))
    for p in probes:
        assert set(p) == {"input_ids", "attention_mask"} and p["attention_mask"].all()
        assert p["input_ids"][0, 0] == 2 and p["input_ids"][0, -1] == 3
        assert p["input_ids"].shape == p["attention_mask"].shape
        assert p["input_ids"].shape[1] <= LENGTH + 2


def test_probes_keep_to_the_length_and_to_a_number() -> None:
    short = vocabulary_probes(source(1000, max_length=10), [sample(2, 3)])
    assert max(p["input_ids"].shape[1] for p in short) == 10
    large = vocabulary_probes(source(MOST * LENGTH + 5000), [sample(2, 3)])
    assert len(large) == MOST
    inner = np.concatenate([p["input_ids"][0, 1:-1] for p in large])
    assert len(set(inner)) == len(inner) == MOST * LENGTH


def test_no_probes_without_samples_or_with_unknown_inputs() -> None:
    assert vocabulary_probes(source(100), []) == []
    assert vocabulary_probes(source(100, max_length=2), [sample(2, 3)]) == []
    assert vocabulary_probes(source(100, extra="position_ids"), [sample(2, 3)]) == []


@pytest.mark.parametrize(("least", "reaches"), [(100, True), (4096, False)])
def test_ranges_reach_what_probes_show(
    least: int, reaches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One calibration sample does not hold the loud token; enough probes do."""
    monkeypatch.setattr(calibration, "LEAST_PROBED", least)
    made = source(1000)
    samples: list[Mapping[str, np.ndarray]] = [sample(2, *range(20, 60), 3)]
    probes = vocabulary_probes(made, samples)
    statistics = calibrate(made.model, list(samples))
    high = statistics["h"].high[2]
    probe(made.model, statistics, probes)
    probed = statistics["h"].probed
    assert (probed is not None) == reaches
    assert (statistics["g"].probed is not None) == reaches  # which feeds a linear layer
    assert statistics["h"].high[2] == high  # calibration itself is as it was
    assign_scales(made.model, statistics)
    form = next(n for n in made.model.graph if n.op_type == "Gelu").inputs[0]
    assert form is not None
    top = form.meta["forms"][Role.GELU].real_bounds()[1][2]
    assert (top > 8) == reaches
    if probed is not None:
        assert probed[1][2] > 8 > high
        picked = statistics["h"].take(np.array([2, 2]))
        assert picked.probed is not None and picked.probed[1].tolist() == [probed[1][2]] * 2
