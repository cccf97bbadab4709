/* y[p][n] of window p: w[n] times the 2 channels of its group; 2 filters share a group. */
static void conv_groups_wide_5x6k2x2_c8n8hvz222(const uint8_t *restrict x, const int8_t *restrict w,
    const int16_t *restrict mul, const int32_t *restrict bias, int32_t *restrict y)
{
    for (size_t p = 0; p < 20; p++) {
        const size_t top = p / 5, left = p % 5;
        const size_t r0 = 0, r1 = 2;
        const size_t s0 = 0, s1 = 2;

        for (size_t j = 0; j < 8; j++) {
            const uint8_t *restrict group = x + j / 2 * 2;
            int32_t acc = 0;

            for (size_t r = r0; r < r1; r++) {
                const size_t row = top + r;

                for (size_t s = s0; s < s1; s++) {
                    const size_t column = left + s;
                    const uint8_t *restrict from = group + (row * 6 + column) * 8;
                    const int8_t *restrict tap = w + ((j * 2 + r) * 2 + s) * 2;

                    for (size_t c = 0; c < 2; c++) {
                        acc += (from[c] - 222) * tap[c];
                    }
                }
            }
            y[p * 8 + j] = acc * mul[j] + bias[j];
        }
    }
}
