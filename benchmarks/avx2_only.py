"""A processor without AVX-512 in the place of this one, for programs that ask which it is.

What an engine reaches with AVX2 is asked of it on the same core, rather than of another machine.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def unsupported() -> str:
    """Return why this machine cannot hide its instructions; empty where it can."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        flags = []
    return "" if "cpuid_fault" in flags else "this machine cannot hide its instructions"


def compiled(folder: Path) -> Path:
    """Compile what is to be preloaded (LD_PRELOAD) into a folder and return it."""
    made = folder / "avx2_only.so"
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["-O2", "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, str(SOURCE), "-o", str(made)], check=True)
    return made
