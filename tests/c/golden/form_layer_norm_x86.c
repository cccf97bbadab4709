/* y[r] = round((x[r] - mean) * 2^11 / sqrt(variance + eps)), the mean rounded half up. A row is
   first shifted down to 15 bits; y * factor then fits 32 bits whatever the data. */
static void layer_norm_c100(size_t rows, const int32_t *restrict x, int64_t eps, int64_t gain,
    int shift, const uint32_t *restrict table, int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * 100;
        int32_t *out = y + r * 100;
        int64_t total = 50 + INT64_C(107374182400);
        int32_t low = in[0], high = in[0];

        for (size_t j = 0; j < 25; j++) {
            total += in[j] + in[j + 25] + in[j + 50] + in[j + 75];
        }
        for (size_t j = 0; j < 100; j++) {
            low = in[j] < low ? in[j] : low;
            high = in[j] > high ? in[j] : high;
        }
        const int32_t mean = (int32_t)(total / 100 - 1073741824);
        const int32_t largest = high - mean > mean - low ? high - mean : mean - low;
        const int bits = bit_length((uint64_t)largest);
        const int down = bits > 15 ? bits - 15 : 0;
        const int32_t half = (1 << down) >> 1;
        int64_t sum = (eps + ((INT64_C(1) << (2 * down)) >> 1)) >> (2 * down);

        for (size_t j = 0; j < 50; j++) {
            const int32_t v = asr32(in[j] - mean + half, down);
            const int32_t u = asr32(in[j + 50] - mean + half, down);

            sum += (uint32_t)(v * v) + (uint32_t)(u * u);
        }
        const int32_t factor = row_factor(sum > 1 ? sum : 1, gain, table);
        const int32_t round = 1 << (shift - 1);

        for (size_t j = 0; j < 100; j++) {
            const int32_t v = asr32(in[j] - mean + half, down);

            out[j] = asr32(v * factor + round, shift);
        }
    }
}
