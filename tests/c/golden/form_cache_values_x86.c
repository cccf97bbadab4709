/* Append the values of n tokens, 3 x 7, to a cache [3][64 / 4][16][4] behind `position` earlier
   ones, each with its scale mantissa * 2^exponent. */
static void cache_values_3x7(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, int8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 3; h++) {
        for (size_t i = 0, some; i < n; i += some) {
            const size_t from = i * 3 + h, at = position + i, to = h * 64 + at;
            const uint8_t *restrict v = q + from * 7;
            int8_t *restrict value = codes + (to - at % 4) * 16 + at % 4;

            some = at % 4 == 0 && n - i >= 4 ? 4 : 1;
            if (some == 4) { /* what compilers make vectors of */
                for (size_t d = 0; d < 7; d++) {
                    value[4 * d + 0] = (int8_t)(v[0 + d] - 128);
                    value[4 * d + 1] = (int8_t)(v[21 + d] - 128);
                    value[4 * d + 2] = (int8_t)(v[42 + d] - 128);
                    value[4 * d + 3] = (int8_t)(v[63 + d] - 128);
                }
            } else {
                for (size_t d = 0; d < 7; d++) {
                    value[4 * d] = (int8_t)(v[d] - 128);
                }
            }
            for (size_t t = 0; t < some; t++) {
                mantissa[to + t] = (uint16_t)m[from + 3 * t];
                exponent[to + t] = (uint8_t)k[from + 3 * t];
            }
        }
    }
}
