"""Products left to an accelerator: equal bits, and a test that tells a wrong one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from intcc.backends.c.offload import OFFLOADED, rescale_of
from intcc.dyadic import rsh
from intcc.errors import SettingsError
from intcc.interval import UINT8, Interval
from intcc.ops.linear import product_interval
from intcc.runtime.compiler import STRICT_FLAGS
from intcc.runtime.native import NativeModel
from intcc.runtime.reference import evaluate
from intcc.settings import Settings
from intcc.verification.constant_ranges import prove
from intcc.verification.report import FailedError
from tests.c import cases, cases_decoder
from tests.c.bench import TOKENS, Bench, differences
from tests.c.cases_conv import CONV_CASES
from tests.c.encoder import encoder

EVERYTHING = tuple(OFFLOADED)
PRODUCTS = (
    cases.linear,
    cases.linear_gelu,
    cases.linear_wide,
    cases.linear_dynamic,
    cases_decoder.linear_dynamic_full,
    cases.batch_matmul,
    *(case for name, case in CONV_CASES.items() if name.startswith("conv")),
)


def products() -> Bench:
    bench = Bench("products")
    for case in PRODUCTS:
        case(bench)
    bench.finish()
    return bench


@pytest.fixture(scope="module", params=[products, encoder], ids=["products", "encoder"])
def offloaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, Path]:
    bench, folder = request.param(), tmp_path_factory.mktemp("offload")
    bench.emit(folder, offload=EVERYTHING)
    return bench, folder


def wrong(bench: Bench, native: NativeModel) -> list[str]:
    """Return what differs, with every token valid, as in C."""
    if "attention_mask" not in {v.name for v in bench.graph.inputs}:
        return differences(bench, native)
    found = []
    for tokens in (n for n in TOKENS if n <= native.max_tokens):
        feeds = bench.feeds(tokens, "random")
        feeds["attention_mask"][:] = 1
        expected, got = evaluate(bench.model, feeds), native.run(feeds)
        found += [f"{k}, {tokens}" for k in got if not np.array_equal(got[k], expected[k])]
    return found


def test_the_bits_are_those_of_the_reference(offloaded: tuple[Bench, Path]) -> None:
    bench, folder = offloaded
    assert wrong(bench, bench.native(folder)) == []


offloaded_kinds = {kind for rules in OFFLOADED.values() for kind in rules}


def test_no_product_is_left(offloaded: tuple[Bench, Path]) -> None:
    """But those of attention, and of divisors that no rescale stands for."""
    bench, folder = offloaded
    text = (folder / f"{bench.graph.name}.c").read_text(encoding="utf-8")
    kinds = [n.op_type for n in bench.graph if n.op_type in offloaded_kinds]
    calls = re.findall(r"^ +((?:intcc_)?accel|linear|batch_matmul|conv)\w*\(", text, re.M)
    assert len(calls) == len(kinds)
    assert sum("accel" in c for c in calls) == len(kinds) - (bench.graph.name == "products")


def test_shared_runs_call_one_at_a_time(tmp_path: Path) -> None:
    bench = encoder()
    bench.emit(tmp_path, offload=EVERYTHING, threads=True)
    assert wrong(bench, bench.native(tmp_path, threads=3)) == []


def conformance(folder: Path, name: str) -> tuple[str, str]:
    """Return the conformance test and the weak definitions of an artifact."""
    return str(folder / "examples/accel_test.c"), str(folder / f"{name}_accel.c")


def test_conformance_passes_with_plain_c(offloaded: tuple[Bench, Path], tmp_path: Path) -> None:
    bench, folder = offloaded
    made = str(tmp_path / "conformance")
    flags = [*STRICT_FLAGS, "-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
    sources = conformance(folder, str(bench.graph.name))
    subprocess.run(["gcc", *flags, f"-I{folder}", *sources, "-o", made], check=True)
    passed = subprocess.run([made], capture_output=True, text=True, check=False)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.endswith("calls: 0 differ\n")


def test_conformance_finds_a_wrong_function(tmp_path: Path) -> None:
    bench, made = encoder(), str(tmp_path / "conformance")
    bench.emit(tmp_path, offload=EVERYTHING)
    flags = ["gcc", *STRICT_FLAGS, "-O1", f"-I{tmp_path}"]
    objects = []
    for source in conformance(tmp_path, "tiny"):
        objects.append(f"{source}.o")
        subprocess.run([*flags, "-c", source, "-o", objects[-1]], check=True)
    reference = (tmp_path / "intcc_accel_reference.h").read_text(encoding="utf-8")
    for name, text in wrong_functions(reference):
        own = tmp_path / "own.c"
        own.write_text(text, encoding="utf-8")
        subprocess.run([*flags, str(own), *objects, "-o", made], check=True)
        failed = subprocess.run([made], capture_output=True, text=True, check=False)
        assert failed.returncode == 1, name
        assert re.match(
            rf"intcc_accel_{name}, pattern \w+, (rows|image) \d+[^:]+: "
            r"y\[\d+\]\[\d+\] is -?\d+, expected -?\d+\n",
            failed.stdout,
        ), failed.stdout


#: A mistake in one of the functions: what stands there, and what is wrong.
MISTAKES = {
    "matmul_u8s8_u8": (
        ("(INT64_C(1) << (shift - 1))", "(INT64_C(1) << (shift - 1)) - 1"),  # ties go down
        ("q > hi ? hi : q", "q > hi ? hi - 1 : q"),  # saturates below
        ("sum += x[k] * w[k];", "sum = (int16_t)(sum + x[k] * w[k]);"),
    ),
    "matmul_u8s8_s32": (
        ("sum * mul[n] + bias[n]", "sum * mul[0] + bias[n]"),
        ("w + n * inner", "w + n"),
    ),
    "matmul_u8u8_s32": (
        ("- b_zero", "- (b_zero | 128)"),
        ("(c * inner + k) * columns", "k * columns"),
    ),
    "conv_u8s8_u8": (
        ("- window->zero)", ")"),
        ("n / (window->columns / window->group) * each", "0"),
    ),
    "conv_u8s8_s32": (
        ("r * window->dilation_height", "r"),
        ("j * window->stride_width", "j"),
    ),
}


def wrong_functions(reference: str) -> Iterator[tuple[str, str]]:
    """Yield a function's name and a source that defines it with a mistake."""
    for name, mistakes in MISTAKES.items():
        head = re.search(rf"void intcc_reference_{name}\((.*?)\)\n", reference, re.S)
        assert head is not None
        arguments = ", ".join(re.findall(r"(\w+)(?:,|$)", head[1]))
        for right, wrong in mistakes:
            assert right in reference
            text = reference.replace(right, wrong)
            yield (
                name,
                (
                    f'#include "intcc_accel.h"\n{text}\n#pragma GCC diagnostic ignored '
                    f'"-Wunused-function"\nvoid intcc_accel_{name}({head[1]})\n'
                    f"{{\n    intcc_reference_{name}({arguments});\n}}\n"
                ),
            )


