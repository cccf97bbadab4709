"""Imported ONNX files: every exporter's spelling ends in the same grammar and equals torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from intcc.frontends import load_source
from intcc.passes.canonicalize import canonicalize
from intcc.stages import FLOAT, violations
from tests.canonicalize.exporters import export
from tests.frontends.families import feeds
from tests.frontends.test_families import TOLERANCE, session

#: (dynamo, opset, static): the two exporters of torch, old and new opsets, free and fixed shapes.
WAYS = {
    "dynamo-18": (True, 18, False),
    "legacy-17": (False, 17, False),
    "legacy-18": (False, 18, False),
    "dynamo-23": (True, 23, False),
    "dynamo-18-static": (True, 18, True),
    "legacy-17-static": (False, 17, True),
}
CASES = [("bert", attention, way) for attention in ("eager", "sdpa") for way in WAYS]
CASES += [(name, "eager", way) for name in ("roberta", "mpnet", "vit") for way in WAYS]
CASES += [("vit", "sdpa", way) for way in ("dynamo-18", "legacy-17")]
CASES += [
    (name, "sdpa", way)
    for name in ("bert-tanh-gelu", "distilbert", "electra", "albert")
    for way in ("dynamo-18", "legacy-18")
]
QUICK = {
    ("bert", "eager", "legacy-17"),
    ("bert", "sdpa", "dynamo-18"),
    ("vit", "eager", "dynamo-18"),
}


@pytest.mark.parametrize(
    ("name", "attention", "way"),
    [pytest.param(*c, marks=() if c in QUICK else pytest.mark.slow) for c in CASES],
)
def test_export_becomes_canonical(name: str, attention: str, way: str, tmp_path: Path) -> None:
    import torch

    dynamo, opset, static = WAYS[way]
    path = tmp_path / "model.onnx"
    model = export(name, path, attention=attention, dynamo=dynamo, opset=opset, static=static)
    source = load_source(path)
    graph = canonicalize(source.model)
    assert not violations(graph.graph, FLOAT)
    kinds = Counter(node.op_type for node in graph.graph)
    assert kinds["Attention"] == 2 and kinds["Gelu"] == 2 and kinds["LayerNormalization"] == 5
    assert kinds["Reshape"] == (2 if name == "vit" else 0)
    assert not {"Softmax", "Erf", "Gemm", "Conv", "GatherND", "CumSum"} & set(kinds)
    run = session(graph)
    for batch, length in ((1, 1), (3, 13), (2, 9 if static else 38)):
        given = feeds(name, batch, length, False)
        with torch.no_grad():
            expected = model(*(torch.from_numpy(array) for array in given.values())).numpy()
        got = run.run(None, {v.name: given[v.name] for v in run.get_inputs()})[0]
        gap = np.abs(got - expected)
        if gap.ndim == 3 and "attention_mask" in given:
            gap = gap * given["attention_mask"][..., None]
        assert gap.max() <= TOLERANCE


@pytest.mark.parametrize("way", ["legacy-17", "dynamo-18-static"])
def test_spelled_out_pooling(way: str, tmp_path: Path) -> None:
    import torch

    dynamo, opset, static = WAYS[way]
    path = tmp_path / "model.onnx"
    model = export("bert", path, attention="eager", dynamo=dynamo, opset=opset, static=static,
                   embed=True)  # fmt: skip
    source = load_source(path, task="sentence-embedding")
    graph = canonicalize(source.model)
    kinds = Counter(node.op_type for node in graph.graph)
    assert kinds["MeanPool"] == 1 and kinds["L2Normalize"] == 1
    assert not {"ReduceSum", "ReduceL2", "Clip", "Div"} & set(kinds)
    given = feeds("bert", 2, 13, False)
    with torch.no_grad():
        expected = model(*(torch.from_numpy(array) for array in given.values())).numpy()
    assert np.abs(session(graph).run(["sentence_embedding"], given)[0] - expected).max() < 1e-6
