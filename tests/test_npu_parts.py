"""Parts of a graph: where borders lie, and C that hands them over, numpy in the NPU's place."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from intcc.backends.npu.emit import write_list
from intcc.backends.npu.padding import sees_padding
from intcc.backends.npu.part import Part, border, in_order
from intcc.backends.npu.partition import Partition, partition
from intcc.errors import ArtifactError, DataError
from intcc.macs import node_macs
from intcc.ops.key_mask import MASKED
from intcc.runtime.compiler import STRICT_FLAGS
from intcc.runtime.npu import NpuModel, read_parts
from intcc.runtime.reference import evaluate
from tests.c.bench import Bench
from tests.c.encoder import LONGEST, WIDTH, encoder

Feeds = Mapping[str, np.ndarray[Any, Any]]
TOKENS = (1, 2, 7, 23, LONGEST)
#: What the processor keeps, by name of the case.
KEPT: dict[str, tuple[str, ...]] = {
    "nothing": ("Embedding", "KeyMask", "MeanPool"),
    "attention": ("Embedding", "KeyMask", "MeanPool", "Attention"),
    "norms": ("Embedding", "KeyMask", "MeanPool", "LayerNorm", "Affine"),
    "products": ("Embedding", "KeyMask", "MeanPool", "Linear", "LinearWide"),
}
PARTS = {"nothing": 1, "attention": 3, "norms": 4, "products": 2}


def macs(node: ir.Node) -> int:
    return node_macs(node, LONGEST)


def keeps(kinds: tuple[str, ...]) -> Callable[[ir.Node], str | None]:
    def refused(node: ir.Node) -> str | None:
        if node.domain == "":
            return ""
        return f"no {node.op_type}" if node.op_type in kinds else None

    return refused


def part_models(bench: Bench, placed: Partition) -> Callable[[int, Feeds], Feeds]:
    """Return what computes parts with the operators' references."""
    graphs = [
        ir.Model(ir.convenience.extract(bench.graph, p.inputs, p.outputs), ir_version=10)
        for p in placed.parts
    ]
    return lambda index, feeds: evaluate(graphs[index], feeds)


def handed_over(
    bench: Bench, folder: Path, kinds: tuple[str, ...], **options: Any
) -> tuple[Partition, NpuModel]:
    placed = partition(bench.graph, keeps(kinds), macs, **options)
    folder.mkdir(exist_ok=True)
    write_list(folder / "npu.json", placed, {"batch": 1, "sequence": LONGEST})
    bench.emit(folder / "c", parts=placed.parts)
    model = NpuModel(folder, bench.manifest(), simulate=part_models(bench, placed), flags=("-O1",))
    return placed, model


def wrong(bench: Bench, model: NpuModel) -> list[str]:
    found = []
    for tokens in TOKENS:
        for kind in ("random", "high"):
            feeds = bench.feeds(tokens, kind)
            feeds["attention_mask"][:] = 1
            expected, got = evaluate(bench.model, feeds), model.run(feeds)
            found += [f"{k} {tokens} {kind}" for k in got if (got[k] != expected[k]).any()]
    return found


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("case", KEPT)
def test_equal_bits_whatever_is_handed_over(case: str, pooled: bool, tmp_path: Path) -> None:
    bench = encoder(pooled=pooled)
    placed, model = handed_over(bench, tmp_path, KEPT[case], least=0)
    assert len(placed.parts) == PARTS[case]
    assert wrong(bench, model) == []


