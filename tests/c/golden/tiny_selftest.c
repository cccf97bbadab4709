/* Self-test of tiny: a recorded input with its output. Made by intcc 0.1.0. */
#include "tiny.h"

#include <string.h>

static const int32_t recorded_input_ids[7] = {
    1, 20, 39, 8, 27, 46, 15,
};

static const int32_t expected_sentence_embedding[20] = {
    64933, 186904, -572074, -67899, -267214, -268857, -26329, 87337, 413552, -111020, -88524,
    74333, 26466, -123112, 267488, 82683, 173032, 482820, -10632, -149395,
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
    if (memcmp(base + 5888, expected_sentence_embedding, sizeof expected_sentence_embedding) != 0) {
        return 1;
    }
    return 0;
}
