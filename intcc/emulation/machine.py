"""The machines, their tools, and a run of a program on one of them."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from intcc.backends.c.target import Emulator, Target, Toolchain, available, load_target
from intcc.emulation.counter import Counts, mark_lines, parse_counts, plugin
from intcc.errors import SettingsError, ToolError
from intcc.toolchain import find_program

__all__ = ["FAULT", "GIVEN", "MADE", "PREFIX", "SHORT", "Outcome", "execute", "machine", "tools"]

#: How a machine is named on the command line: qemu:cortex-m4.
PREFIX = "qemu:"
#: Files of a program, in the folder where it runs.
GIVEN, MADE = "given.bin", "made.bin"
#: Exit status of a processor fault, and of a file that ends early.
FAULT, SHORT = 99, 98
#: Seconds that a program may take.
_PATIENCE = 900.0


@dataclass(frozen=True)
class Outcome:
    """What a program leaves.

    Attributes:
        made: the bytes that it wrote; empty where it wrote none.
        said: the text that it printed.
        counts: its instructions between the marks.
    """

    made: bytes
    said: str
    counts: Counts


def machine(name: str) -> Target:
    """Return the target that `--on` names: one with an emulator and a compiler.

    Args:
        name: for instance qemu:cortex-m4.

    Raises:
        SettingsError: no such machine.
    """
    targets = [load_target(t) for t in available()]
    known = {PREFIX + t.name: t for t in targets if t.emulator is not None}
    if name in known:
        return known[name]
    fact = "does not exist"
    if name.removeprefix(PREFIX) in {t.name for t in targets}:
        fact = (
            "has no emulator" if name.startswith(PREFIX) else f"is written with {PREFIX} in front"
        )
    raise SettingsError(f"Machine '{name}'", fact, f"Known: {', '.join(known)}")


def tools(target: Target) -> tuple[Toolchain, Emulator]:
    """Return the compiler and the emulator of a machine from `machine`."""
    assert target.toolchain is not None and target.emulator is not None
    return target.toolchain, target.emulator


def execute(target: Target, program: Path, given: bytes, patience: float = _PATIENCE) -> Outcome:
    """Run a program on a machine and count its instructions.

    Args:
        target: a machine from `machine`.
        program: from `build_program`.
        given: the file that it reads.
        patience: seconds that it may take.

    Raises:
        ToolError: the emulator is missing, or the program ends otherwise than by returning.
    """
    emulator = tools(target)[1]
    path = find_program(emulator.program, emulator.packages)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / GIVEN).write_bytes(given)
        (folder / "marks").write_text(mark_lines(program), encoding="utf-8")
        options = f"{plugin()},marks=marks,out=counts"
        command = [path, *emulator.arguments, "-plugin", options]
        if emulator.startup:
            # Time is the count of instructions, so that no timer makes one run unlike another.
            command += ["-icount", "shift=0", "-nographic", "-monitor", "none", "-serial", "none",
                        "-semihosting-config", "enable=on,target=native",
                        "-kernel", str(program)]  # fmt: skip
        else:
            command += [str(program)]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=patience
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"The program on {target.name}", f"did not end within {patience:g} s",
                "Give it less to do",
            ) from error  # fmt: skip
        if done.returncode != 0:
            raise _stopped(target, done.returncode, done.stderr)
        text = (folder / "counts").read_text(encoding="utf-8")
        made = folder / MADE
        return Outcome(made.read_bytes() if made.exists() else b"", done.stderr, parse_counts(text))


def _stopped(target: Target, status: int, messages: str) -> ToolError:
    """Return the error for a program that did not return."""
    reasons = {
        FAULT: "was stopped by a fault of the processor, such as a stack that is too small",
        SHORT: "could not read its input or write its output",
    }
    if "Lockup" in messages:  # a second fault within the first, as of a stack that has run out
        status = FAULT
    last = (messages.strip().splitlines() or ["no message"])[-1]
    return ToolError(
        f"The program on {target.name}",
        reasons.get(status, f"ended with status {status} ({last})"),
        "Report it to us",
    )
