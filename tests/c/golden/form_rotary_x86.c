/* Rotates the pairs (j, j + 7) of each of `heads` heads of 15 by the angles of row r, saturated to
   536870911; the tables are in Q14. */
static void rotary_15_r14_int32(size_t rows, size_t heads, const int32_t *restrict x,
    const int32_t *restrict cosine, const int32_t *restrict sine, int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict c = cosine + r * 7;
        const int32_t *restrict s = sine + r * 7;

        for (size_t h = 0; h < heads; h++) {
            const size_t at = (r * heads + h) * 15;

            for (size_t j = 0; j < 7; j++) {
                const int64_t first = x[at + j];
                const int64_t second = x[at + 7 + j];
                int64_t u = asr64(first * c[j] - second * s[j] + 8192, 14);
                int64_t v = asr64(second * c[j] + first * s[j] + 8192, 14);

                u = u < -536870911 ? -536870911 : u > 536870911 ? 536870911 : u;
                v = v < -536870911 ? -536870911 : v > 536870911 ? 536870911 : v;
                y[at + j] = (int32_t)u;
                y[at + 7 + j] = (int32_t)v;
            }
            for (size_t j = 14; j < 15; j++) {
                y[at + j] = x[at + j];
            }
        }
    }
}
