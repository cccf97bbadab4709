"""Equivalences of decoders: the float function stays the same, large channels become smaller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from intcc.frontends import load_source
from intcc.frontends.calibration import load_samples
from intcc.passes.calibrate import calibrate
from intcc.passes.canonicalize import canonicalize
from intcc.passes.equivalences.balance import balance
from intcc.passes.equivalences.center_keys import center_keys
from intcc.passes.equivalences.smooth import without_quiet
from intcc.passes.float_session import float_session
from tests.frontends.decoders import CONTEXT, DECODERS, ids, save

Array = npt.NDArray[Any]


def logits(model: ir.Model, tokens: Array) -> Array:
    return np.asarray(float_session(model, []).run(["logits"], {"input_ids": tokens})[0])


Samples = list[Mapping[str, Array]]


def opened(name: str, folder: Path) -> tuple[ir.Model, Samples]:
    save(name, folder)
    source = load_source(folder, task="auto", context=CONTEXT)
    samples: Samples = list(load_samples(source, None, 8))
    return canonicalize(source.model), samples


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_function_is_preserved(name: str, tmp_path: Path) -> None:
    model, samples = opened(name, tmp_path)
    tokens = ids(2, CONTEXT)
    before = logits(model, tokens)
    balance(model, calibrate(model, samples, moments=False))
    balanced = logits(model, tokens)
    centred = center_keys(model, samples)
    assert centred == (0 if name == "gemma2" else 2)
    largest = np.abs(before).max()
    assert np.abs(balanced - before).max() <= 2e-5 * largest
    assert np.abs(logits(model, tokens) - before).max() <= 2e-5 * largest


def _spread(model: ir.Model, samples: Samples, name: str) -> float:
    record = calibrate(model, samples, moments=False)[name]
    size = np.maximum(-record.low, record.high)
    return float(size.max() / np.median(size))


@pytest.mark.slow
def test_blown_up_channels_shrink(tmp_path: Path) -> None:
    """A channel of the up projection times 64, undone in down: after balance it is no outlier."""
    import torch
    from transformers import LlamaForCausalLM

    save("llama", tmp_path)
    torch_model = LlamaForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        for layer in torch_model.model.layers:
            layer.mlp.up_proj.weight[3] *= 64
            layer.mlp.down_proj.weight[:, 3] /= 64
    torch_model.save_pretrained(tmp_path)
    source = load_source(tmp_path, task="auto", context=CONTEXT)
    samples: Samples = list(load_samples(source, None, 8))
    model = canonicalize(source.model)
    name = next(
        str(node.inputs[0].name)
        for node in model.graph
        if node.op_type == "MatMul" and "down_proj" in str(node.name) and node.inputs[0] is not None
    )
    before = _spread(model, samples, name)
    balance(model, calibrate(model, samples, moments=False))
    assert before > 30 > 10 > _spread(model, samples, name)


def test_quiet_channels_count_as_a_quarter_of_the_median() -> None:
    assert without_quiet(np.array([0.0, 1.0, 4.0, 8.0, 90.0])).tolist() == [1, 1, 4, 8, 90]
