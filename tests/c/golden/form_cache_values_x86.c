/* Append the values of n tokens, 3 x 7, to a cache [3][64 / 4][16][4] behind `position` earlier
   ones, each with its scale mantissa * 2^exponent. */
static void cache_values_3x7(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, int8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 3; h++) {
        for (size_t i = 0; i < n; i++) {
            const size_t from = i * 3 + h, at = position + i, to = h * 64 + at;
            int8_t *restrict value = codes + (to - at % 4) * 16 + at % 4;

            for (size_t d = 0; d < 7; d++) {
                value[4 * d] = (int8_t)(q[from * 7 + d] - 128);
            }
            mantissa[to] = (uint16_t)m[from];
            exponent[to] = (uint8_t)k[from];
        }
    }
}
