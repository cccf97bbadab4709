"""The Python API and the artifact it writes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import intcc
from intcc.errors import DataError, SettingsError
from intcc.progress import Progress
from intcc.settings import CHOICES


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_artifact_holds_what_it_should(artifact: Path) -> None:
    names = set(digests(artifact))
    assert {"model.onnx", "integer.onnx", "manifest.json", "report.json", "report.html",
            "recorded.npz", "tokenizer.json"} <= names  # fmt: skip
    assert any(name.startswith("c/") and name.endswith(".h") for name in names)
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert manifest["outputs"][0]["scale"] == {"mul": 1, "shift": 20, "zero": 0}
    assert manifest["inputs"][0]["shape"] == ["batch", "sequence"]


def test_no_file_names_this_machine(artifact: Path, tiny_encoder: Path) -> None:
    words = {str(tiny_encoder.parent), str(Path.home()), os.uname().nodename}
    for path in artifact.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [w for w in words if len(w) > 5 and w.encode() in content], path


def test_same_bytes_in_another_process(
    artifact: Path, tiny_encoder: Path, sentences: Path, tmp_path: Path
) -> None:
    """Another hash seed, another folder, another working directory, another number of threads."""
    threads = "2" if os.environ.get("OMP_NUM_THREADS") == "1" else "1"
    script = (
        "import intcc, sys; intcc.compile(sys.argv[1], sys.argv[2], calibration=sys.argv[3], "
        "calibration_samples=16)"
    )
    command = [sys.executable, "-c", script, str(tiny_encoder), "again", str(sentences)]
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": threads}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert digests(tmp_path / "again") == digests(artifact)


@pytest.mark.parametrize("backend", ["onnx", "c", "reference"])
def test_call(artifact: Path, backend: str) -> None:
    model = intcc.load(artifact, backend)
    ids = np.array([[2, 4, 8, 3], [2, 6, 3, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    both = model(input_ids=ids, attention_mask=mask)["sentence_embedding"]
    assert both.shape == (2, 60)
    assert both.dtype == np.int32
    alone = model({"input_ids": ids[1:, :3]})["sentence_embedding"]
    assert np.array_equal(both[1], alone[0])
    real = model.dequantize("sentence_embedding", both)
    assert np.allclose(np.linalg.norm(real, axis=1), 1, atol=1e-4)


def test_specs(artifact: Path) -> None:
    model = intcc.load(artifact)
    assert model.inputs[0].name == "input_ids"
    assert model.outputs[0].shape == ("batch", 60)
    scale = model.outputs[0].scale
    assert scale is not None
    assert (scale.mul, scale.shift, scale.zero) == (1, 20, 0)


def test_tokenize(artifact: Path) -> None:
    samples = intcc.load(artifact).tokenize(["the cat"])
    assert samples[0]["input_ids"].shape == (1, 4)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "Input 'input_ids' is missing. Give int64 of shape [batch, sequence]."),
        ({"ids": [[1]]}, "Input 'ids' is not one of the model's."),
        ({"input_ids": [[0.5]]}, "Input 'input_ids' is float64, not integer."),
        ({"input_ids": [1, 2]}, "Input 'input_ids' has shape [2]."),
        ({"input_ids": [[999]]}, "has values from 999 to 999. Allowed: 0 to"),
        ({"input_ids": [[-1]]}, "has values from -1 to -1"),
        ({"input_ids": np.zeros((1, 0), int)}, "has sequence length 0. Allowed: 1 to"),
        ({"input_ids": np.zeros((1, 999), int)}, "has sequence length 999. Allowed: 1 to"),
        ({"input_ids": [[1, 2]], "attention_mask": [[1]]}, "where another input has 2"),
    ],
)  # fmt: skip
def test_bad_inputs(artifact: Path, feeds: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        intcc.load(artifact)(feeds)
    assert message in str(caught.value)


def test_names_that_do_not_exist(artifact: Path) -> None:
    model = intcc.load(artifact)
    with pytest.raises(DataError, match=r"Input 'x' does not exist\. Known: input_ids"):
        model.quantize("x", [1.0])
    with pytest.raises(DataError, match="holds indices, which have no scale"):
        model.quantize("input_ids", [1.0])
    with pytest.raises(SettingsError, match="Backend 'tpu' does not exist"):
        intcc.load(artifact, "tpu")
    with pytest.raises(SettingsError, match="Option 'input' does not exist"):
        intcc.verify(artifact, input=3)


def test_progress_is_reported(tiny_encoder: Path, sentences: Path, tmp_path: Path) -> None:
    class Recorder(Progress):
        def __init__(self) -> None:
            self.stages: list[str] = []
            self.steps = 0

        def stage(self, name: str, total: int | None = None) -> None:
            self.stages.append(name)

        def advance(self, steps: int = 1) -> None:
            self.steps += steps

    recorder = Recorder()
    intcc.compile(tiny_encoder, tmp_path / "x", calibration=sentences, calibration_samples=5,
                  emit="onnx", progress=recorder)  # fmt: skip
    assert recorder.stages[:3] == ["import", "canonicalize", "calibrate"]
    assert recorder.steps >= 5


def test_import_is_light() -> None:
    code = "import sys, intcc; assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_compiling_onnx_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None; "
        "import intcc.api, intcc.build, intcc.verification, intcc.pipeline, intcc.cli"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_task_choices_are_the_frontends() -> None:
    from intcc.frontends.source import TASKS

    assert set(CHOICES["task"]) == {"auto", *TASKS}


def test_no_module_shadows_a_function() -> None:
    """`import intcc.x` sets the attribute x of the package, whatever it was before."""
    folder = Path(intcc.__file__).parent
    for name in ("compile", "load", "verify"):
        assert not (folder / name).exists()
        assert not (folder / f"{name}.py").exists()
