"""Find every trace of floating point, heap or library in generated C.

Two witnesses: a scan of the tokens, which sees what an optimiser would fold away, and a compiler
that has been told to use general registers only, which refuses to touch a float.
"""

from __future__ import annotations

import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from intcc.backends.c.target import available, load_target
from intcc.errors import ToolError

__all__ = ["compile_without_float", "generated_sources", "token_findings"]

#: The only headers that generated code may include, beside its own: three of C, and intrinsics.
HEADERS = frozenset(("stdint.h", "stddef.h", "string.h")) | {
    header for name in available() for header in load_target(name).headers.values()
}
#: The self-test and the example are programs, so they may also print.
PROGRAM_HEADERS = HEADERS | {"stdio.h", "stdlib.h"}
#: A pool of threads is for a system that has them.
POOL_HEADERS = HEADERS | {"errno.h", "pthread.h", "sched.h"}
_FLOAT_WORDS = frozenset(
    ("float", "double", "_Float16", "_Float32", "_Float64", "_Float128", "__fp16", "__bf16",
     "_Complex", "_Imaginary", "float32_t", "float64_t")
)  # fmt: skip
_HEAP_WORDS = frozenset(("malloc", "calloc", "realloc", "free", "alloca"))
#: Comments and literals; the unrolled loops keep tens of megabytes of weights a matter of seconds.
_IGNORED = re.compile(
    r"/\*.*?\*/|//[^\n]*"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    r"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'",
    re.DOTALL,
)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]", re.MULTILINE)
#: A preprocessing number of C (6.4.8); taken whole, so that 0x1e5 is no exponent.
_TOKEN = re.compile(r"\.?[0-9](?:[eEpP][+-]|[0-9A-Za-z_.])*|[A-Za-z_]\w*")
#: A line of plain integers, as most lines of tables are: no token of it can be a finding.
_INTEGERS = re.compile(r"[-0-9uU, ]*")


def generated_sources(folder: Path) -> list[Path]:
    """Return the C files of an artifact, in order."""
    return sorted(p for pattern in ("*.c", "*.h", "examples/*.c") for p in folder.glob(pattern))


def _is_float_number(token: str) -> bool:
    if token.lower().startswith("0x"):
        return "." in token or "p" in token.lower()
    return bool(re.search(r"[.eEfF]", token))


def token_findings(path: Path, *, program: bool = False) -> Iterator[str]:
    """Yield one line for each float type, float literal, heap call or foreign header.

    Args:
        path: a C source or header.
        program: the file is an example or a test program, not part of the model; an example lies
            one folder below the headers.
    """
    folders = (path.parent, path.parent.parent) if program else (path.parent,)
    text = path.read_text(encoding="utf-8", errors="replace")
    pool = path.stem.endswith("_threads")
    allowed = POOL_HEADERS if pool else PROGRAM_HEADERS if program else HEADERS
    for match in _INCLUDE.finditer(text):
        if match[1] not in allowed and not any((f / match[1]).is_file() for f in folders):
            yield f"{path.name}: includes <{match[1]}>"
    blank = _IGNORED.sub(lambda m: "\n" * m[0].count("\n") + " ", text)
    for number, line in enumerate(blank.split("\n"), 1):
        for token in () if _INTEGERS.fullmatch(line) else _TOKEN.findall(line):
            if token in _FLOAT_WORDS:
                yield f"{path.name}:{number}: {token}"
            elif token in _HEAP_WORDS and (pool or not program):
                yield f"{path.name}:{number}: {token}, the heap"
            elif token[0] in ".0123456789" and _is_float_number(token):
                yield f"{path.name}:{number}: float literal {token}"


def compile_without_float(sources: list[Path], compiler: str) -> list[str]:
    """Compile each source with -mgeneral-regs-only; return the first error of each that fails.

    Without optimisation, which takes a fraction of the time and removes no float that is not used.

    Raises:
        ToolError: the compiler has no such option on this machine.
    """
    flags = [compiler, "-std=c99", "-O0", "-mgeneral-regs-only", "-c", "-o"]
    with tempfile.TemporaryDirectory() as scratch:
        output = str(Path(scratch) / "out.o")
        probe = Path(scratch) / "probe.c"
        probe.write_text("double probe(double x) { return x * x; }\n", encoding="utf-8")
        if not _error_of([*flags, output, str(probe)]):
            raise ToolError(
                f"Compiler '{compiler}' on {platform.machine()}",
                "compiles floats in spite of -mgeneral-regs-only",
                "Use gcc on x86-64 or aarch64 for this check",
            )
        probe.write_text("int probe(int x) { return x * x; }\n", encoding="utf-8")
        if _error_of([*flags, output, str(probe)]):
            raise ToolError(
                f"Compiler '{compiler}' on {platform.machine()}",
                "does not know -mgeneral-regs-only",
                "Use gcc on x86-64 or aarch64 for this check",
            )
        found = []
        for source in sources:
            error = _error_of([*flags, output, str(source), f"-I{source.parent}"])
            if error:
                found.append(f"{source.name}: {error}")
        return found


def _error_of(command: list[str]) -> str:
    """Return the first error line of a compilation; empty where it succeeds."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return ""
    lines = [line for line in result.stderr.splitlines() if "error" in line]
    return (lines or result.stderr.splitlines() or ["compiler failed"])[0].strip()
