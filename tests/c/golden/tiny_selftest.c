/* Self-test of tiny: a recorded input with its output. Made by intcc 0.1.0. */
#include "tiny.h"

static const int32_t recorded_input_ids[7] = {
    1, 20, 39, 8, 27, 46, 15,
};

static const int32_t expected_sentence_embedding[20] = {
    71382, 175053, -556888, -82378, -263022, -121423, 6942, 18358, 289767, -122542, -198862,
    376943, 27164, -111359, 167272, 57171, 208321, 506381, 4473, -194249,
};

int tiny_selftest(void *arena)
{
    unsigned char *const base = arena;
    int status;

    if (arena == NULL) {
        return -TINY_NULL_POINTER;
    }
    status = tiny_run(arena, recorded_input_ids, 7,
        (int32_t *)(void *)(base + 5888));
    if (status != TINY_OK) {
        return -status;
    }
    for (size_t i = 0; i < 20; i++) {
        if (((int32_t *)(void *)(base + 5888))[i] != expected_sentence_embedding[i]) {
            return 1;
        }
    }
    return 0;
}
