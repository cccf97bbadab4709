"""Every decoder family: the canonical float graph equals torch at several batches and lengths."""

from __future__ import annotations

import json
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

from intcc.errors import ModelError
from intcc.frontends import load_source
from intcc.frontends.source import SourceModel
from intcc.passes.canonicalize import canonicalize
from intcc.perplexity import Perplexity, float_perplexity, score
from intcc.stages import FLOAT, violations
from tests.frontends.decoders import CONTEXT, DECODERS, WORDS, ids, reference, save
from tests.frontends.families import save as save_encoder

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
    assert {node.attributes["epsilon"].as_float() for node in norms} == {epsilon}
    assert gap(model, graph) <= EXACT


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


def refused(folder: Path, *fragments: str, **options: Any) -> None:
    with pytest.raises(ModelError) as caught:
        load_source(folder, **options)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    assert "\n" not in message and caught.value.remedy


def change_weights(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_context_out_of_range(tmp_path: Path) -> None:
    save("llama", tmp_path)
    for context in (0, -1, CONTEXT + 1):
        refused(tmp_path, f"--context {context}", f"1 to {CONTEXT}", context=context)


def test_context_is_for_language_models(tmp_path: Path) -> None:
    save_encoder("bert", tmp_path)
    refused(tmp_path, "--context 8", "is for language models", "--max-length", context=8)


@pytest.mark.parametrize("task", ["feature-extraction"])
def test_decoder_is_no_encoder(task: str, tmp_path: Path) -> None:
    save("llama", tmp_path)
    refused(tmp_path, f"Task '{task}'", "see only earlier ones", task=task)


def test_encoder_generates_nothing(tmp_path: Path) -> None:
    save_encoder("bert", tmp_path)
    refused(tmp_path, "lacks", task="text-generation")


def test_missing_weight_is_named(tmp_path: Path) -> None:
    save("llama", tmp_path)
    change_weights(tmp_path, lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))
    refused(tmp_path, "lacks 1 weight", "'model.layers.1.mlp.up_proj.weight'", "Download")


def test_missing_head_is_named(tmp_path: Path) -> None:
    save("llama-untied-biased", tmp_path)
    change_weights(tmp_path, lambda t: t.pop("lm_head.weight"))
    refused(tmp_path, "lacks 1 weight", "'lm_head.weight'")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    save("qwen3", tmp_path)
    name = "model.layers.0.self_attn.k_norm.weight"
    change_weights(tmp_path, lambda t: t[name].__setitem__(3, value))
    refused(tmp_path, f"'{name}'", "1 NaN or infinite value")


def test_weight_of_another_shape(tmp_path: Path) -> None:
    save("llama", tmp_path)

    def cut(tensors: dict[str, Any]) -> None:
        name = "model.layers.0.mlp.up_proj.weight"
        tensors[name] = tensors[name][:-1].clone()

    change_weights(tmp_path, cut)
    refused(tmp_path, str(tmp_path), "cannot be loaded")


def sharded(folder: Path, name: str = "llama") -> list[Path]:
    """Write a model in several files; return them."""
    save(name, folder)
    (folder / "model.safetensors").unlink()
    from tests.frontends.decoders import build

    build(name).save_pretrained(folder, max_shard_size="60KB")
    return sorted(folder.glob("model-*.safetensors"))


def test_shards(tmp_path: Path) -> None:
    shards = sharded(tmp_path)
    assert len(shards) > 2
    assert load_source(tmp_path).task == "text-generation"


def test_missing_shard(tmp_path: Path) -> None:
    sharded(tmp_path)[1].unlink()
    refused(tmp_path, str(tmp_path), "cannot be loaded")


def test_shard_of_another_model(tmp_path: Path) -> None:
    """A shard whose tensors are those of another one: some names are gone, nothing is guessed."""
    shards = sharded(tmp_path)
    shards[1].write_bytes(shards[2].read_bytes())
    refused(tmp_path, str(tmp_path))


def test_truncated_shard(tmp_path: Path) -> None:
    shard = sharded(tmp_path)[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    refused(tmp_path, str(tmp_path))


def test_other_attention_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A family whose own code differs from plain causal attention is not mistaken for one."""
    from transformers.models.llama import modeling_llama

    own = modeling_llama.eager_attention_forward

    def biased(module: Any, query: Any, *rest: Any, **options: Any) -> Any:
        return own(module, query * 1.1, *rest, **options)

    monkeypatch.setattr(modeling_llama, "eager_attention_forward", biased)
    save("llama", tmp_path)
    refused(tmp_path, "LlamaForCausalLM", "does not compute plain causal attention")


def test_random_calibration_samples(tmp_path: Path) -> None:
    from intcc.frontends.calibration import load_samples

    save("llama", tmp_path)
    samples = load_samples(load_source(tmp_path, context=9), None, 20)
    assert all(set(sample) == {"input_ids"} for sample in samples)
    assert max(sample["input_ids"].shape[1] for sample in samples) == 9
    assert max(int(sample["input_ids"].max()) for sample in samples) == WORDS - 1


def test_perplexity_of_any_model() -> None:
    """Uniform logits give the size of the vocabulary; certain ones give 1."""
    documents = [np.array([1, 5, 3]), np.array([1]), np.array([1, 2])]
    uniform = score(lambda tokens: np.zeros((len(tokens), 7)), documents)
    assert math.isclose(uniform.perplexity, 7) and uniform.tokens == 3

    def knows(tokens: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(1e4 * np.eye(7)[np.append(tokens[1:], 0)])

    certain = score(knows, documents)
    assert math.isclose(certain.perplexity, 1)
    assert [g.tolist() for g in certain.greedy] == [[5, 3], [], [2]]
    assert uniform.agreement(certain) == 0 and certain.agreement(certain) == 1


def real(shared: Path, name: str, **options: Any) -> tuple[SourceModel, list[str]]:
    folder = shared / "models" / name
    text = shared / "data" / "tinystories-validation.txt"
    if not folder.is_dir() or not text.is_file():
        pytest.skip(f"no model {name} among the shared development data")
    return load_source(folder, **options), text.read_text(encoding="utf-8").splitlines()


def test_stories260k(shared: Path) -> None:
    source, texts = real(shared, "stories260k")
    assert source.max_length == 512
    tokens = source.tokenize(texts[:1])[0]["input_ids"][0]
    assert tokens[0] == 1  # beginning of sequence
    result: Perplexity = float_perplexity(source, texts[:40])
    assert abs(result.perplexity - 3.5436) <= 1e-4
    assert len(result.greedy) == 40 and result.tokens == sum(map(len, result.greedy))


def test_bitnet_1m(shared: Path) -> None:
    from transformers import AutoModelForCausalLM

    source, texts = real(shared, "bitnet-1m", context=64)
    tokens = np.stack([feed["input_ids"][0] for feed in source.tokenize(texts[:4])])
    assert tokens.shape == (4, 64)
    graph = canonicalize(source.model)
    assert graph.metadata_props["intcc.ternary"] == "1"
    model = AutoModelForCausalLM.from_pretrained(shared / "models" / "bitnet-1m").eval()
    expected = reference(model, tokens)
    assert np.abs(run(graph)(tokens) - expected).max() <= EXACT * np.abs(expected).max()


def test_config_of_another_kind(tmp_path: Path) -> None:
    save("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["LlamaModel"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_source(tmp_path, task="text-generation").task == "text-generation"
    refused(tmp_path, "see only earlier ones")
