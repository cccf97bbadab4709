/* q[r] = 128 + round(127 * x[r] / largest), the largest magnitude of the row being about m[r] *
   2^k[r]. */
static void dynamic_quantize(size_t rows, size_t columns, const int32_t *restrict x,
    uint8_t *restrict q, int32_t *restrict m, int32_t *restrict k)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * columns;
        uint8_t *restrict out = q + r * columns;
        int32_t largest = 0;

        for (size_t j = 0; j < columns; j++) {
            const int32_t magnitude = in[j] < 0 ? -in[j] : in[j];

            largest = magnitude > largest ? magnitude : largest;
        }
        const int bits = bit_length((uint64_t)largest);
        const int down = bits > 15 ? bits - 15 : 0;
        const int32_t half = (1 << down) >> 1;
        const int32_t mantissa = (largest + half) >> down;

        m[r] = mantissa > 1 ? mantissa : 1;
        k[r] = down;
        const int32_t factor = (532676608 + m[r] / 2) / m[r]; /* 127 * 2^22 / m */

        for (size_t j = 0; j < columns; j++) {
            const int32_t v = asr32(in[j] + half, down);

            out[j] = (uint8_t)(128 + asr32(v * factor + 2097152, 22));
        }
    }
}

/* Append the keys of n tokens, 3 x 5, to a cache [3][41][5] behind `position` earlier ones, each
   with its scale mantissa * 2^exponent. */
static void cache_keys_3x5(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, int8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 3; h++) {
        for (size_t i = 0; i < n; i++) {
            const size_t from = i * 3 + h;
            const size_t to = h * 41 + position + i;

            for (size_t d = 0; d < 5; d++) {
                codes[to * 5 + d] = (int8_t)(q[from * 5 + d] - 128);
            }
            mantissa[to] = (uint16_t)m[from];
            exponent[to] = (uint8_t)k[from];
        }
    }
}

/* Append the values of n tokens, 3 x 7, to a cache [3][7][41] behind `position` earlier ones, each
   with its scale mantissa * 2^exponent. */
static void cache_values_3x7(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, int8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 3; h++) {
        for (size_t d = 0; d < 7; d++) {
            int8_t *restrict to = codes + (h * 7 + d) * 41 + position;

            for (size_t i = 0; i < n; i++) {
                to[i] = (int8_t)(q[(i * 3 + h) * 7 + d] - 128);
            }
        }
        for (size_t i = 0; i < n; i++) {
            mantissa[h * 41 + position + i] = (uint16_t)m[i * 3 + h];
            exponent[h * 41 + position + i] = (uint8_t)k[i * 3 + h];
        }
    }
}
