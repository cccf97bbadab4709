/* Self-test of tiny: a recorded input with its output. Made by intcc 0.1.0. */
#include "tiny.h"

static const int32_t recorded_input_ids[7] = {
    1, 20, 39, 8, 27, 46, 15,
};

static const int32_t expected_sentence_embedding[20] = {
    69430, 174952, -555723, -81787, -263500, -122448, 7507, 16320, 286535, -124033, -200085,
    375829, 28677, -109018, 166279, 57120, 212674, 508768, 4336, -193323,
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
