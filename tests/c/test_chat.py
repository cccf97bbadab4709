"""A small language model as a C program: text in, text out, the same as in Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import onnx_ir as ir
import pytest
from tokenizers import Tokenizer

import intcc
from intcc.backends.c.emit import emit_c
from intcc.backends.c.generator import Generation
from intcc.generation import stream
from intcc.runtime.artifact import Artifact
from intcc.runtime.compiler import STRICT_FLAGS, find_compiler
from intcc.sampling import Sampler, SamplerConfig
from intcc.verification.float_c import generated_sources, token_findings

MODEL = Path(__file__).resolve().parents[2] / "examples" / "tiny_llama" / "model"
PROMPTS = ("sort: dacbfa =", "", "sort: fedcba", "é日\t?")
SANITIZERS = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("chat") / "sorter"
    return intcc.compile(MODEL, folder, calibration_samples=8, chunk=5)


@pytest.fixture(scope="module")
def chat(artifact: Artifact) -> Path:
    program = artifact.folder.parent / "chat"
    sources = sorted((*artifact.c_folder.glob("*.c"), artifact.c_folder / "examples/chat.c"))
    flags = [*STRICT_FLAGS, *SANITIZERS, f"-I{artifact.c_folder}"]
    command = [find_compiler(), *flags, *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run(program: Path, *arguments: str, text: bytes = b"") -> str:
    command = [str(program), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_chat_writes_what_python_writes(artifact: Artifact, chat: Path, prompt: str) -> None:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    ids = tokenizer.encode(prompt).ids
    model = intcc.load(artifact.folder, "onnx")
    for count, seed, drawn in (
        (40, 0, {}),
        (3, 0, {}),
        (40, 7, {"temperature": 0.8, "top_p": 0.95}),
    ):
        tokens = model.generate(ids, count, seed=seed, **drawn)
        mode = "default" if drawn else "greedy"
        assert run(chat, prompt, str(count), mode, str(seed)) == tokenizer.decode(tokens) + "\n"


def test_chat_reads_the_standard_input(chat: Path) -> None:
    told = run(chat, "sort: dacbfa =")
    assert told == "sort: dacbfa = aabcdf\n"
    assert told == run(chat, text=b"sort: dacbfa =\n") == run(chat, "-", text=b"sort: dacbfa =")
    assert run(chat, "--selftest") == "selftest: passed\n"


def test_draws_follow_their_seed(chat: Path) -> None:
    texts = {run(chat, "", "20", "default", str(seed)) for seed in range(6)}
    assert len(texts) > 1


@pytest.mark.parametrize("prompt", ["a b " * 20, "x" * 600, "\udcff"])
def test_chat_refuses_what_it_cannot_take(chat: Path, prompt: str) -> None:
    text = prompt.encode("utf-8", "surrogateescape")
    done = subprocess.run([str(chat)], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"the prompt is ")


def test_makefile_builds_and_tests(artifact: Artifact, tmp_path: Path) -> None:
    folder = shutil.copytree(artifact.c_folder, tmp_path / "c")
    make = ["make", "-s", "-C", str(folder), "CFLAGS=-O1 -Werror", "test"]
    done = subprocess.run(make, capture_output=True, text=True, check=True)
    assert done.stdout == "selftest: passed\n"


def test_all_backends_agree(artifact: Artifact) -> None:
    ids = [0, 261, 27, 222, 69, 66, 68, 67, 71, 66, 260]
    models = [intcc.load(artifact.folder, b) for b in ("reference", "onnx", "c")]
    made = [m.generate(ids, 30) for m in models]
    rows = [m(input_ids=[ids, ids[::-1]])["logits"] for m in models]
    assert made[0] == made[1] == made[2]
    assert rows[0].shape == (2, len(ids), 262)
    assert (rows[0] == rows[1]).all() and (rows[0] == rows[2]).all()


def test_figures_and_tokens_are_told(artifact: Artifact) -> None:
    assert artifact.manifest["end_tokens"] == [1]
    assert artifact.manifest["bos_token"] == 0
    assert artifact.settings["chunk"] == 5
    memory = artifact.report()["memory"]
    assert memory["state_bytes"] >= 2 * 2 * 2 * 32 * (16 + 3)
    assert memory["tokenizer_bytes"] > 0
    header = (artifact.c_folder / "model.h").read_text(encoding="utf-8")
    for name, figure in (("ARENA", "arena"), ("CACHE", "state")):
        assert f"#define MODEL_{name}_BYTES {memory[f'{figure}_bytes']}\n" in header


def test_no_float_no_heap(artifact: Artifact) -> None:
    found = generated_sources(artifact.c_folder)
    assert "chat.c" in {path.name for path in found}
    for path in found:
        program = path.name in ("chat.c", "model_selftest.c")
        assert list(token_findings(path, program=program)) == [], path.name


def test_a_longer_chunk_takes_more_memory(artifact: Artifact, tmp_path: Path) -> None:
    longer = emit_c(ir.load(artifact.integer_onnx), tmp_path, chunk=1000)
    assert longer.arena_bytes > artifact.report()["memory"]["arena_bytes"]
    assert "#define MODEL_MAX_TOKENS 32\n" in (tmp_path / "model.h").read_text(encoding="utf-8")


def test_without_a_supported_tokenizer_ids_remain(artifact: Artifact, tmp_path: Path) -> None:
    data = json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))
    words = {"type": "WordLevel", "vocab": data["model"]["vocab"], "unk_token": "<s>"}
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(json.dumps({**data, "model": words}), encoding="utf-8")
    scale = artifact.outputs[0].scale
    assert scale is not None
    presets = {"hot": SamplerConfig.create(scale, 1.5, 3)}
    report = emit_c(
        ir.load(artifact.integer_onnx),
        tmp_path / "c",
        generation=Generation(presets, tokenizer, end_tokens=(1, 7)),
    )
    assert len(report.notes) == 1 and report.tokenizer_bytes == 0
    assert report.notes[0].startswith("No text in C: ") and "WordLevel" in report.notes[0]
    names = {p.name for p in (tmp_path / "c").rglob("*")}
    assert "main.c" in names and "chat.c" not in names
    assert not any("tokenizer" in name for name in names)
    make = ["make", "-s", "-C", str(tmp_path / "c"), "CFLAGS=-O1 -Werror", "test"]
    subprocess.run(make, check=True, capture_output=True)
    ids = [0, 261, 27, 222, 69]
    told = run(tmp_path / "c/examples/main", ",".join(map(str, ids)), "9", "hot", "4")
    session, sampler = intcc.load(artifact.folder, "c").session(), Sampler(scale, 1.5, 3, seed=4)
    wanted = list(stream(session, ids, sampler, 9, (1, 7)))
    assert [int(t) for t in told.split()] == ids + [t for t in wanted if t not in (1, 7)]


def test_a_model_without_a_tokenizer_says_so(artifact: Artifact, tmp_path: Path) -> None:
    report = emit_c(ir.load(artifact.integer_onnx), tmp_path)
    assert report.notes == ("No text in C: the model has no tokenizer.json",)
