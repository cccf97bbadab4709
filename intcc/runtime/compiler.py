"""Build generated C with a compiler, once per content."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from intcc.errors import ArtifactError, IntccError, MissingToolError, ToolError

__all__ = [
    "DEFAULT_FLAGS",
    "SHARED_FLAGS",
    "STRICT_FLAGS",
    "built",
    "cache_folder",
    "find_compiler",
    "shared_library",
]

#: What the product promises about its C: no warning at all.
STRICT_FLAGS = (
    "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror",
)  # fmt: skip
DEFAULT_FLAGS = ("-O3", "-march=native")
SHARED_FLAGS = ("-shared", "-fPIC")
_CANDIDATES = ("cc", "gcc", "clang")


def find_compiler(name: str | None = None) -> str:
    """Return the path of a C compiler: `name`, else $CC, else cc, gcc or clang.

    Raises:
        MissingToolError: there is none.
    """
    wanted = [name] if name else [os.environ.get("CC", ""), *_CANDIDATES]
    for candidate in wanted:
        path = shutil.which(candidate) if candidate else None
        if path:
            return path
    raise MissingToolError(
        "C compiler",
        f"was not found ({', '.join(w for w in wanted if w)})",
        "Install gcc or clang, or set CC",
    )


def cache_folder() -> Path:
    """Return where built libraries are kept: $INTCC_CACHE, else the user's cache folder."""
    named = os.environ.get("INTCC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "intcc"


def _version(compiler: str) -> bytes:
    return subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout


def shared_library(
    sources: Sequence[Path],
    headers: Sequence[Path],
    compiler: str,
    flags: Sequence[str],
    places: Sequence[str] = (),
) -> ctypes.CDLL:
    """Return the library of `sources`, built now or found in the cache.

    Args:
        sources: .c files.
        headers: files that they include; part of the content.
        compiler: path of the compiler.
        flags: optimisation and the like; the strict warnings are always on.
        places: further flags that only say where `headers` lie.

    Raises:
        ToolError: the compiler fails, or the library cannot be loaded.
        ArtifactError: a source cannot be read.
    """
    path = built(sources, headers, compiler, (*flags, *SHARED_FLAGS), ".so", places=places)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise ToolError(
            f"Library '{path.name}'", f"cannot be loaded ({error})", "Delete it and try again"
        ) from error


def built(
    sources: Sequence[Path],
    headers: Sequence[Path],
    compiler: str,
    flags: Sequence[str],
    suffix: str,
    *,
    places: Sequence[str] = (),
    rejected: Callable[[str], IntccError | None] = lambda text: None,
) -> Path:
    """Return what a compiler makes of `sources`, made now or found in the cache.

    Args:
        sources: .c files.
        headers: other files that decide the result; part of the content.
        compiler: path of the compiler.
        flags: all but the strict warnings, which are always on.
        suffix: of the result's name.
        places: further flags that only say where `headers` lie.
        rejected: turns the compiler's messages into an error more telling than the general one.

    Raises:
        ToolError: the compiler fails.
        ArtifactError: a source cannot be read.
    """
    digest = hashlib.sha256(_version(compiler))
    digest.update("\0".join([compiler, *flags]).encode())
    if "-march=native" in flags:
        digest.update(_processor())
    try:
        for path in (*sources, *headers):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"C source '{error.filename}'", "cannot be read") from error
    made = cache_folder() / f"{digest.hexdigest()[:32]}{suffix}"
    if not made.exists():
        _build(sources, made, compiler, (*flags, *places), rejected)
    return made


def _processor() -> bytes:
    """Return what tells one processor from another: native code must not travel in a cache."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().split(b"\n\n")[0].splitlines()
    except OSError:
        return b""
    return b"\n".join(line for line in lines if line.startswith((b"model name", b"flags")))


def _build(
    sources: Sequence[Path],
    path: Path,
    compiler: str,
    flags: Sequence[str],
    rejected: Callable[[str], IntccError | None],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "made"
        # Libraries and scripts of the linker stand behind what needs them.
        command = [compiler, *STRICT_FLAGS, "-o", str(made), *map(str, sources), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = next((x for x in done.stderr.splitlines() if "error" in x), done.stderr[:200])
            raise rejected(done.stderr) or ToolError(
                f"C compiler '{Path(compiler).name}'",
                f"rejects the generated code ({first.strip()})",
                "Try another compiler with CC, or report it to us",
            )
        os.replace(made, path)
