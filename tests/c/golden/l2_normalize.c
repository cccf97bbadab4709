/* gain / sqrt(v), rounded: v is scaled by 4^-e to u in [2^28, 2^30), whose reciprocal square root
   is linear between 193 table points (relative error 2.3e-5). */
static int32_t row_factor(int64_t v, int64_t gain, const uint32_t *table)
{
    const int e = (bit_length((uint64_t)v) - 29 + 64) / 2 - 32;
    const int64_t u = e < 0 ? v << (-2 * e) : v >> (2 * e);
    const size_t cell = (size_t)(u >> 22) - 64;
    const int64_t drop = (int64_t)table[cell] - (int64_t)table[cell < 192 ? cell + 1 : 192];
    const int64_t root = (int64_t)table[cell] - (drop * (u & 4194303) >> 22);

    return (int32_t)((root * gain + (INT64_C(1) << (43 + e))) >> (44 + e));
}

/* y[r] = round(x[r] * 2^20 / |x[r]|). A row is first shifted down to 15 bits; y * factor then fits
   32 bits whatever the data. */
static void l2_normalize_c64(size_t rows, const int32_t *restrict x, int64_t eps, int64_t gain,
    int shift, const uint32_t *restrict table, int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * 64;
        int32_t *out = y + r * 64;
        int32_t largest = 0;

        for (size_t j = 0; j < 64; j++) {
            const int32_t magnitude = in[j] < 0 ? -in[j] : in[j];

            largest = magnitude > largest ? magnitude : largest;
        }
        const int bits = bit_length((uint64_t)largest);
        const int down = bits > 15 ? bits - 15 : 0;
        const int32_t half = (1 << down) >> 1;
        int64_t sum = (eps + ((INT64_C(1) << (2 * down)) >> 1)) >> (2 * down);

        for (size_t j = 0; j < 32; j++) {
            const int32_t v = asr32(in[j] + half, down);
            const int32_t u = asr32(in[j + 32] + half, down);

            sum += (uint32_t)(v * v) + (uint32_t)(u * u);
        }
        const int32_t factor = row_factor(sum > 1 ? sum : 1, gain, table);
        const int32_t round = 1 << (shift - 1);

        for (size_t j = 0; j < 64; j++) {
            const int32_t v = asr32(in[j] + half, down);

            out[j] = asr32(v * factor + round, shift);
        }
    }
}
