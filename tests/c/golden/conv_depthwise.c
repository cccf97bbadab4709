/* y[p][c] of window p: w[.][c] times the pixels' channel c, 32 channels at a time. */
static void conv_depthwise_1x30k1x7s1x3d1x2p0_6_0_0_c32n32vsz52(const uint8_t *restrict x,
    const int8_t *restrict w, const int32_t *restrict bias, const uint32_t *restrict mul, int shift,
    int32_t lo, int32_t hi, uint8_t *restrict y)
{
    for (size_t p = 0; p < 8; p++) {
        const size_t top = p / 8, left = p % 8 * 3;
        const size_t r0 = 0, r1 = 1;
        const size_t s0 = left < 6 ? (6 - left + 1) / 2 : 0, s1 = 7;

        for (size_t c = 0; c < 32; c += 32) {
            const size_t some = 32 - c < 32 ? 32 - c : 32;
            int32_t acc[32] = {0};

            for (size_t r = r0; r < r1; r++) {
                const size_t row = top + r;

                for (size_t s = s0; s < s1; s++) {
                    const size_t column = left + s * 2;
                    const uint8_t *restrict from = x + (row * 30 + column - 6) * 32 + c;
                    const int8_t *restrict tap = w + (r * 7 + s) * 32 + c;

                    for (size_t j = 0; j < some; j++) {
                        acc[j] += (from[j] - 52) * tap[j];
                    }
                }
            }
            for (size_t j = 0; j < some; j++) {
                int32_t t = acc[j] + bias[c + j];

                t = t > 0 ? t : 0;
                t = (int32_t)((uint64_t)(uint32_t)t * mul[c + j] >> shift);
                t = t < lo ? lo : t > hi ? hi : t;
                y[p * 32 + c + j] = (uint8_t)t;
            }
        }
    }
}
