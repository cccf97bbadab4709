"""Every decoder family: the canonical float graph equals torch at several batches and lengths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
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
from tests.frontends.decoders import CONTEXT, DECODERS, WORDS, ids, reference, save

#: Two float32 evaluations of two layers, relative to the largest logit. Angles in float64 differ
#: from transformers' by the float32 rounding of up to 40 radians.
EXACT, SAME_ANGLES = 1e-4, 5e-6
SIZES = ((1, 1), (1, 7), (3, 13), (2, CONTEXT))


def run(model: ir.Model) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """Return the logits of a canonical graph as a function of token ids."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return lambda tokens: np.asarray(session.run(["logits"], {"input_ids": tokens})[0])


def gap(model: Any, graph: ir.Model, sizes: tuple[tuple[int, int], ...] = SIZES) -> float:
    """Largest difference to torch, relative to the largest logit."""
    ours, worst = run(graph), 0.0
    for batch, length in sizes:
        tokens = ids(batch, length)
        expected, got = reference(model, tokens), ours(tokens)
        assert got.shape == expected.shape == (batch, length, model.config.vocab_size)
        worst = max(worst, float(np.abs(got - expected).max() / np.abs(expected).max()))
    return worst


def attentions(graph: ir.Model) -> list[ir.Node]:
    return [node for node in graph.graph if node.op_type == "CausalAttention"]


@pytest.mark.parametrize("name", DECODERS)
def test_canonical_graph_equals_torch(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path)
    source = load_source(tmp_path, rope="hf")
    assert (source.task, source.max_length) == ("text-generation", CONTEXT)
    graph = canonicalize(source.model)
    assert not violations(graph.graph, FLOAT)
    assert [str(v.name) for v in graph.graph.inputs] == ["input_ids"]
    assert [str(v.name) for v in graph.graph.outputs] == ["logits"]
    assert graph.metadata_props["intcc.max_positions"] == str(CONTEXT)
    assert ("intcc.ternary" in graph.metadata_props) == ("bitnet" in name)
    check_nodes(name, graph, model.config)
    assert gap(model, graph) <= SAME_ANGLES


def check_nodes(name: str, graph: ir.Model, config: Any) -> None:
    """Heads stay on axis 2, weights are constants of rank 2, and tables have a row a position."""
    kinds = Counter(node.op_type for node in graph.graph)
    assert kinds["CausalAttention"] == 2
    assert not {"Transpose", "Softmax", "Where", "Attention", "Pow", "Sqrt", "Concat"} & set(kinds)
    positions = {"gpt2": 1, "opt": 1, "opt-projected": 1, "gemma3": 4}.get(name, 2)
    assert kinds["Slice"] - (6 if name == "phi3" else 0) == positions
    rotated = 0 if name.startswith(("gpt2", "opt")) else 2 if name == "smollm3" else 4
    assert kinds["RotaryEmbedding"] == rotated
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    for node in graph.graph:
        for out in node.outputs:
            assert out.shape is not None and out.dtype is not None, out
        if node.op_type == "CausalAttention":
            shapes = [list(v.shape or ()) for v in node.inputs if v is not None]
            assert [shape[2] for shape in shapes] == [heads, kv_heads, kv_heads]
            assert all(len(shape) == 4 and str(shape[0]) == "batch" for shape in shapes)
        if node.op_type == "MatMul":
            weight = node.inputs[1]
            assert weight is not None and weight.is_initializer() and len(weight.shape or ()) == 2
        if node.op_type == "Slice" and node.metadata_props.get("intcc.table") == "1":
            table = node.inputs[0]
            assert table is not None and table.shape is not None and table.shape[1] == CONTEXT


@pytest.mark.parametrize("name", ["llama", "phi3", "gemma3"])
def test_angles_in_float64(name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path)
    graph = canonicalize(load_source(tmp_path).model)
    assert gap(model, graph) <= EXACT
    tables = [
        np.asarray(value.const_value)
        for value in graph.graph.initializers.values()
        if str(value.name).endswith(".table") and value.const_value is not None
    ]
    cos = next(t for t in tables if np.allclose(t[0, 0], 1) and len(t[0]) == CONTEXT)
    half = cos.shape[-1] // 2
    assert np.array_equal(cos[..., :half], cos[..., half:])
    exact = np.cos(np.arange(CONTEXT, dtype=np.float64))  # the first frequency is 1
    if name != "gemma3":
        assert np.abs(cos[0, :, 0] - exact).max() <= 2.0**-24


_LONG = {
    "rope_type": "longrope",
    "rope_theta": 100.0,
    "short_factor": [1.0 + 0.1 * i for i in range(10)],
    "long_factor": [2.0 + i for i in range(10)],
    "original_max_position_embeddings": 30,
    "factor": 4.0,
}


@pytest.mark.parametrize("context", [30, CONTEXT])
def test_frequencies_of_the_context(context: int, tmp_path: Path) -> None:
    """Frequencies that change at 30 tokens are those of the context, and the user is told."""
    model = save("phi3", tmp_path, rope_parameters=_LONG, original_max_position_embeddings=30)
    source = load_source(tmp_path, context=context)
    assert any("depend on the length" in note for note in source.notes) == (context > 30)
    graph = canonicalize(source.model)
    assert gap(model, graph, ((1, context),)) <= EXACT
    assert (gap(model, graph, ((1, 9),)) <= EXACT) == (context == 30)


