"""A target's compiler and binutils on this machine; a missing one is named with its packages."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from intcc.backends.c.target import Target
from intcc.errors import MissingToolError, ToolError
from intcc.runtime.compiler import find_compiler

__all__ = ["Tools", "call", "find_program", "find_tools"]

#: Optimisation where a target names none.
HOST_FLAGS = ("-O2",)
#: For compilers that come without a C library; generated code uses no more of it. A freestanding
#: compilation would do without the first, but turns copies of four bytes into calls.
_HEADERS = {
    "stdint.h": "#include <stdint-gcc.h>\n",
    "string.h": """\
#ifndef STRING_H
#define STRING_H
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *a, const void *b, size_t count);
size_t strlen(const char *text);
#endif
""",
}


def find_program(name: str, packages: Iterable[str]) -> str:
    """Return the path of a command.

    Raises:
        MissingToolError: it is not installed; the remedy names the Debian packages that bring it.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(
            f"Tool '{name}'",
            "was not found",
            f"On Debian: apt-get install {' '.join(packages)}",
        )
    return path


def call(command: Iterable[str | Path], *, cwd: Path | None = None) -> str:
    """Run a tool and return what it prints.

    Raises:
        ToolError: its status is not 0; the fact is its first line about an error.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line), (lines or ["no message"])[0])
        raise ToolError(f"Tool '{Path(words[0]).name}'", f"failed ({first})")
    return done.stdout


@dataclass(frozen=True)
class Tools:
    """The tools of one target.

    Attributes:
        compiler: path of the compiler.
        flags: machine and optimisation.
        packages: Debian packages that bring all of it.
        binutils: prefix of the names of nm, objdump and size.
    """

    compiler: str
    flags: tuple[str, ...]
    packages: tuple[str, ...]
    binutils: str = ""

    @property
    def is_clang(self) -> bool:
        """Whether the compiler is a clang, whatever its name."""
        return "clang" in _version(self.compiler)

    def binutil(self, name: str) -> str:
        """Return the path of "nm", "objdump", "size" or "objcopy" for the target's objects.

        Raises:
            MissingToolError: it is not installed.
        """
        return find_program(self.binutils + name, self.packages)

    def include_flags(self, folder: Path) -> tuple[str, ...]:
        """Return the flags that let sources find headers which a compiler without a library lacks.

        Args:
            folder: where these headers are written if needed; it must outlive the compilation.
        """
        missing = [h for h in _HEADERS if not _has_header(self.compiler, self.flags, h)]
        if not missing:
            return ()
        folder.mkdir(parents=True, exist_ok=True)
        for header in missing:
            (folder / header).write_text(_HEADERS[header], encoding="utf-8")
        return ("-isystem", str(folder))

    def compile(self, source: Path, made: Path, *flags: str) -> None:
        """Translate one C file into an object.

        Args:
            source: the .c file.
            made: the object to write.
            flags: on top of the target's own.

        Raises:
            ToolError: the compiler objects.
        """
        call([self.compiler, *self.flags, *flags, "-c", source, "-o", made])


def find_tools(target: Target) -> Tools:
    """Return the target's cross compiler, or the host's own for a target that names none.

    Raises:
        MissingToolError: the compiler is not installed.
    """
    chain = target.toolchain
    if chain is None:
        return Tools(find_compiler(), HOST_FLAGS, ("gcc", "libc6-dev", "binutils"))
    compiler = find_program(chain.compiler, chain.packages)
    prefix = chain.binutils or chain.compiler.removesuffix("gcc")
    return Tools(compiler, chain.flags, chain.packages, prefix)


@cache
def _version(compiler: str) -> str:
    return call([compiler, "--version"])


@cache
def _has_header(compiler: str, flags: tuple[str, ...], header: str) -> bool:
    done = subprocess.run(
        [compiler, *flags, "-E", "-x", "c", "-"],
        input=f"#include <{header}>\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0
