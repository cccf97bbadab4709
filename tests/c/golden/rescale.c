/* y[r][j] = clip((x[r][j] * mul[j] + 2^(shift-1)) >> shift, lo, hi), products in 64 bits. */
static void rescale_c6_v(size_t rows, const int32_t *restrict x, const int32_t *restrict mul,
    int shift, int32_t lo, int32_t hi, int32_t *restrict y)
{
    const int64_t half = INT64_C(1) << (shift - 1);

    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 6; j++) {
            const int64_t product = (int64_t)x[r * 6 + j] * mul[j];
            int64_t v = asr64(product + half, shift);

            v = v < lo ? lo : v > hi ? hi : v;
            y[r * 6 + j] = (int32_t)v;
        }
    }
}
