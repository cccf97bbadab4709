/* y[p][n] of window p: w[n] times the 2 channels of its group; 2 filters share a group. */
static void conv_groups_wide_5x6k2x2_c8n8hvz222(const uint8_t *restrict x, const int8_t *restrict w,
    const int16_t *restrict mul, const int32_t *restrict bias, int32_t *restrict y)
{
    for (size_t p = 0; p < 20; p++) {
        const size_t top = p / 5, left = p % 5;

        for (size_t j = 0; j < 8; j++) {
            const uint8_t *restrict group = x + j / 2 * 2;
            const int8_t *restrict filter = w + j * 8;
            int32_t acc = 0;

            for (size_t r = 0; r < 2; r++) {
                const size_t row = top + r;

                for (size_t s = 0; s < 2; s++) {
                    const size_t column = left + s;

                    {
                        const uint8_t *restrict from = group + (row * 6 + column) * 8;

                        for (size_t c = 0; c < 2; c++) {
                            acc += (from[c] - 222) * filter[c];
                        }
                    }
                    filter += 2;
                }
            }
            y[p * 8 + j] = acc * mul[j] + bias[j];
        }
    }
}
