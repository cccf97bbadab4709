/* Self-test of decoder: a recorded input with its output. Made by intcc 0.1.0. */
#include "decoder.h"

static const int32_t recorded_input_ids[4] = {
    1, 20, 39, 8,
};

static const int32_t expected_logits[40] = {
    19811, -259314, -4912, 66019, -12773, -55407, -96608, -46194, 193496, 250748, 34635,
    -151186, -113912, -63037, 34315, -79823, -266648, -123802, 203960, 230692, 33245, -224762,
    94030, -58282, -57317, 34933, -88506, -54298, -143088, 148358, -71808, -284061, 131791,
    -142223, -273296, -128408, 73636, -2935, -230463, -3222,
};

int decoder_selftest(void *arena)
{
    unsigned char *const base = arena;
    int status;

    if (arena == NULL) {
        return -DECODER_NULL_POINTER;
    }
    status = decoder_run(arena, base + 1600, recorded_input_ids, 4, 0,
        (int32_t *)(void *)(base + 4928));
    if (status != DECODER_OK) {
        return -status;
    }
    for (size_t i = 0; i < 40; i++) {
        if (((int32_t *)(void *)(base + 4928))[i] != expected_logits[i]) {
            return 1;
        }
    }
    return 0;
}
