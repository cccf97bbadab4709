/* Append the keys of n tokens, 3 x 5, to a cache [3][64 / 32][8 / 4][32][4] behind `position`
   earlier ones, each with its scale mantissa * 2^exponent. */
static void cache_keys_3x5(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, uint8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 3; h++) {
        for (size_t i = 0, some; i < n; i += some) {
            const size_t at = position + i, to = h * 64 + at;
            uint8_t *restrict keys = codes + (to - at % 32) * 8 + at % 32 * 4;
            size_t done = 0;

            some = 1;
            for (size_t t = 0; t < some; t++) {
                const size_t from = (i + t) * 3 + h;
                uint8_t *restrict key = keys + 4 * t + done * 32;

                for (size_t d = done; d < 4; d += 4, key += 128) {
                    for (size_t c = 0; c < 4; c++) {
                        key[c] = q[from * 5 + d + c];
                    }
                }
                key[0] = q[from * 5 + 4];
                mantissa[to + t] = (uint16_t)m[from];
                exponent[to + t] = (uint8_t)k[from];
            }
        }
    }
}
