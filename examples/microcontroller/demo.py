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
from intcc.emulation.machine import execute, machine
from intcc.emulation.program import build_program
from intcc.errors import EqualityError, IntccError
from intcc.runtime.artifact import Artifact
from intcc.toolchain import find_tools

FIRMWARE = Path(__file__).resolve().parent / "firmware.c"
#: Tokens of a prompt taken in at a time, and MOST_TOKENS of the firmware.
CHUNK, MOST = 4, 8


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


def run(on: str) -> tuple[int, int, int]:
    """Compile for a machine, build the firmware, run it on a few prompts, compare.

    Returns:
        Bytes of flash, of RAM, and the instructions of the first prompt.

    Raises:
        IntccError: a tool is missing, or the machine's text is not this machine's.
    """
    target, counts = machine(on), []
    with tempfile.TemporaryDirectory() as folder:
        artifact = compile_model(
            Path(folder) / "model", target=target.name, chunk=CHUNK, rope="phase"
        )
        program = build(artifact, on)
        model = intcc.load(artifact.folder, "c")
        tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        for prompt in SHOWN:
            given = bytes([len(prompt)]) + prompt.encode()
            outcome = execute(target, program, given)
            ids = tokenizer.encode(prompt).ids
            made = model.generate(ids, MOST)[len(ids) :]
            if outcome.said != prompt + tokenizer.decode(made, skip_special_tokens=True) + "\n":
                raise EqualityError(f"The text of {on}", f"is {outcome.said!r}", "Report it to us")
            counts.append(outcome.counts.total)
            print(f"{outcome.said.rstrip()}    ({counts[-1]:,} instructions)")
        return *sizes(program, on), counts[0]


def main() -> None:
    """Run the firmware on the machines that were named; print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", nargs="+", default=["qemu:cortex-m4"], help="qemu:TARGET")
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    options = parser.parse_args()
    rows = []
    for on in options.on:
        try:
            flash, ram, instructions = run(on)
        except IntccError as error:
            raise SystemExit(f"error: {error}") from error
        print(f"{on}: {flash:,} bytes of flash, {ram:,} bytes of RAM and the stack\n")
        rows.append(f"| {on} | {flash:,} | {ram:,} | {instructions:,} |")
    if options.write:
        head = ["| machine | flash | RAM without the stack | instructions |", "|---|---|---|---|"]
        old = options.write.read_text(encoding="utf-8")
        before, _, rest = old.partition("<!-- firmware -->")
        table = "\n".join(["<!-- firmware -->", *head, *rows, "<!-- /firmware -->"])
        text = before + table + rest.partition("<!-- /firmware -->")[2]
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
