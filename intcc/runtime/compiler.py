"""Build generated C with a compiler, once per content."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from intcc.errors import ArtifactError, IntccError, MissingToolError, ToolError
from intcc.runtime.cache import cache_folder, trim, use

__all__ = [
    "DEFAULT_FLAGS",
    "SHARED_FLAGS",
    "STRICT_FLAGS",
    "built",
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
        ToolError: the compiler fails, or there is no place for what it makes.
        ArtifactError: a source cannot be read.
        SettingsError: INTCC_CACHE_LIMIT is no number of bytes.
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
    if not use(made):
        try:
            _build(sources, made, compiler, (*flags, *places), rejected)
            trim(made)
        except OSError as error:
            raise _unwritable(error.strerror or str(error)) from error
    return made


def _unwritable(why: str) -> ToolError:
    return ToolError(
        f"Folder of builds '{cache_folder()}'",
        f"cannot be written ({why})",
        "Make room, or set INTCC_CACHE to another folder",
    )


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
            if (full := os.strerror(errno.ENOSPC)) in done.stderr:
                raise _unwritable(full)
            first = next((x for x in done.stderr.splitlines() if "error" in x), done.stderr[:200])
            raise rejected(done.stderr) or ToolError(
                f"C compiler '{Path(compiler).name}'",
                f"rejects the generated code ({first.strip()})",
                "Try another compiler with CC, or report it to us",
            )
        os.replace(made, path)
