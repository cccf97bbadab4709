"""This machine: which targets' code it runs, as the compiler's predefined macros tell."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import Any

from intcc.backends.c.target import Target, available, load_target
from intcc.runtime.artifact import Artifact
from intcc.runtime.compiler import DEFAULT_FLAGS, find_compiler
from intcc.runtime.native import shares_runs

__all__ = ["NATIVE", "c_contender", "flags_of", "host_flags", "native_target"]

#: In place of a target's name: the best one for this machine.
NATIVE = "native"
#: Targets of machines that have an operating system, the fastest first.
_HOSTS = ("x86-64-v4", "x86-64-avxvnni", "x86-64-v3", "aarch64-i8mm", "aarch64")
#: Macros that stand for a machine or for instructions that it has.
_FEATURE = re.compile(r"#define (__(?:x86_64|aarch64|AVX\w*?|ARM_(?:NEON|FEATURE_\w+?)))__? \d")


def native_target(compiler: str) -> str:
    """Return the name of the fastest target whose code this machine runs.

    Args:
        compiler: path of a C compiler for this machine.
    """
    known = available()
    for name in _HOSTS:
        if name in known and _runs(load_target(name), compiler):
            return name
    return "generic"


def host_flags(target: str, compiler: str) -> tuple[str, ...]:
    """Return the flags that C for a target is compiled with to run here.

    They are the target's own where this machine has its instructions; else the machine's, as C
    for any target is portable.

    Args:
        target: name of the target.
        compiler: path of a C compiler for this machine.
    """
    machine = load_target(target) if target in available() else None
    if machine is None or not _runs(machine, compiler) or machine.toolchain is None:
        return DEFAULT_FLAGS
    return machine.toolchain.flags


def flags_of(artifact: Artifact, compiler: str | None = None) -> tuple[str, ...]:
    """Return the flags that an artifact's C is compiled with to run here.

    Args:
        artifact: the compiled model.
        compiler: name or path; the system's by default.

    Raises:
        MissingToolError: there is no such compiler.
    """
    return host_flags(str(artifact.settings.get("target")), find_compiler(compiler))


def c_contender(artifact: Artifact, threads: int) -> tuple[str, dict[str, Any]]:
    """Return the name of an artifact's C in tables of times, and the options to load it with."""
    used = threads if shares_runs(artifact.c_folder) else 1
    flags = flags_of(artifact)
    name = f"integers, C {' '.join(flags)}"
    return name if used == threads else f"{name}, 1 thread", {"flags": flags, "threads": used}


def _runs(target: Target, compiler: str) -> bool:
    if target.toolchain is None:
        return False
    wanted = _features(compiler, target.toolchain.flags)
    return bool(wanted) and wanted <= _features(compiler, DEFAULT_FLAGS)


@functools.cache
def _features(compiler: str, flags: tuple[str, ...]) -> frozenset[str]:
    """Return what a compiler knows of the machine; nothing where it rejects the flags."""
    command = [compiler, *flags, "-dM", "-E", "-x", "c", "-"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    return frozenset(_FEATURE.findall(done.stdout)) if done.returncode == 0 else frozenset()
