/* Self-test of tiny: a recorded input with its output. Made by intcc 0.1.0. */
#include "tiny.h"

static const int32_t recorded_input_ids[7] = {
    1, 20, 39, 8, 27, 46, 15,
};

static const int32_t expected_sentence_embedding[20] = {
    69547, 175361, -554135, -81076, -264605, -124251, 7795, 16710, 288643, -124718, -199912,
    370606, 28426, -112162, 169713, 58205, 212795, 509886, 4388, -193471,
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
