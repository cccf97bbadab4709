"""The memory of traces that tests share: what is read back is what was traced."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from intcc.frontends import load_source, tracing_decoder
from tests.frontends.decoders import save


def test_a_remembered_trace_is_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("phi3", tmp_path)
    load_source(tmp_path, context=9)
    first = load_source(tmp_path, context=9)
    trace = tracing_decoder.trace_decoder.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(tracing_decoder, "trace_decoder", trace)
    second = load_source(tmp_path, context=9)
    assert first.notes == second.notes
    bits = [ir.to_proto(s.model).SerializeToString(deterministic=True) for s in (first, second)]
    assert bits[0] == bits[1]
