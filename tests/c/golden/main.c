/* Example: test the model on its recorded input, then run it once. Made by intcc 0.1.0. */
#include "tiny.h"

#include <stdio.h>

#define TOKENS 7

/* 64-bit elements align the arena; tiny_memory.h tells how to choose its RAM. */
TINY_ARENA_SECTION TINY_ALIGNED static uint64_t arena[(TINY_SELFTEST_BYTES + 7) / 8 + 1];

int main(void)
{
    static int32_t input_ids[TINY_INPUT_IDS_ELEMENTS(TOKENS)]; /* all zero: put your data here */
    static int32_t sentence_embedding[TINY_SENTENCE_EMBEDDING_ELEMENTS];
    const int failed = tiny_selftest(arena);

    printf("selftest: %s\n", failed == 0 ? "passed" : "failed");
    if (failed != 0) {
        return 1;
    }
    if (tiny_run(arena, input_ids, TOKENS, sentence_embedding) != TINY_OK) {
        return 1;
    }
    for (size_t i = 0; i < 8 && i < sizeof sentence_embedding / sizeof sentence_embedding[0]; i++) {
        printf("sentence_embedding[%u] = %ld\n", (unsigned)i, (long)sentence_embedding[i]);
    }
    return 0;
}
