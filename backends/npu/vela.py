"""Vela: Arm's compiler turns a TOSA file into the command stream of an Ethos-U, and estimates it.

Vela is a program of its own, with requirements of its own, and is called as one. Its estimates are
a model of the accelerator, not a measurement: nothing runs.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from intcc.backends.npu.accelerators import Accelerator
from intcc.errors import MissingToolError, ToolError, UnsupportedOperatorError

__all__ = ["PACKAGE", "Estimate", "LayerEstimate", "compile_part", "find_vela"]

#: What is installed, and the version that is tested.
PACKAGE = "ethos-u-vela==5.2.0"
#: Names the program where it is neither on the path nor beside this Python.
VARIABLE = "INTCC_VELA"
#: Memories by the summary's column, which counts KiB.
_MEMORIES = {
    "sram": "sram_memory_used",
    "dram": "dram_memory_used",
    "on_chip_flash": "on_chip_flash_memory_used",
    "off_chip_flash": "off_chip_flash_memory_used",
}
_OPTIONS = ("--output-format", "raw", "--verbose-performance", "--output-dir", "made")
#: How Vela says that an operator is not the accelerator's.
_REFUSALS = ("not supported", "could not run on NPU", "Validation error")
#: Characters of its message that are shown.
_LONGEST = 300


@dataclass(frozen=True)
class LayerEstimate:
    """One operation of the command stream.

    Attributes:
        operator: as Vela names it, after its own changes.
        name: of its result.
        cycles: estimate.
        macs: multiply-accumulates.
        utilization: share of the accelerator's peak in percent.
    """

    operator: str
    name: str
    cycles: int
    macs: int
    utilization: float


@dataclass(frozen=True)
class Estimate:
    """What Vela tells about one part.

    Attributes:
        cycles: of one run.
        macs: multiply-accumulates of one run, Vela's own count.
        clock_hz: clock that the configuration assumes.
        system: name of the system configuration.
        memory_mode: name of the memory mode.
        memory_bytes: by kind of memory.
        on_cpu: operations that Vela places on the processor.
        layers: in order of execution.
    """

    cycles: int
    macs: int
    clock_hz: int
    system: str
    memory_mode: str
    memory_bytes: Mapping[str, int]
    on_cpu: tuple[str, ...]
    layers: tuple[LayerEstimate, ...]


def find_vela() -> str:
    """Return the path of Vela: $INTCC_VELA, beside this Python, or on the path.

    Raises:
        MissingToolError: it is not there.
    """
    named = os.environ.get(VARIABLE)
    beside = Path(sys.executable).parent / "vela"
    for candidate in [named] if named else [str(beside), "vela"]:
        path = shutil.which(candidate)
        if path:
            return path
    raise MissingToolError(
        f"Vela '{named}'" if named else "Vela, Arm's compiler for Ethos-U,",
        "was not found",
        f"Install it (pip install 'intcc[npu]'), or name the program of another environment (pip "
        f"install {PACKAGE}) in {VARIABLE}",
    )


def compile_part(tosa: Path, accelerator: Accelerator, made: Path) -> Estimate:
    """Write the command stream of a TOSA file and return the estimate.

    Args:
        tosa: the file; its stem is the network's name.
        accelerator: what to compile for.
        made: the .npz to write.

    Raises:
        MissingToolError: Vela is not there.
        UnsupportedOperatorError: an operator or a shape is not the accelerator's.
        ToolError: Vela fails for another reason, or writes something else than expected.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # A name of its own keeps the caller's paths out of what Vela writes.
        source = Path(scratch) / tosa.name
        shutil.copyfile(tosa, source)
        command = [find_vela(), source.name, *_OPTIONS, "--accelerator-config", accelerator.name]
        try:
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ToolError(
                f"Vela '{command[0]}'", f"cannot be run ({error.strerror})", "Install it anew"
            ) from error
        folder = Path(scratch) / "made"
        stream = folder / f"{tosa.stem}_vela.npz"
        if done.returncode != 0 or not stream.exists():
            raise _failure(tosa, accelerator, f"{done.stdout}\n{done.stderr}")
        shutil.copyfile(stream, made)
        return _estimate(folder, tosa.stem)


def _failure(
    tosa: Path, accelerator: Accelerator, text: str
) -> ToolError | UnsupportedOperatorError:
    # A failure ends in Python's error, which may have several lines.
    told = re.sub(r"\s+", " ", text[max(text.rfind("Error:"), 0) :]).strip() or "no message"
    subject = f"Vela, compiling '{tosa.name}' for {accelerator.name},"
    if any(words in told for words in _REFUSALS):
        return UnsupportedOperatorError(subject, f"refuses it ({told[-_LONGEST:]})")
    return ToolError(subject, f"failed ({told[-_LONGEST:]})", f"The tested version is {PACKAGE}")


def _estimate(folder: Path, stem: str) -> Estimate:
    summary = _rows(folder, f"{stem}_summary_*.csv")[0]
    rows = _rows(folder, f"{stem}_per-layer.csv")
    layers = [
        LayerEstimate(
            row["NNG Operator"],
            row["Name"],
            int(float(row["Op Cycles"])),
            int(float(row["MAC Count"])),
            round(float(row["Util% (MAC)"]), 1),
        )
        for row in rows
    ]
    return Estimate(
        int(float(summary["cycles_total"])),
        int(float(summary["nn_macs"])),
        int(float(summary["core_clock"])),
        summary["system_config"],
        summary["memory_mode"],
        {kind: round(float(summary[column]) * 1024) for kind, column in _MEMORIES.items()},
        tuple(row["Original Operator"] for row in rows if row["Target"] != "NPU"),
        tuple(layers),
    )


def _rows(folder: Path, pattern: str) -> list[dict[str, str]]:
    found = sorted(folder.glob(pattern))
    rows: list[dict[str, str]] = []
    if found:
        with found[0].open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    if not rows:
        raise ToolError("Vela", f"wrote no {pattern}", f"The tested version is {PACKAGE}")
    return rows
