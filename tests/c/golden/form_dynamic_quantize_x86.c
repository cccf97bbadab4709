/* q[r] = 128 + round(127 * x[r] / largest), the largest magnitude of the row being about m[r] *
   2^k[r]. */
static void dynamic_quantize(size_t rows, size_t columns, const int32_t *restrict x,
    uint8_t *restrict q, int32_t *restrict m, int32_t *restrict k)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * columns;
        uint8_t *restrict out = q + r * columns;
        int32_t largest = 0;

#ifdef VECTOR
        const size_t done = columns - columns % (4 * VECTOR);
        vector top[4];

        for (size_t i = 0; i < 4; i++) {
            top[i] = vector_all(0);
        }
        for (size_t j = 0; j < done; j += 4 * VECTOR) {
            for (size_t i = 0; i < 4; i++) {
                top[i] = vector_max(top[i], vector_absolute(vector_load(in + j + i * VECTOR)));
            }
        }
        largest = vector_most(vector_max(vector_max(top[0], top[1]), vector_max(top[2], top[3])));
#else
        const size_t done = 0;
#endif

        for (size_t j = done; j < columns; j++) {
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

#ifdef VECTOR
        const size_t first = factor < 32768 ? done : 0;
        const vector halves = vector_all(half), by = vector_all(down);

        for (size_t j = 0; j < first; j += 4 * VECTOR) {
            vector v[4];

            for (size_t i = 0; i < 4; i++) {
                v[i] = vector_down_signed_each(vector_add(vector_load(in + j + i * VECTOR), halves),
                    by);
            }
            vector_store_codes(out + j, v[0], v[1], v[2], v[3], factor);
        }
#else
        const size_t first = 0;
#endif

        for (size_t j = first; j < columns; j++) {
            const int32_t v = asr32(in[j] + half, down);

            out[j] = (uint8_t)(128 + asr32(v * factor + 2097152, 22));
        }
    }
}
