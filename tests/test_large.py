"""Memory of a compilation: little more than the float32 weights, whatever the widths are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from intcc.passes.float_session import PIECE_BYTES

#: Peak per float32 byte of the weights: they once, the second moments of their inputs, the integer
#: graph and what a pass holds of it. A piece of the graph takes its weights and activations, twice.
WEIGHTS, PIECES = 3, 4
_WIDE = {
    "hidden_size": 576,
    "num_hidden_layers": 2,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 8192,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
_TINY = {**_WIDE, "hidden_size": 36, "intermediate_size": 48, "vocab_size": 96}


def _save(folder: Path, geometry: dict[str, Any]) -> int:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**geometry))
    model.save_pretrained(folder, max_shard_size="20MB")
    return 4 * int(sum(p.numel() for p in model.parameters()))


def _peak(model: Path, output: Path) -> int:
    command = [sys.executable, "-m", "intcc", "compile", str(model), "-o", str(output), "--quiet"]
    process = subprocess.Popen([*command, "--context", "256"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return int(usage.ru_maxrss) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kibibytes")
def test_peak_memory_follows_the_weights(tmp_path: Path) -> None:
    _save(tmp_path / "tiny", _TINY)
    weights = _save(tmp_path / "wide", _WIDE)
    libraries = _peak(tmp_path / "tiny", tmp_path / "tiny-out")
    peak = _peak(tmp_path / "wide", tmp_path / "wide-out")
    bound = libraries + PIECES * PIECE_BYTES + WEIGHTS * weights
    assert peak <= bound, f"{peak:,} bytes; {bound:,} allowed, {libraries:,} without weights"
