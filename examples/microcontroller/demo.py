"""Sort letters with a language model on an emulated microcontroller.

python -m examples.microcontroller.demo --on qemu:cortex-m4
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

import intcc
from examples.tiny_llama.demo import MODEL, SHOWN, compile_model
from intcc.emulation.machine import PREFIX, execute, machine
from intcc.emulation.program import build_program
from intcc.errors import IntccError
from intcc.runtime.artifact import Artifact
from intcc.toolchain import find_tools

FIRMWARE = Path(__file__).resolve().parent / "firmware.c"


def build(artifact: Artifact, on: str) -> Path:
    """Return the firmware for a machine: the generated C, and the one file of this example."""
    c = artifact.c_folder
    tokenizer = [c / "model_sampler.c", *sorted(c.glob("model_tokenizer*.c"))]
    sources = [FIRMWARE, c / "model.c", c / "model_weights.c", *tokenizer]
    return build_program(machine(on), None, sources, sorted(c.glob("*.h")))


def sizes(program: Path, on: str) -> tuple[int, int]:
    """Return the bytes of flash and of RAM, the stack aside."""
    size = find_tools(machine(on)).binutil("size")
    done = subprocess.run([size, str(program)], capture_output=True, text=True, check=True)
    text, data, bss = (int(n) for n in done.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss


def main() -> None:
    """Compile for the machine, build the firmware, run it on a few prompts, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", default="qemu:cortex-m4", help="machine, qemu:TARGET")
    options = parser.parse_args()
    target = str(options.on).removeprefix(PREFIX)
    with tempfile.TemporaryDirectory() as folder:
        try:
            machine(options.on)
            artifact = compile_model(Path(folder) / "model", target=target, chunk=4, rope="phase")
            program = build(artifact, options.on)
            model = intcc.load(artifact.folder, "c")
            tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
            for prompt in SHOWN:
                said = execute(machine(options.on), program, bytes([len(prompt)]) + prompt.encode())
                ids = tokenizer.encode(prompt).ids
                made = model.generate(ids, 8)[len(ids) :]
                if said.said != prompt + tokenizer.decode(made, skip_special_tokens=True) + "\n":
                    raise SystemExit(f"error: {options.on} and this machine differ: {said.said!r}")
                print(f"{said.said.rstrip()}    ({said.counts.total:,} instructions)")
            flash, ram = sizes(program, options.on)
        except IntccError as error:
            raise SystemExit(f"error: {error}") from error
    print(f"\n{options.on}: {flash:,} bytes of flash, {ram:,} bytes of RAM and the stack")


if __name__ == "__main__":
    main()
