"""Bad input: one clear message, exit status 1, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from intcc.cli import main


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must fail; return its message."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    messages = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1
    return messages[0]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder / "out"


@pytest.fixture(autouse=True)
def nothing_is_left(target: Path) -> object:
    yield
    assert os.listdir(target.parent) == []


Capture = pytest.CaptureFixture[str]


def test_missing_folder(capsys: Capture, target: Path, tmp_path: Path) -> None:
    message = fails(capsys, "compile", tmp_path / "none", "-o", target)
    assert "none' does not exist" in message


def test_empty_folder(capsys: Capture, target: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = fails(capsys, "compile", tmp_path / "empty", "-o", target)
    assert "is empty" in message


def test_not_a_model(capsys: Capture, target: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"this is not a protobuf of onnx")
    assert "a.onnx" in fails(capsys, "compile", path, "-o", target)
    assert "a.txt" in fails(capsys, "compile", _text(tmp_path / "a.txt", "x"), "-o", target)


def test_truncated_onnx(capsys: Capture, target: Path, artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes((artifact / "model.onnx").read_bytes()[:-500])
    assert "cut.onnx" in fails(capsys, "compile", path, "-o", target)


def test_unsupported_operator(capsys: Capture, target: Path, tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.ones((8, 4), np.float32), "table")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["x"], "embed"),
            helper.make_node("Softplus", ["x"], ["y"], "soft"),
        ],
        "g",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4])],
        [table],
    )
    path = tmp_path / "m.onnx"
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    message = fails(capsys, "compile", path, "-o", target)
    assert "Softplus" in message
    assert "4]" in message
    assert "no integer rule" in message
    assert "`intcc ops` lists" in message


@pytest.mark.parametrize(
    ("name", "text", "arguments", "words"),
    [
        ("missing.txt", None, [], "does not exist"),
        ("empty.txt", "\n\n", [], "holds no text"),
        ("c.csv", "a,b\n1,2\n", ["--calibration-column", "text"], "column"),
        ("c.csv", "a,b\n1,2\n", [], "column"),
        ("c.jsonl", "{not json}\n", [], "c.jsonl"),
        ("c.xyz", "hello\n", [], "unknown extension"),
        ("c.npz", "not a zip", [], "c.npz"),
    ],
)
def test_bad_calibration(
    capsys: Capture, target: Path, tiny_encoder: Path, tmp_path: Path, name: str,
    text: str | None, arguments: list[str], words: str,
) -> None:  # fmt: skip
    path = tmp_path / name
    if text is not None:
        _text(path, text)
    message = fails(
        capsys, "compile", tiny_encoder, "-o", target, "--calibration", path, *arguments
    )
    assert words in message


def test_calibration_tokens_out_of_range(
    capsys: Capture, target: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ids.npz"
    ids = np.array([[2, 100000, 3]])
    np.savez(path, input_ids=ids, attention_mask=np.ones_like(ids),
             token_type_ids=np.zeros_like(ids))  # fmt: skip
    message = fails(capsys, "compile", tiny_encoder, "-o", target, "--calibration", path)
    assert "100000" in message


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_weights_that_are_not_finite(
    capsys: Capture, target: Path, tiny_encoder: Path, tmp_path: Path, poison: float
) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    tensors = load_file(folder / "model.safetensors")
    name = next(n for n in sorted(tensors) if n.endswith("query.weight"))
    tensors[name] = tensors[name].copy()
    tensors[name][3, 4] = poison
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    message = fails(capsys, "compile", folder, "-o", target)
    assert "query.weight" in message


def test_half_precision_weights_are_noted(
    capsys: Capture, target: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    tensors = {n: t.astype(np.float16) for n, t in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    status = main(["compile", str(folder), "-o", str(target), "--emit", "onnx", "--json"])
    assert status == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("float16" in note for note in notes)
    shutil.rmtree(target)


def test_pickled_checkpoint(
    capsys: Capture, target: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = fails(capsys, "compile", folder, "-o", target)
    assert "pickle" in message
    assert "--allow-pickle" in message


def test_budget(capsys: Capture, target: Path, tiny_encoder: Path, sentences: Path) -> None:
    message = fails(
        capsys, "compile", tiny_encoder, "-o", target, "--calibration", sentences,
        "--calibration-samples", "4", "--budget", "arena=10",
    )  # fmt: skip
    assert "Arena is" in message
    assert "above the budget of 10 bytes" in message


def test_no_c_compiler(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    message = fails(capsys, "run", artifact, "--text", "a cat", "--backend", "c")
    assert "ompiler" in message


def test_no_onnxruntime(capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = fails(capsys, "run", artifact, "--text", "a cat")
    assert "onnxruntime is not installed. Run `pip install onnxruntime`." in message


def test_damaged_artifacts(capsys: Capture, artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(artifact, folder)
    (folder / "model.onnx").unlink()
    assert "has no model.onnx" in fails(capsys, "run", folder, "--text", "a")
    _text(folder / "manifest.json", '{"artifact": 1}')
    assert "is damaged" in fails(capsys, "verify", folder)
    _text(folder / "manifest.json", "{")
    assert "is damaged" in fails(capsys, "verify", folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "has no column 'sentence1'"),
        ("sentence1,sentence2,score\na,b,high\n", "has the score 'high'"),
        ("sentence1,sentence2,score\na,b,1\n", "has 1 pairs, too few to rank"),
    ],
)
def test_bad_sts_files(
    capsys: Capture, artifact: Path, tmp_path: Path, text: str, words: str
) -> None:
    message = fails(capsys, "eval", artifact, "--sts", _text(tmp_path / "s.csv", text))
    assert words in message


def test_another_float_model(
    capsys: Capture, artifact: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _text(folder / "config.json", json.dumps({**config, "layer_norm_eps": 1e-3}))
    message = fails(capsys, "bench", artifact, "--model", folder)
    assert "is not the one that" in message


def test_disk_that_takes_no_more(target: Path, tiny_encoder: Path, sentences: Path) -> None:
    """A limit on file sizes fails the write in the middle, as a full disk does."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)); "
        "from intcc.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "compile", str(tiny_encoder), "-o", str(target),
               "--calibration", str(sentences), "--quiet"]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"error: Output '{target}' could not be written: File too large." in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt(target: Path, tiny_encoder: Path, sentences: Path, number: int) -> None:
    command = [sys.executable, "-m", "intcc", "compile", str(tiny_encoder), "-o", str(target),
               "--calibration", str(sentences)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "calibrate" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(60) in (1, 130, 143)
    assert "Traceback" not in rest


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