def test_definitions_can_be_left_out(offloaded: tuple[Bench, Path], tmp_path: Path) -> None:
    bench, folder = offloaded
    weak, made = folder / f"{bench.graph.name}_accel.c", tmp_path / "accel.o"
    command = ["gcc", *STRICT_FLAGS, "-DINTCC_ACCEL_NO_REFERENCE", "-c", str(weak), "-o", str(made)]
    subprocess.run(command, check=True)
    symbols = subprocess.run(["nm", made], capture_output=True, text=True, check=True).stdout
    assert "intcc_accel" not in symbols


@pytest.mark.parametrize("divisor", [1, 2, 3, 6, 7, 64, 101, 4095, 5000, 2**20 + 1, 2**22 - 1])
def test_a_rescale_is_the_division(divisor: int) -> None:
    """At every edge of a step, where one more or less decides, and far beyond the last."""
    bias = np.array([5 * divisor + divisor // 2])
    weight = np.array([[127], [-128]] * 30, np.int8)
    found = rescale_of(np.array([divisor]), bias, product_interval(UINT8, weight))
    assert found is not None
    shifted, mul, shift = (int(v[0]) for v in found)
    low, high = -128 * 255 * 30, 127 * 255 * 30
    steps = [q * divisor - int(bias[0]) for q in range(-2, 259)]
    edges = {e + d for e in steps for d in (-1, 0, 1)} | {low, high}
    for acc in sorted(e for e in edges if low <= e <= high):
        exact = Fraction(acc + int(bias[0]), divisor).__floor__()
        got = rsh((acc + shifted) * mul, shift)
        assert min(max(got, 0), 255) == min(max(exact, 0), 255)


@pytest.mark.parametrize(
    ("divisor", "bias"), [(2**30 + 1, -(2**31) + 99999), (2**20, 2**31 - 1 + 2**19)]
)
def test_what_no_rescale_stands_for_is_kept(divisor: int, bias: int) -> None:
    acc = Interval.of(np.array([0]), np.array([1020]))
    assert rescale_of(np.array([divisor]), np.array([bias]), acc) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"offload": "softmax"}, "--offload 'softmax' is not known. Choose from: matmul, conv"),
        ({"offload": "matmul", "emit": "onnx"}, "--offload changes the C only. Add c to --emit"),
    ],
)
def test_settings_tell_what_is_wrong(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        Settings.of(**settings)


def test_equal_bytes_each_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        encoder().emit(tmp_path / name, offload=EVERYTHING)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        texts.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert texts[0] == texts[1]


def test_ranges_are_proved_from_the_constants(tmp_path: Path) -> None:
    encoder().emit(tmp_path, offload=EVERYTHING)
    proved = prove(tmp_path, "tiny")
    kinds = [n for n in encoder().graph if n.op_type in OFFLOADED["matmul"]]
    assert proved.calls == len(kinds)
    weights = tmp_path / "tiny_weights.c"
    text = weights.read_text(encoding="utf-8")
    bias = re.sub(r"(int32_t \w+_bias\[\d+\] = \{\s*)-?\d+", r"\g<1>2147483647", text, count=1)
    assert bias != text
    weights.write_text(bias, encoding="utf-8")
    with pytest.raises(FailedError, match=r"reaches .* beyond 2,147,483,647"):
        prove(tmp_path, "tiny")
