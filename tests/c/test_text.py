"""Literals, names, line breaking."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.literals import STRING_LIMIT, array_body, array_dimensions, integer, row_width
from intcc.backends.c.names import Names, identifier, layer_title, short_names
from intcc.backends.c.render import COLUMNS, tidy

TRAPS = b'??=??/"\\\n\0001\0017\1778\377?0\a\v%:<:\x7f\x80\x8012'


def bytes_as_int8(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.int8)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(-128, 128, dtype=np.int8).repeat(3).reshape(3, 256),
        np.random.default_rng(0).integers(-128, 128, (37, 401)).astype(np.int8),
        np.resize(bytes_as_int8(TRAPS), (7, 997)),
        np.zeros((2, 4096), np.int8),
        np.full(5000, ord("7"), np.int8),
    ],
    ids=["all", "random", "traps", "zeros", "digits"],
)
def test_strings_hold_the_bytes(array: np.ndarray, tmp_path: Path) -> None:
    dims, body = array_dimensions(array), array_body(array)
    rows = [int(n) for n in re.findall(r"\[(\d+)\]", dims)]
    assert rows[0] * rows[1] == array.size and rows[1] <= STRING_LIMIT
    text = (
        "#include <stdint.h>\n#include <stdio.h>\n"
        f"static const int8_t w{dims} = {{\n{body}\n}};\n"
        "int main(void)\n{\n    return fwrite(w, 1, sizeof w, stdout) != sizeof w;\n}\n"
    )
    (tmp_path / "w.c").write_text(text, encoding="ascii")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    command = ["gcc", *strict, str(tmp_path / "w.c"), "-o", str(tmp_path / "w")]
    subprocess.run(command, check=True)
    done = subprocess.run([str(tmp_path / "w")], capture_output=True, check=True)
    assert done.stdout == array.tobytes()
    assert max(map(len, text.splitlines())) <= 900


def test_row_width_divides() -> None:
    assert row_width((3, 384)) == 384
    assert row_width((2, 5000)) == 2500
    assert row_width((4099,)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-(2**31), "(-2147483647 - 1)"),
        (2**31 - 1, "2147483647"),
        (2**31, "2147483648u"),
        (2**32, "INT64_C(4294967296)"),
        (-(2**31) - 1, "INT64_C(-2147483649)"),
        (-(2**63), "(-INT64_C(9223372036854775807) - 1)"),
        (2**63, "UINT64_C(9223372036854775808)"),
    ],
)
def test_integer(value: int, text: str) -> None:
    assert integer(value) == text


def test_identifiers() -> None:
    assert identifier("/encoder/Add_output_0") == "encoder_add_output_0"
    assert identifier("0.weight") == "v0_weight"
    assert identifier("---") == "value"
    names = Names()
    assert [names.unique(n) for n in ("x", "X", "int", "n")] == ["x", "x_2", "int_2", "n_2"]


def test_short_names_stay_distinct() -> None:
    paths = [
        "encoder.layer.0.attention.self.query.weight",
        "encoder.layer.1.attention.self.query.weight",
        "encoder.layer.0.attention.output.dense.weight",
        "encoder.layer.0.output.dense.weight",
        "embeddings.LayerNorm",
    ]
    short = short_names(paths)
    assert len(set(short.values())) == len(paths)
    assert short[paths[0]] == "layer0_query_weight"
    assert short[paths[3]] == "layer0_output_dense_weight"
    assert short[paths[4]] == "embeddings_LayerNorm"


def test_external_names_differ_in_their_first_31_characters() -> None:
    names, prefix = Names(), "sentence_encoder_"
    made = [names.external(prefix, f"layer0_attention_{end}") for end in ("mul", "bias", "sums")]
    assert made[0] == "sentence_encoder_layer0_attention_mul"
    assert made[1] == "sentence_encoder_2_layer0_attention_bias"
    assert len({name[:31] for name in made}) == 3
    # A number behind 31 characters tells nothing; the whole names still differ.
    long = [names.external("x" * 31 + "_", end) for end in ("a", "b", "a")]
    assert len(set(long)) == 3


def test_layer_titles() -> None:
    assert layer_title("encoder.layer.3.attention.self.query") == "layer 3: attention"
    assert layer_title("embeddings.word") == "embeddings"
    assert layer_title("") == ""


def test_tidy_breaks_heads_comments_and_statements() -> None:
    long = "static void f(" + ", ".join(f"const int32_t *restrict argument{i}" for i in range(5))
    text = f"/* {'word ' * 40}*/\n{long})\n{{\n    x = {' + '.join(['abcdef * g'] * 15)};\n}}\n"
    made = tidy(text)
    assert max(map(len, made.splitlines())) <= COLUMNS
    assert re.sub(r"\s+", "", made) == re.sub(r"\s+", "", text)
    assert "*restrict\n" not in made
