"""What can go wrong on the way to a machine, and what is said about it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from intcc.emulation.machine import execute, machine
from intcc.emulation.model import EmulatedModel
from intcc.emulation.program import build_program
from intcc.errors import SettingsError, ToolError
from tests.c.encoder import encoder
from tests.emulation.machines import by_hand, on_machine

X = {"x": np.array([3], np.int32)}


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("qemu:abacus", "does not exist"),
        ("abacus", "does not exist"),
        ("qemu:generic", "has no emulator"),
        ("cortex-m4", "is written with qemu: in front"),
    ],
)
def test_unknown_machines(name: str, fact: str) -> None:
    with pytest.raises(SettingsError, match=f"Machine '{name}' {fact}. Known: qemu:aarch64, "):
        machine(name)


@pytest.mark.parametrize(
    ("name", "hidden", "packages"),
    [
        ("cortex-m4", "arm-none-eabi-gcc", "gcc-arm-none-eabi"),
        ("cortex-m4", "qemu-system-arm", "qemu-system-arm"),
        ("rv64gcv", "clang-19", "clang-19 lld-19"),
        ("rv64gcv", "ld.lld-19", "clang-19 lld-19"),
        ("rv32imc", "qemu-system-riscv32", "qemu-system-misc"),
        ("aarch64", "qemu-aarch64", "qemu-user"),
    ],
)
def test_missing_tools_are_named(
    name: str, hidden: str, packages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on, which = on_machine(name), shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == hidden else which(tool))
    bench = encoder()
    bench.emit(tmp_path)
    with pytest.raises(
        ToolError, match=rf"Tool '{hidden}' was not found\. On Debian: apt-get install {packages}"
    ):
        feeds = bench.feeds(1, "low") | {"attention_mask": np.ones((1, 1), np.int64)}
        EmulatedModel(tmp_path, bench.manifest(), on=on).run(feeds)


def test_too_much_code(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        by_hand(tmp_path, "cortex-m4", "    *y = hand_weights[*x];\n    return 0;", weights=2**22)
    assert caught.value.subject == "Machine 'cortex-m4'"
    found = r"has 4,194,304 bytes for code and constant data, [\d,]+ too few for this model"
    assert re.fullmatch(found, caught.value.fact)


def test_too_much_data_for_either_linker(tmp_path: Path) -> None:
    for name, size in (("cortex-m33", 2**21), ("rv64gcv", 2**26)):
        with pytest.raises(SettingsError, match=f"has {size:,} bytes for arena, cache"):
            by_hand(tmp_path, name, "    *y = *x;\n    return 0;", arena=size)


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m0", "rv32imc", "rv64gcv"])
def test_a_fault(name: str, tmp_path: Path) -> None:
    body = "    if (*x == 3) {\n        __builtin_trap();\n    }\n    *y = 0;\n    return 0;"
    with pytest.raises(ToolError, match=f"The program on {name} was stopped by a fault"):
        by_hand(tmp_path, name, body).run(X)


def test_a_stack_that_runs_out(tmp_path: Path) -> None:
    body = (
        "    volatile int32_t deep[20000];\n"
        "    for (int i = 20000; i > 0; i--) {\n        deep[i - 1] = *x;\n    }\n"
        "    *y = deep[0];\n    return 0;"
    )
    with pytest.raises(ToolError, match="was stopped by a fault"):
        by_hand(tmp_path, "cortex-m4", body).run(X)


def test_a_crash_on_an_operating_system(tmp_path: Path) -> None:
    body = "    if (*x == 3) {\n        __builtin_trap();\n    }\n    *y = 0;\n    return 0;"
    with pytest.raises(ToolError, match="The program on aarch64 ended with status"):
        by_hand(tmp_path, "aarch64", body).run(X)


def test_a_program_without_an_end(tmp_path: Path) -> None:
    hand = by_hand(
        tmp_path,
        "cortex-m4",
        "    for (*y = *x; *(volatile int32_t *)y == 3;) {\n    }\n    return 0;",
    )
    with pytest.raises(ToolError, match=r"The program on cortex-m4 did not end within 0\.5 s"):
        execute(hand.target, hand.program, np.array([0, 0, 3], np.int32).tobytes(), patience=0.5)


def test_input_that_ends_early(tmp_path: Path) -> None:
    for name in ("cortex-m4", "aarch64"):
        hand = by_hand(tmp_path / name, name, "    *y = *x;\n    return 0;")
        with pytest.raises(ToolError, match="could not read its input or write its output"):
            execute(hand.target, hand.program, b"\0" * 8)


def test_code_that_does_not_compile(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"'arm-none-eabi-gcc' rejects the generated code .*'?zzz"):
        by_hand(tmp_path, "cortex-m4", "    *y = *x + zzz;\n    return 0;")


def test_programs_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "    *y = *x - 7;\n    return 0;"
    first = by_hand(tmp_path / "one", "cortex-m3", body)
    monkeypatch.setattr("intcc.runtime.compiler._build", lambda *_: pytest.fail("built again"))
    assert by_hand(tmp_path / "two", "cortex-m3", body).program == first.program
    assert build_program.__module__ == "intcc.emulation.program"
