/* Self-test of tiny: a recorded input with its output. Made by intcc 0.1.0. */
#include "tiny.h"

static const int32_t recorded_input_ids[7] = {
    1, 20, 39, 8, 27, 46, 15,
};

static const int32_t expected_sentence_embedding[20] = {
    69284, 175990, -553057, -80543, -265596, -126281, 8409, 15137, 288021, -125533, -200283,
    370994, 29199, -112078, 168328, 58772, 213365, 509935, 4438, -193369,
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