def test_attention_without_a_mask_is_the_processors(tmp_path: Path) -> None:
    """Nothing would close the rows behind the last token."""
    bench = encoder(pooled=False, masked=False)
    placed, model = handed_over(bench, tmp_path, KEPT["nothing"], least=0)
    reasons = {node.op_type: reason for node, reason in placed.reasons.items()}
    assert "has no key mask" in reasons["Attention"]
    assert len(placed.parts) == PARTS["attention"]
    assert wrong(bench, model) == []


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "seen"),
    [
        ("Slice", ([0], [1], [1]), {}, False),
        ("Slice", ([0], [2**40], [1]), {}, False),
        ("Slice", ([1], [2**40], [1]), {}, True),
        ("Slice", ([-1], [2**40], [1]), {}, True),
        ("Slice", ([0], [-1], [1]), {}, True),
        ("Slice", ([-1], [2**40], [2]), {}, False),
        ("Gather", (0,), {"axis": 1}, False),
        ("Gather", (-1,), {"axis": 1}, True),
        ("Gather", ([-1],), {"axis": 2}, False),
        ("ArgMax", (), {"axis": 1}, True),
        ("ArgMax", (), {"axis": 2}, False),
        ("Transpose", (), {"perm": [0, 2, 1]}, False),
    ],
)
def test_what_picks_tokens_by_their_count(
    kind: str, operands: tuple[Any, ...], attributes: dict[str, Any], seen: bool
) -> None:
    bench = Bench("moves", max_tokens=LONGEST)
    x = bench.input(np.int32, ["batch", "sequence", 4], -9, 9)
    (y,) = bench.move(kind, [x, *(np.array(v, np.int64) for v in operands)], **attributes)
    node = y.producer()
    assert node is not None and (sees_padding(node) is not None) is seen


@pytest.mark.parametrize(("perm", "seen"), [([0, 1, 2], False), ([0, 2, 1], True)])
def test_what_combines_all_tokens(perm: list[int], seen: bool) -> None:
    bench = Bench("softmax", max_tokens=LONGEST)
    x = bench.input(np.int32, ["batch", "sequence", 4], -9, 9)
    (turned,) = bench.move("Transpose", [x], perm=perm)
    turned.shape = ir.Shape(["batch", "sequence", 4] if perm[1] == 1 else ["batch", 4, "sequence"])
    (y,) = bench.op("Softmax", [turned, np.array(3), np.array(1)])
    node = y.producer()
    assert node is not None and (sees_padding(node) is not None) is seen


def test_parts_are_convex_and_disjoint() -> None:
    bench = encoder()
    for kinds in KEPT.values():
        placed = partition(bench.graph, keeps(kinds), macs, least=-1)
        nodes = [node for part in placed.parts for node in part.nodes]
        assert len(nodes) == len(set(nodes))
        order = in_order(bench.graph, placed.parts)
        seen: set[ir.Value] = set(bench.graph.inputs) | set(bench.graph.initializers.values())
        for unit in order:
            inputs, outputs = border(unit.nodes if isinstance(unit, Part) else (unit,))
            assert seen.issuperset(inputs)
            seen.update(outputs)


def test_what_is_not_worth_a_call_stays() -> None:
    bench = encoder()
    placed = partition(bench.graph, keeps(KEPT["attention"]), macs, least=0.2)
    assert 0 < len(placed.parts) < 3
    assert all(part.macs > 0.2 * placed.macs for part in placed.parts)
    assert any("too few for a call" in reason for reason in placed.reasons.values())
    assert 0 < placed.share < 1


def test_a_border_without_rows_is_given_back() -> None:
    """Heads before tokens: rows of a shorter text would not lie one behind the other."""
    bench = Bench("heads", max_tokens=LONGEST)
    x = bench.input(np.int32, ["batch", "sequence", 2, 4], -9, 9)
    a = bench.op("Affine", [x, np.array([3], np.int32), np.array([0], np.int32)])[0]
    turned = bench.move("Transpose", [a], perm=[0, 2, 1, 3])[0]
    bench.output(*bench.op("Affine", [turned, np.array([2], np.int32), np.array([1], np.int32)]))
    bench.finish()
    placed = partition(bench.graph, keeps(()), lambda node: 1, least=0)
    assert [n.op_type for p in placed.parts for n in p.nodes] == ["Affine"]
    assert "has no rows of tokens" in "".join(placed.reasons.values())


def test_two_parts_that_need_each_other_are_refused() -> None:
    nodes = tuple(encoder().graph)
    parts = [Part(0, (nodes[0], nodes[-1]), (), ()), Part(1, nodes[5:9], (), ())]
    with pytest.raises(ValueError, match="need each other"):
        in_order(nodes, parts)


