/* y[p][c] = the largest x[.][.][c] under window p. */
static void max_pool_4x6k2x2s2x2_c3(const uint8_t *restrict x, uint8_t *restrict y)
{
    for (size_t p = 0; p < 6; p++) {
        const size_t top = p / 3 * 2, left = p % 3 * 2;
        const size_t r0 = 0, r1 = 2;
        const size_t s0 = 0, s1 = 2;
        uint8_t *restrict out = y + p * 3;

        for (size_t c = 0; c < 3; c++) {
            out[c] = 0;
        }
        for (size_t r = r0; r < r1; r++) {
            const size_t row = top + r;

            for (size_t s = s0; s < s1; s++) {
                const size_t column = left + s;
                const uint8_t *restrict from = x + (row * 6 + column) * 3;

                for (size_t c = 0; c < 3; c++) {
                    out[c] = from[c] > out[c] ? from[c] : out[c];
                }
            }
        }
    }
}