def test_attributes_of_attention(tmp_path: Path) -> None:
    model = save("gemma2", tmp_path)
    first, second = attentions(canonicalize(load_source(tmp_path).model))
    assert first.attributes["window"].as_int() == model.config.sliding_window == 5
    assert second.attributes["window"].as_int() == 0
    for node in (first, second):
        assert node.attributes["softcap"].as_float() == 1.5
        assert math.isclose(node.attributes["scale"].as_float(), 7**-0.5, rel_tol=1e-6)


def test_window_of_the_whole_context_is_none(tmp_path: Path) -> None:
    model = save("mistral", tmp_path)
    graph = canonicalize(load_source(tmp_path, context=5).model)
    assert [node.attributes["window"].as_int() for node in attentions(graph)] == [0, 0]
    assert gap(model, graph, ((1, 1), (2, 5))) <= EXACT


def test_scale_of_queries_is_absorbed(tmp_path: Path) -> None:
    save("opt", tmp_path)
    graph = canonicalize(load_source(tmp_path).model)
    assert "Mul" not in {node.op_type for node in graph.graph}
    assert {node.attributes["scale"].as_float() for node in attentions(graph)} == {
        float(np.float32(12**-0.5))
    }


@pytest.mark.parametrize("context", [1, 3, 10, 17, CONTEXT])
@pytest.mark.parametrize("name", ["qwen2", "gpt2"])
def test_context(context: int, name: str, tmp_path: Path) -> None:
    model = save(name, tmp_path)
    source = load_source(tmp_path, context=context)
    assert source.max_length == context
    graph = canonicalize(source.model)
    tables = [n.inputs[0] for n in graph.graph if n.metadata_props.get("intcc.table") == "1"]
    assert {t.shape[1] for t in tables if t is not None and t.shape is not None} == {context}
    assert gap(model, graph, ((1, 1), (2, context))) <= EXACT


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
def test_small_epsilon_is_kept(epsilon: float, tmp_path: Path) -> None:
    """Activations of about 1e-6, whose mean squares lie near the smaller epsilon."""
    model = save("bitnet", tmp_path, rms_norm_eps=epsilon)
    model.model.embed_tokens.weight.data *= 5e-6
    model.save_pretrained(tmp_path)
    graph = canonicalize(load_source(tmp_path).model)
    norms = [node for node in graph.graph if node.op_type == "RMSNormalization"]
    kept = float(np.float32(epsilon))
    assert {node.attributes["epsilon"].as_float() for node in norms} == {kept}
    assert gap(model, graph) <= EXACT


@pytest.mark.usefixtures("traced_anew")
def test_trace_leaves_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AttentionInterface
    from transformers.models.gemma3 import modeling_gemma3

    from intcc.frontends.tracing_decoder import CAUSAL

    save("gemma3", tmp_path)
    capsys.readouterr()
    own = modeling_gemma3.apply_rotary_pos_emb
    first = canonicalize(load_source(tmp_path).model)
    second = canonicalize(load_source(tmp_path).model)
    assert capsys.readouterr() == ("", "")
    assert CAUSAL not in AttentionInterface._global_mapping
    assert modeling_gemma3.apply_rotary_pos_emb is own
    serialized = [ir.to_proto(m).SerializeToString(deterministic=True) for m in (first, second)]
    assert serialized[0] == serialized[1]


def test_names_follow_the_modules(tmp_path: Path) -> None:
    save("llama", tmp_path)
    graph = canonicalize(load_source(tmp_path).model).graph
    names = {str(out.name) for node in graph for out in node.outputs}
    assert {"model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"} <= names
    assert "model.layers.0.self_attn.q_proj.weight" in graph.initializers


def test_half_precision_weights(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaForCausalLM

    save("llama", tmp_path).to(torch.bfloat16).save_pretrained(tmp_path)
    model = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    source = load_source(tmp_path)
    assert source.notes == ["bfloat16 weights converted to float32"]
    assert gap(model, canonicalize(source.model)) <= EXACT


def test_random_calibration_samples(tmp_path: Path) -> None:
    from intcc.frontends.calibration import load_samples

    save("llama", tmp_path)
    samples = load_samples(load_source(tmp_path, context=9), None, 20)
    assert all(set(sample) == {"input_ids"} for sample in samples)
    assert max(sample["input_ids"].shape[1] for sample in samples) == 9
    assert max(int(sample["input_ids"].max()) for sample in samples) == WORDS - 1


def test_bitnet_1m(shared: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder, text = shared / "models/bitnet-1m", shared / "data/tinystories-validation.txt"
    if not folder.is_dir() or not text.is_file():
        pytest.skip("no bitnet-1m among the shared development data")
    source = load_source(folder, context=64)
    texts = text.read_text(encoding="utf-8").splitlines()
    tokens = np.stack([feed["input_ids"][0] for feed in source.tokenize(texts[:4])])
    assert tokens.shape == (4, 64)
    graph = canonicalize(source.model)
    assert graph.metadata_props["intcc.ternary"] == "1"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    expected = reference(model, tokens)
    assert np.abs(run(graph)(tokens) - expected).max() <= EXACT * np.abs(expected).max()
