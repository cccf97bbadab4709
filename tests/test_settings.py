"""Settings and budgets: what is accepted, and what the refusals say."""

from __future__ import annotations

import re

import pytest

from intcc.budget import Budget, format_bytes
from intcc.errors import BudgetError, SettingsError
from intcc.settings import Settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"emitt": "onnx"}, "Setting 'emitt' does not exist. Did you mean 'emit'?"),
        (
            {"emit": "onnx,rust"},
            "--emit 'rust' is not known. Choose from: onnx, c, qlinear, qdq, tosa, vela.",
        ),
        ({"emit": ()}, "--emit names no backend"),
        ({"scheme": "w4a4"}, "--scheme 'w4a4' is not known. Choose from: w8a8, w1.58a8."),
        ({"rope": "fast"}, "--rope 'fast' is not known. Choose from: exact, hf, phase."),
        (
            {"ternary": "3bit"},
            "--ternary '3bit' is not known. Choose from: auto, int8, 2bit, trits.",
        ),
        ({"rescale": "even"}, "--rescale 'even' is not known. Choose from: dyadic, pow2."),
        (
            {"rescale": "pow2", "rounding": "half-even"},
            "--rescale pow2 has ties, which --rounding half-even has to do without",
        ),
        (
            {"accelerator": "ethos-u55-64", "emit": "c,tosa"},
            "--accelerator ethos-u55-64 is for vela only. Add vela to --emit.",
        ),
        ({"context": 0}, "--context 0 is below 1"),
        ({"chunk": 0}, "--chunk 0 is below 1"),
        ({"max_length": 0}, "--max-length 0 is below 1"),
        ({"calibration_samples": 0}, "--calibration-samples 0 is below 1"),
        ({"float_io": True, "emit": "c"}, "--float-io changes model.onnx only"),
        ({"budget": "ram=3"}, "--budget 'ram=3' is not a limit"),
        ({"budget": "arena"}, "--budget 'arena' is not a limit"),
        ({"budget": "sqnr=3K"}, "--budget 'sqnr=3K' is not a limit"),
    ],
)
def test_refusals(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        Settings.of(**values)


def test_loose_values() -> None:
    settings = Settings.of(emit="c, onnx", calibration="x.txt", budget="arena=256K,sqnr=30")
    assert settings.emit == ("c", "onnx")
    assert settings.budget == Budget(arena=256 * 1024, sqnr=30.0)
    assert "calibration" not in settings.for_manifest()


def test_budget_units() -> None:
    assert Budget.parse("arena=1.5K,flash=2M") == Budget(arena=1536, flash=2 * 2**20)
    assert Budget.parse("flash=1GiB") == Budget(flash=2**30)
    assert Budget.parse("") == Budget()


def test_budget_messages_hold_figure_and_limit() -> None:
    budget = Budget.parse("arena=1K,flash=1M,sqnr=30")
    budget.check({"arena": 1024, "flash": 5, "sqnr": 30.0})
    with pytest.raises(BudgetError, match=r"Arena is 1,025 bytes .* above the budget of 1,024"):
        budget.check({"arena": 1025, "flash": 5, "sqnr": 40.0})
    with pytest.raises(BudgetError, match=r"Output SQNR is 29.9 dB, below the budget of 30.0 dB"):
        budget.check({"arena": 1, "flash": 5, "sqnr": 29.9})
    with pytest.raises(BudgetError, match="this compilation has no such figure"):
        budget.check({"arena": None, "flash": None, "sqnr": 40.0})


def test_format_bytes() -> None:
    assert [format_bytes(n) for n in (5, 1536, 3 * 2**20)] == ["5 B", "1.5 KiB", "3.0 MiB"]
