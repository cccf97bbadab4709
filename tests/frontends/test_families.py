"""Every family: the canonical float graph equals torch at several batches and lengths."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest

from intcc.frontends import load_source
from intcc.passes.canonicalize import canonicalize
from intcc.stages import FLOAT, violations
from tests.frontends.families import FAMILIES, feeds, reference, save

#: Two float32 evaluations of two layers with values up to about 5.
TOLERANCE = 1e-5
SIZES = ((1, 1), (1, 7), (3, 13), (2, 38))


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)


def difference(
    run: onnxruntime.InferenceSession, model: Any, given: dict[str, npt.NDArray[Any]]
) -> float:
    """Largest difference to torch at tokens that are no padding."""
    expected = reference(model, given)
    got = run.run(None, {v.name: given[v.name] for v in run.get_inputs()})[0]
    assert got.shape == expected.shape
    gap = np.abs(got - expected)
    if gap.ndim == 3 and "attention_mask" in given:
        gap = gap * given["attention_mask"][..., None]
    return float(gap.max())


@pytest.mark.parametrize("name", FAMILIES)
def test_canonical_graph_equals_torch(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path)
    source = load_source(tmp_path)
    graph = canonicalize(source.model)
    assert not violations(graph.graph, FLOAT)
    kinds = Counter(node.op_type for node in graph.graph)
    assert kinds["Attention"] == 2 and kinds["LayerNormalization"] == 5
    assert not {"Softmax", "Erf", "Conv", "Gemm"} & set(kinds)
    run = session(graph)
    pairs = "token_type_ids" in source.input_names
    assert pairs == (name in ("bert-classifier", "roberta-classifier", "electra-classifier",
                              "albert-classifier"))  # fmt: skip
    for batch, length in SIZES:
        assert difference(run, model, feeds(name, batch, length, pairs)) <= TOLERANCE


@pytest.mark.parametrize("name", ["bert", "vit", "mpnet"])
def test_canonical_grammar(name: str, tmp_path: Path) -> None:
    """Attention is 3-D with its mask named; every float value has a type and a shape."""
    save(name, tmp_path)
    graph = canonicalize(load_source(tmp_path).model).graph
    text = name != "vit"
    for node in graph:
        for out in node.outputs:
            assert out.dtype is not None and out.shape is not None, out
            assert all(isinstance(d, int) or d.value in ("batch", "sequence") for d in out.shape)
        if node.op_type == "Attention":
            assert len(node.inputs[0].shape or ()) == 3 if node.inputs[0] is not None else False
            assert node.attributes["q_num_heads"].as_int() == 3
            mask = node.metadata_props.get("intcc.key_mask")
            assert mask == ("attention_mask" if text else None)
            assert ("intcc.position_bias" in node.metadata_props) == (name == "mpnet")
        if node.op_type == "Reshape":
            assert node.inputs[1] is not None and node.inputs[1].is_initializer()
    assert [str(v.name) for v in graph.inputs] == (
        ["input_ids", "attention_mask"] if text else ["pixel_values"]
    )


def test_values_are_named_after_modules(tmp_path: Path) -> None:
    save("bert", tmp_path)
    graph = canonicalize(load_source(tmp_path).model).graph
    names = {str(out.name) for node in graph for out in node.outputs}
    assert {"encoder.layer.0.attention.self.query", "encoder.layer.1.output.LayerNorm"} - names == {
        "encoder.layer.1.output.LayerNorm"  # the graph's output keeps the task's name
    }
    assert "last_hidden_state" in names
    assert "encoder.layer.0.attention.self.query.weight" in graph.initializers
    text = repr(ir.to_proto(ir.Model(graph, ir_version=10)))
    assert "/transformers/" not in text and "stack_trace" not in text


@pytest.mark.usefixtures("traced_anew")
def test_trace_leaves_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was swapped is back, nothing is printed, and a second trace gives the same graph."""
    import logging

    from transformers import AttentionInterface

    from intcc.frontends.tracing import ATTENTION

    save("bert-tanh-gelu", tmp_path)
    capsys.readouterr()
    level = logging.getLogger("torch.onnx").level
    first = canonicalize(load_source(tmp_path).model)
    second = canonicalize(load_source(tmp_path).model)
    assert capsys.readouterr() == ("", "")
    assert ATTENTION not in AttentionInterface._global_mapping
    assert logging.getLogger("torch.onnx").level == level
    serialized = [ir.to_proto(m).SerializeToString(deterministic=True) for m in (first, second)]
    assert serialized[0] == serialized[1]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("mode", ["mean_tokens", "cls_token"])
