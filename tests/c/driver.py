"""A C program around a generated model: reads inputs, runs, writes outputs, every array exact.

Each array is a heap block of its own, so that a sanitizer sees a read or write past its end.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from intcc.runtime.c_model import CModel

Array = npt.NDArray[Any]
#: Every access and every operation of C checked. A compiler takes three times as long to optimise
#: what it also checks, and an optimised program has fewer accesses left.
SANITIZED = ("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def driver_source(name: str, model: CModel, sizes: Mapping[str, int], tokens: int) -> str:
    """Return main(): arrays from stdin in the order of the arguments, results to stdout."""
    takes = [(a.dtype.name + "_t", sizes[a.spec.name]) for a in model._takes]
    gives = [(a.dtype.name + "_t", sizes[a.spec.name]) for a in model._gives]
    lines = [
        "#define _POSIX_C_SOURCE 200112L",
        "#include <stdint.h>", "#include <stdio.h>", "#include <stdlib.h>", f'#include "{name}.h"',
        "int main(void)", "{", "    void *arena;",
        f"    if (posix_memalign(&arena, 64, {model.arena_bytes}) != 0) return 91;",
    ]  # fmt: skip
    for i, (c_type, count) in enumerate(takes):
        lines += [
            f"    {c_type} *in{i} = malloc({count} * sizeof *in{i});",
            f"    if (fread(in{i}, sizeof *in{i}, {count}, stdin) != {count}) return 90;",
        ]
    for i, (c_type, count) in enumerate(gives):
        lines.append(f"    {c_type} *out{i} = malloc({count} * sizeof *out{i});")
    arguments = ["arena", *(f"in{i}" for i in range(len(takes)))]
    arguments += [str(tokens)] if model.counts_tokens else []
    arguments += [f"out{i}" for i in range(len(gives))]
    lines.append(f"    int status = {name}_run({', '.join(arguments)});")
    for i, (_, count) in enumerate(gives):
        lines.append(f"    fwrite(out{i}, sizeof *out{i}, {count}, stdout);")
    frees = ["arena", *(f"in{i}" for i in range(len(takes)))]
    frees += [f"out{i}" for i in range(len(gives))]
    lines += [f"    free({p});" for p in frees]
    return "\n".join([*lines, "    return status;", "}", ""])


def _object(command: Sequence[str], source: Path) -> Path:
    """Return a source's object, which the first driver that needs it compiles."""
    digest = hashlib.sha256(" ".join(command).encode()).hexdigest()[:16]
    made = source.with_name(f"{source.stem}-{digest}.o")
    if not made.exists():
        subprocess.run([*command, "-c", str(source), "-o", str(made)], check=True)
    return made


def run_driver(
    folder: Path,
    name: str,
    model: CModel,
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    tokens: int,
    flags: Sequence[str],
    work: Path,
    *,
    compiler: Sequence[str] = ("gcc",),
    runner: Sequence[str] = (),
    more: Sequence[str] = (),
) -> str:
    """Return what is wrong, or nothing; another processor's program needs a runner.

    A model of several sets of kernels has `more` files.
    """
    sizes = {k: int(np.size(v)) for k, v in {**feeds, **expected}.items()}
    source = work / "driver.c"
    source.write_text(driver_source(name, model, sizes, tokens), encoding="utf-8")
    program = work / "driver"
    command = [*compiler, "-std=c11", *flags, f"-I{folder}"]
    sources = (folder / f"{name}{part}.c" for part in ("", "_weights", *more))
    objects = [str(_object(command, path)) for path in sources]
    # The driver itself is as well off without optimisation, which takes a second.
    subprocess.run([*command, "-O0", str(source), *objects, "-o", str(program)], check=True)
    given = b"".join(
        np.ascontiguousarray(feeds[a.spec.name], a.dtype).tobytes() for a in model._takes
    )
    done = subprocess.run(
        [*runner, str(program)], input=given, capture_output=True, check=False, timeout=600
    )
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.decode(errors='replace')[:1500]}"
    wanted = b"".join(
        np.ascontiguousarray(expected[a.spec.name], a.dtype).tobytes() for a in model._gives
    )
    return "" if done.stdout == wanted else "the outputs differ"