def test_rows_behind_the_last_token_repeat_it_and_are_masked(tmp_path: Path) -> None:
    bench, seen = encoder(), []
    _, model = handed_over(bench, tmp_path, KEPT["nothing"])
    simulate = model._simulate

    def watched(index: int, feeds: Feeds) -> Feeds:
        seen.append(dict(feeds))
        return simulate(index, feeds)

    model._simulate = watched
    model.run({**bench.feeds(5, "random"), "attention_mask": np.ones((1, 5), np.int64)})
    masks = [a for a in seen[0].values() if a.shape == (1, 1, 1, LONGEST)]
    rows = [a for a in seen[0].values() if a.shape == (1, LONGEST, WIDTH)]
    assert [m.ravel().tolist() for m in masks] == [[0] * 5 + [MASKED] * (LONGEST - 5)]
    assert rows and all((a[0, 5:] == a[0, 4]).all() for a in rows)


def test_a_part_that_fails_ends_the_run(tmp_path: Path) -> None:
    bench = encoder()
    _, model = handed_over(bench, tmp_path, KEPT["nothing"])

    def broken(index: int, feeds: Feeds) -> Feeds:
        raise RuntimeError("no power")

    model._simulate = broken
    feeds = {**bench.feeds(5, "random"), "attention_mask": np.ones((1, 5), np.int64)}
    with pytest.raises(RuntimeError, match="no power"):
        model.run(feeds)
    model._simulate = lambda index, feeds: {}
    with pytest.raises(KeyError):
        model.run(feeds)


def test_models_of_one_artifact_keep_their_own_npu(tmp_path: Path) -> None:
    """They share a library: the second must not take the first one's place, nor die with it."""
    bench = encoder()
    _, first = handed_over(bench, tmp_path, KEPT["nothing"])
    zeros = {
        v.name: np.zeros([int(d) for d in v.shape], v.dtype)
        for part in first.parts
        for v in part.outputs
    }
    options: dict[str, Any] = {"flags": ("-O1",), "simulate": lambda index, feeds: zeros}
    second = NpuModel(tmp_path, bench.manifest(), **options)
    feeds = {**bench.feeds(5, "random"), "attention_mask": np.ones((1, 5), np.int64)}
    expected, other = evaluate(bench.model, feeds), second.run(feeds)
    assert any((other[name] != expected[name]).any() for name in expected)
    del second
    got = first.run(feeds)
    assert all(np.array_equal(got[name], array) for name, array in expected.items())


@pytest.mark.parametrize("text", ["", "[]", '{"parts": 3}', '{"parts": [{"tosa": "a"}]}', None])
def test_a_damaged_list_of_parts_is_told(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "npu.json").write_text(text, encoding="utf-8")
    message = r"List of parts 'npu\.json' is not there or damaged\. Compile with --emit vela\."
    with pytest.raises(ArtifactError, match=message):
        read_parts(tmp_path)


def test_without_an_npu_the_status_tells_so(tmp_path: Path) -> None:
    bench = encoder()
    handed_over(bench, tmp_path, KEPT["nothing"])
    native = bench.native(tmp_path / "c")
    with pytest.raises(DataError, match="got no result of the NPU"):
        native.run({**bench.feeds(3, "random"), "attention_mask": np.ones((1, 3), np.int64)})


def test_the_header_tells_every_array(tmp_path: Path) -> None:
    bench = encoder()
    placed, _ = handed_over(bench, tmp_path, KEPT["attention"], least=-1)
    header = (tmp_path / "c/tiny.h").read_text(encoding="utf-8")
    assert "int tiny_npu_invoke(uint32_t part, const void *const *in, void *const *out);" in header
    assert f"#define TINY_NPU_PARTS {len(placed.parts)}" in header
    assert len(re.findall(r"(?:in|out)\[\d+\] u?int\d+ \[[\d, ]+\]", header)) == sum(
        len(p.inputs) + len(p.outputs) for p in placed.parts
    )
    listed = json.loads((tmp_path / "npu.json").read_text(encoding="utf-8"))["parts"]
    assert [len(p["inputs"]) for p in listed] == [len(p.inputs) for p in placed.parts]


def test_it_compiles_without_a_warning(tmp_path: Path) -> None:
    bench = encoder()
    handed_over(bench, tmp_path, KEPT["attention"], least=-1)
    for source in sorted((tmp_path / "c").glob("*.c")):
        command = ["gcc", *STRICT_FLAGS, "-c", str(source), "-o", str(tmp_path / "made.o")]
        subprocess.run(command, check=True)
