"""The same under AddressSanitizer and UBSan, with every array a heap block of its own."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from intcc.backends.c.tokenizer import emit_tokenizer
from intcc.runtime.compiler import STRICT_FLAGS
from tests.tokenizer.trained import KINDS, lines, read_text

DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "t_tokenizer.h"

int main(void)
{
    uint32_t bytes;

    while (fread(&bytes, 4, 1, stdin) == 1) {
        char *text = malloc(bytes + !bytes);
        size_t need = T_ENCODE_SCRATCH_BYTES(bytes);
        void *scratch = malloc(need);
        size_t count = 0;
        int32_t *tokens;
        struct t_decoder state;
        unsigned char *held;
        char *out;

        if (fread(text, 1, bytes, stdin) != bytes) return 90;
        if (t_encode(text, bytes, 1, NULL, 0, &count, scratch, need) != 0) return 91;
        tokens = malloc(count * sizeof *tokens + !count);
        if (t_encode(text, bytes, 1, tokens, count, &count, scratch, need) != 0) return 92;
        fwrite(&count, 4, 1, stdout);
        fwrite(tokens, 4, count, stdout);
        held = malloc(count + 1);
        if (t_decode_start(&state, held, count + 1) != 0) return 93;
        for (size_t i = 0; i <= count; i++) {
            size_t written = 0;
            size_t room = 0;
            int status;

            do { /* from no room up to exactly enough */
                out = malloc(room + !room);
                status = i < count ? t_decode(tokens[i], &state, out, room, &written)
                                   : t_decode_end(&state, out, room, &written);
                if (status == 0) fwrite(out, 1, written, stdout);
                room = written;
                free(out);
            } while (status == T_TOKENIZER_CAPACITY);
            if (status != 0) return 94;
        }
        fputc(0xFF, stdout);
        free(text); free(scratch); free(tokens); free(held);
    }
    return 0;
}
"""


@pytest.mark.parametrize("name", ["qwen2", "llama2", "metaspace_first"])
def test_sanitized(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    KINDS[name]().save(str(path))
    library = Tokenizer.from_file(str(path))
    _, runtime, tables = emit_tokenizer(path, "t", tmp_path).files
    driver, program = tmp_path / "driver.c", tmp_path / "driver"
    driver.write_text(DRIVER, encoding="utf-8")
    objects = [tmp_path / f"{source.stem}.o" for source in (runtime, tables)]
    checked = ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    for source, built in zip((runtime, tables), objects, strict=True):
        command = ["gcc", *STRICT_FLAGS, *checked, "-c", str(source), "-o", str(built)]
        subprocess.run(command, check=True)
    command = ["gcc", "-std=c99", *checked, str(driver), *map(str, objects), "-o", str(program)]
    subprocess.run(command, check=True)
    texts = ["", *lines(), read_text(), "<s>", "  <mask>  <sep>", "a\u0301\u0323" * 50]
    given = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    done = subprocess.run([str(program)], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]
    expected = b""
    for text in texts:
        ids = library.encode(text).ids
        expected += struct.pack(f"<I{len(ids)}i", len(ids), *ids)
        expected += library.decode(ids).encode() + b"\xff"
    assert done.stdout == expected
