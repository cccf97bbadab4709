"""The emulated machines, and models on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from intcc.backends.c.target import available, load_target
from intcc.emulation.machine import PREFIX, machine
from intcc.emulation.model import EmulatedModel
from intcc.errors import ToolError
from intcc.toolchain import find_program
from tests.c.bench import Bench

#: Every target that has an emulator.
MACHINES = [name for name in available() if load_target(name).emulator is not None]


def on_machine(name: str) -> str:
    """Return how --on names a machine; skip where its tools are missing."""
    target = machine(PREFIX + name)
    assert target.toolchain is not None and target.emulator is not None
    try:
        find_program(target.toolchain.compiler, target.toolchain.packages)
        find_program(target.emulator.program, target.emulator.packages)
    except ToolError as error:
        pytest.skip(str(error))
    return PREFIX + name


def emulate(bench: Bench, name: str, folder: Path, *, target: str = "") -> EmulatedModel:
    """Return a bench on a machine, in the C of that machine or of another target."""
    on = on_machine(name)
    bench.emit(folder, target=target or name)
    return EmulatedModel(folder, bench.manifest(), on=on)


#: A model by hand: y = run(x), one int32 each.
HEADER = """
#include <stddef.h>
#include <stdint.h>
#define HAND_ARENA_BYTES {arena}
#define HAND_X_ELEMENTS (1)
#define HAND_Y_ELEMENTS (1)
extern const int8_t hand_weights[];
int hand_run(void *arena,
    const int32_t *x, int32_t *y);
"""


def by_hand(
    folder: Path, name: str, body: str, *, weights: int = 1, arena: int = 8, before: str = ""
) -> EmulatedModel:
    """Return a model whose run function has this body, with so many bytes of weights."""
    on = on_machine(name)
    folder.mkdir(exist_ok=True)
    (folder / "hand.h").write_text(HEADER.format(arena=arena), encoding="utf-8")
    signature = "int hand_run(void *arena, const int32_t *x, int32_t *y)"
    text = f'#include "hand.h"\n{before}\n{signature}\n{{\n    (void)arena;\n{body}\n}}\n'
    (folder / "hand.c").write_text(text, encoding="utf-8")
    text = f'#include "hand.h"\nconst int8_t hand_weights[{weights}] = {{1}};\n'
    (folder / "hand_weights.c").write_text(text, encoding="utf-8")
    return EmulatedModel(folder, manifest(), on=on)


def manifest() -> Mapping[str, Any]:
    """Return what a model by hand takes and gives."""
    from intcc.specs import TensorSpec

    return {
        "inputs": [TensorSpec("x", "int32", (1,)).to_json()],
        "outputs": [TensorSpec("y", "int32", (1,)).to_json()],
    }