def test_sentence_embedding(mode: str, normalize: bool, tmp_path: Path) -> None:
    import json

    model = save("bert", tmp_path)
    kinds = ["Transformer", "Pooling", "Normalize"][: 3 if normalize else 2]
    modules = [{"type": f"sentence_transformers.models.{k}", "path": "1_Pooling" * (k == "Pooling")}
               for k in kinds]  # fmt: skip
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
    source = load_source(tmp_path)
    assert source.task == "sentence-embedding"
    run = session(canonicalize(source.model))
    assert [v.name for v in run.get_outputs()] == ["sentence_embedding"]
    given = feeds("bert", 3, 13, False)
    hidden, mask = reference(model, given), given["attention_mask"][..., None]
    pooled = hidden[:, 0] if mode == "cls_token" else (hidden * mask).sum(1) / mask.sum(1)
    if normalize:
        pooled = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
    assert np.abs(run.run(None, given)[0] - pooled).max() <= TOLERANCE


def test_float16_and_bfloat16_weights_are_converted(tmp_path: Path) -> None:
    import torch

    for dtype, label in ((torch.float16, "float16"), (torch.bfloat16, "bfloat16")):
        folder = tmp_path / label
        save("bert", folder)
        from transformers import BertModel

        narrow = BertModel.from_pretrained(folder, dtype=dtype)
        narrow.save_pretrained(folder)
        source = load_source(folder)
        assert source.notes == [f"{label} weights converted to float32"]
        run = session(canonicalize(source.model))
        given = feeds("bert", 2, 7, False)
        assert difference(run, narrow.float().eval(), given) <= TOLERANCE


def test_minilm(minilm: Path) -> None:
    from transformers import AutoModel

    source = load_source(minilm)
    assert (source.task, source.max_length) == ("sentence-embedding", 128)
    assert source.name == "minilm_l6_h384_uncased"
    graph = canonicalize(source.model)
    kinds = Counter(node.op_type for node in graph.graph)
    assert kinds == {
        "Shape": 1, "Gather": 1, "Slice": 1, "Add": 49, "LayerNormalization": 13, "MatMul": 36,
        "Cast": 1, "Unsqueeze": 1, "Concat": 1, "Expand": 1, "Attention": 6, "Gelu": 6,
        "MeanPool": 1, "L2Normalize": 1,
    }  # fmt: skip
    run = session(graph)
    model = AutoModel.from_pretrained(minilm).eval()
    for batch, length in ((1, 1), (3, 33), (2, 128)):
        given = feeds("bert", batch, length, False)
        hidden, mask = reference(model, given), given["attention_mask"][..., None]
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        pooled = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
        assert np.abs(run.run(None, given)[0] - pooled).max() <= 1e-6


def test_attention_that_cannot_be_chosen(tmp_path: Path) -> None:
    """A family with a table of its own attention classes is traced with its own code."""
    import transformers

    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Data2VecVisionConfig(
        **sizes, intermediate_size=30, image_size=30, patch_size=10
    )
    torch_model = transformers.Data2VecVisionModel(config).eval()
    torch_model.save_pretrained(tmp_path)
    graph = canonicalize(load_source(tmp_path).model)
    given = feeds("vit", 3, 1, pairs=False)
    got = session(graph).run(None, given)[0]
    assert np.abs(got - reference(torch_model, given)).max() <= 1e-4
