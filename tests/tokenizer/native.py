"""An emitted tokenizer, built and called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intcc.backends.c.tokenizer import TokenizerReport, emit_tokenizer
from intcc.runtime.compiler import find_compiler, shared_library
from intcc.verification.float_c import token_findings

OK, NULL_POINTER, MISALIGNED, TEXT, SCRATCH, CAPACITY, RANGE, HELD = range(8)


class Decoder(ctypes.Structure):
    _fields_ = (
        ("held", ctypes.c_void_p),
        ("held_capacity", ctypes.c_size_t),
        ("held_bytes", ctypes.c_size_t),
        ("part", ctypes.c_ubyte * 4),
        ("part_bytes", ctypes.c_uint8),
        ("started", ctypes.c_uint8),
        ("broken", ctypes.c_uint8),
        ("strip", ctypes.c_uint32),
    )


class NativeTokenizer:
    """The C of a tokenizer; every call checks its status."""

    def __init__(self, tokenizer_json: Path, folder: Path, name: str = "t") -> None:
        self.report: TokenizerReport = emit_tokenizer(tokenizer_json, name, folder)
        header, runtime, tables = self.report.files
        self.findings = [line for file in self.report.files for line in token_findings(file)]
        flags = ("-O1",)
        self.code = shared_library([runtime, tables], [header], find_compiler(), flags)
        self.encode_c = getattr(self.code, f"{name}_encode")
        self.start_c = getattr(self.code, f"{name}_decode_start")
        self.decode_c = getattr(self.code, f"{name}_decode")
        self.end_c = getattr(self.code, f"{name}_decode_end")
        self.scratch: Any = None

    def scratch_bytes(self, size: int) -> int:
        return self.report.scratch_factor * size + self.report.scratch_constant

    def encode(self, text: str | bytes, special: bool = True) -> list[int]:
        """Return the ids, from exactly the scratch that the header promises to be enough."""
        data = text.encode() if isinstance(text, str) else text
        need = self.scratch_bytes(len(data))
        if self.scratch is None or ctypes.sizeof(self.scratch) < need + 8:
            self.scratch = (ctypes.c_uint64 * (need // 4 + 2))()
        capacity = 4 * len(data) + 16
        tokens = (ctypes.c_int32 * capacity)()
        count = ctypes.c_size_t()
        status = self.encode_c(
            data, ctypes.c_size_t(len(data)), int(special), tokens, ctypes.c_size_t(capacity),
            ctypes.byref(count), self.scratch, ctypes.c_size_t(need),
        )  # fmt: skip
        assert status == OK, status
        return list(tokens[: count.value])

    def decode(self, ids: Sequence[int], held: int | None = None) -> bytes:
        """Return the text; `held` = 0 writes characters as soon as they are complete."""
        held = len(ids) if held is None else held
        memory = (ctypes.c_ubyte * max(held, 1))()
        state = Decoder()
        pointer = memory if held else None
        size = ctypes.c_size_t(held)
        assert self.start_c(ctypes.byref(state), pointer, size) == OK
        room = 4096 + 3 * held
        out = ctypes.create_string_buffer(room)
        count = ctypes.c_size_t()
        text = b""
        for token in ids:
            status = self.decode_c(
                ctypes.c_int32(token), ctypes.byref(state), out, ctypes.c_size_t(room),
                ctypes.byref(count),
            )  # fmt: skip
            assert status == OK, status
            text += out.raw[: count.value]
        assert (
            self.end_c(ctypes.byref(state), out, ctypes.c_size_t(room), ctypes.byref(count)) == OK
        )
        return text + out.raw[: count.value]
