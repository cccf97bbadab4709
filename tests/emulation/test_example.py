"""The firmware example: a language model that prints on emulated microcontrollers."""

import pytest

from examples.microcontroller.demo import run
from tests.emulation.machines import on_machine


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m55", "rv32imc"])
def test_firmware_prints_what_this_machine_writes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flash, ram, _ = run(on_machine(name))
    assert "sort: caffee = aceeff " in capsys.readouterr().out
    assert flash < 256 * 1024
    assert ram < 64 * 1024
