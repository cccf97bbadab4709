"""Instruction counts are exact, complete and the same from run to run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intcc.emulation.counter import Counts, added, parse_counts
from tests.c.encoder import encoder
from tests.emulation.machines import MACHINES, by_hand, emulate

#: A function of 1 + 2 n + 1 instructions.
SPIN = {
    "cortex-m0": ".syntax unified\\nmovs r1, %c0\\n1: subs r1, #1\\nbne 1b\\nbx lr",
    "cortex-m55": ".syntax unified\\nmovs r1, %c0\\n1: subs r1, #1\\nbne 1b\\nbx lr",
    "rv32imc": "li t0, %c0\\n1: addi t0, t0, -1\\nbnez t0, 1b\\nret",
    "rv64gcv": "li t0, %c0\\n1: addi t0, t0, -1\\nbnez t0, 1b\\nret",
}
TURNS = 200


@pytest.mark.parametrize("name", SPIN)
def test_a_loop_of_known_length(name: str, tmp_path: Path) -> None:
    code = SPIN[name].replace("%c0", ("#" if "cortex" in name else "") + str(TURNS))
    spin = f'static __attribute__((naked, noinline)) void spin(void) {{ __asm__("{code}"); }}'
    machine = by_hand(tmp_path, name, "    spin();\n    *y = *x + 1;\n    return 0;", before=spin)
    assert machine.run({"x": np.array([41], np.int32)})["y"].tolist() == [42]
    counts = machine.calls[0].counts
    assert counts.functions["spin"] == 2 * TURNS + 2
    assert 3 <= counts.functions["hand_run"] == counts.total - counts.functions["spin"] < 20


def test_a_loop_of_known_length_on_aarch64(tmp_path: Path) -> None:
    code = f"mov x9, {TURNS}\\n1: subs x9, x9, 1\\nb.ne 1b\\nret"
    spin = f'__asm__(".type spin, @function\\nspin: {code}\\n.size spin, . - spin");\n'
    machine = by_hand(
        tmp_path,
        "aarch64",
        '    __asm__ volatile("bl spin" ::: "x9", "x30", "cc");\n    *y = *x;\n    return 0;',
        before=spin,
    )
    machine.run({"x": np.array([1], np.int32)})
    assert machine.calls[0].counts.functions["spin"] == 2 * TURNS + 2


@pytest.mark.parametrize("name", MACHINES)
def test_counts_are_complete_and_repeatable(name: str, tmp_path: Path) -> None:
    bench = encoder()
    bench.limits["attention_mask"] = (1, 1)
    machine = emulate(bench, name, tmp_path)
    for n in (9, 9, 12):
        machine.run(bench.feeds(n, "random"))
    first, again, longer = (c.counts for c in machine.calls)
    assert first == again
    assert first.total < longer.total
    text = (tmp_path / "tiny.c").read_text(encoding="utf-8")
    layers = range(text.count("/* ---- "))
    assert len(layers) == 6
    assert sorted(first.layers) == [-1, *layers]
    assert all(count > 0 for count in first.layers.values())
    assert sum(first.layers.values()) == first.total
    # What is inlined counts for its caller, so the run function is the one that is always there.
    assert "tiny_run" in first.functions
    assert "run" not in first.functions
    layers_alone = first.total - first.layers[-1]
    assert 0 <= sum(first.functions.values()) - first.total <= 40 < layers_alone


def test_counts_of_several_calls() -> None:
    text = "layer 0 10\nlayer 2 25\nfunction 30 a\nfunction 40 b\ntotal 70\n"
    counts = parse_counts(text)
    assert counts == Counts(70, {-1: 10, 0: 15, 2: 45}, {"b": 40, "a": 30})
    assert added([counts, counts]) == Counts(140, {-1: 20, 0: 30, 2: 90}, {"b": 80, "a": 60})
