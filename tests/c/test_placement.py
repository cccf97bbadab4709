"""Macros that place data: the sections that a compiler puts it in, and its alignment."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.builder import Builder
from intcc.backends.c.generator import Generation
from intcc.backends.c.target import KINDS, available, load_target
from intcc.backends.c.tokenizer import emit_tokenizer
from intcc.runtime.compiler import STRICT_FLAGS
from tests.c.cases_cache import decoder
from tests.c.encoder import encoder

MODEL = Path(__file__).resolve().parents[2] / "examples" / "tiny_llama" / "model"


def section(macro: str, name: str) -> str:
    return f'-D{macro}=__attribute__((section("{name}")))'


def symbols(source: Path, *flags: str, compiler: str = "gcc") -> dict[str, tuple[str, int]]:
    """Return (section, offset) of every object of a source; `source` lies below its headers."""
    made = source.with_suffix(".o")
    folders = [f"-I{source.parent}", f"-I{source.parent.parent}"]
    command = [compiler, *STRICT_FLAGS, "-O1", *flags, *folders, "-c", str(source), "-o", str(made)]
    subprocess.run(command, check=True)
    table = subprocess.run(["objdump", "-t", str(made)], capture_output=True, text=True, check=True)
    rows = re.findall(r"^(\w+) .{6}O (\S+)\t\w+ (?:\.hidden )?(\S+)$", table.stdout, re.M)
    return {name: (where, int(offset, 16)) for offset, where, name in rows}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the tiny encoder for several targets."""
    found = {}
    for target in ("generic", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc"):
        found[target] = tmp_path_factory.mktemp(target) / "tiny"
        encoder().emit(found[target], target=target)
    return found


@pytest.mark.parametrize("compiler", ["gcc", "clang-19"])
def test_groups_go_to_their_sections(folders: dict[str, Path], compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    flags = (section("TINY_WEIGHTS_SECTION", ".w"), section("TINY_PARAMETERS_SECTION", ".p"))
    weights = folders["generic"] / "tiny_weights.c"
    found = symbols(weights, *flags, compiler=compiler)
    assert len(found) == weights.read_text(encoding="utf-8").count("_SECTION ")
    places = {name: where for name, (where, _) in found.items()}
    assert set(places.values()) == {".w", ".p"}
    assert places["tiny_layer0_attention_const1"] == places["tiny_embeddings_const1"] == ".w", (
        places
    )
    assert places["tiny_reciprocal_roots"] == ".p"
    plain = symbols(weights, compiler=compiler)
    assert {where for where, _ in plain.values()} == {".rodata"}


@pytest.mark.parametrize(
    ("target", "region", "filled"),
    [
        ("cortex-m4", "CCM", {"parameters", "arena"}),
        ("cortex-m7", "DTCM", {"parameters", "arena"}),
        ("cortex-m7", "FLASH", {"weights"}),
        ("cortex-m55", "DTCM", {"parameters", "arena"}),
        ("rv32imc", "DRAM", {"parameters", "arena"}),
    ],
)
def test_one_region_holds_its_groups(
    folders: dict[str, Path], target: str, region: str, filled: set[str]
) -> None:
    folder, flag = folders[target], section(f"TINY_{region}_SECTION", ".x")
    data = symbols(folder / "tiny_weights.c", flag)
    arena = symbols(folder / "examples/main.c", flag)["arena"][0]
    assert (data["tiny_embeddings_const1"][0] == ".x") is ("weights" in filled)
    assert (data["tiny_reciprocal_roots"][0] == ".x") is ("parameters" in filled)
    assert (arena == ".x") is ("arena" in filled)


def test_a_group_overrides_its_region(folders: dict[str, Path]) -> None:
    flags = (section("TINY_DTCM_SECTION", ".x"), section("TINY_PARAMETERS_SECTION", ".y"))
    found = symbols(folders["cortex-m7"] / "tiny_weights.c", *flags)
    assert found["tiny_reciprocal_roots"][0] == ".y"
    assert symbols(folders["cortex-m7"] / "examples/main.c", *flags)["arena"][0] == ".x"


def test_weights_are_aligned(folders: dict[str, Path]) -> None:
    for target, folder in folders.items():
        found = symbols(folder / "tiny_weights.c", section("TINY_WEIGHTS_SECTION", ".w"))
        alignment = load_target(target).alignment
        offsets = [offset for where, offset in found.values() if where == ".w"]
        assert len(offsets) > 5 and all(offset % alignment == 0 for offset in offsets), target
        heads = subprocess.run(
            ["objdump", "-h", "tiny_weights.o"], cwd=folder, capture_output=True, text=True
        )
        power = re.search(r" \.w .*2\*\*(\d+)", heads.stdout)
        assert power is not None and 2 ** int(power[1]) >= alignment, target


def test_declarations_promise_the_alignment_of_their_definitions(folders: dict[str, Path]) -> None:
    """A compiler counts on 16 bytes of x86-64's ABI where a declaration says nothing."""
    for target, folder in folders.items():
        text = (folder / "tiny_weights.c").read_text(encoding="utf-8")
        names = re.findall(r"_ALIGNED const \w+ (\w+)\[", text)
        alignment = load_target(target).alignment
        checks = [f'_Static_assert(__alignof__({n}) == {alignment}, "{n}");' for n in names]
        source = folder / "alignments.c"
        source.write_text("\n".join(['#include "tiny_weights.h"', *checks]), encoding="utf-8")
        command = ["gcc", "-std=c11", "-fsyntax-only", f"-I{folder}", str(source)]
        assert len(names) > 5 and subprocess.run(command).returncode == 0, target


def test_state_and_cache_have_macros(tmp_path: Path) -> None:
    bench = decoder()
    bench.emit(tmp_path / "run", target="cortex-m7")
    flags = (section("DECODER_DTCM_SECTION", ".d"), section("DECODER_SRAM_SECTION", ".s"))
    found = symbols(tmp_path / "run/examples/main.c", *flags)
    assert (found["arena"][0], found["cache"][0]) == (".d", ".s")
    bench.model.metadata_props["intcc.task"] = "text-generation"
    bench.emit(tmp_path / "text", generation=Generation(begin_token=1))
    flag = section("DECODER_ARENA_SECTION", ".a")
    assert symbols(tmp_path / "text/examples/main.c", flag)["memory"][0] == ".a"


def test_tokenizer_tables_have_a_macro(tmp_path: Path) -> None:
    emit_tokenizer(MODEL / "tokenizer.json", "t", tmp_path)
    found = symbols(tmp_path / "t_tokenizer_tables.c", section("T_TOKENIZER_SECTION", ".t"))
    assert found and {where for where, _ in found.values()} == {".t"}


def test_only_targets_with_regions_have_their_macros(folders: dict[str, Path]) -> None:
    texts = {t: (f / "tiny_memory.h").read_text(encoding="utf-8") for t, f in folders.items()}
    assert "DTCM" not in texts["generic"] and "#define TINY_WEIGHTS_SECTION\n" in texts["generic"]
    assert "#define TINY_ARENA_SECTION TINY_DTCM_SECTION\n" in texts["cortex-m7"]
    assert "itcm: instruction tightly coupled memory" in texts["cortex-m7"]
    assert "CACHE" not in texts["cortex-m7"], "an encoder keeps nothing from call to call"


@pytest.mark.parametrize("target", available())
def test_regions_share_no_kind(target: str) -> None:
    kinds = [kind for region in load_target(target).regions for kind in region.kinds]
    assert len(kinds) == len(set(kinds)) and set(kinds) <= set(KINDS)
    names = [region.name for region in load_target(target).regions]
    assert len(names) == len(set(names)) and not set(names) & set(KINDS)


def test_a_constant_is_hot_if_any_use_of_it_is() -> None:
    builder = Builder(encoder().model, load_target("generic"))
    array = np.arange(4, dtype=np.int32)
    cold = builder.flash(array, "a")
    assert not cold.hot
    assert builder.flash(array.copy(), "b", hot=True) is cold and cold.hot
    assert builder.flash(array.copy(), "c") is cold and cold.hot
