/* y[r][j] = clip((x[r][j] * mul[j] + 2^(shift-1)) >> shift, lo, hi), products in 64 bits. */
static void rescale_c12_s(size_t rows, const int32_t *restrict x, int32_t mul, int shift,
    int32_t lo, int32_t hi, int32_t *restrict y)
{
    const int64_t half = INT64_C(1) << (shift - 1);

    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 12; j++) {
            const int64_t product = (int64_t)x[r * 12 + j] * mul;
            int64_t v = asr64(product + half, shift);

            v = v < lo ? lo : v > hi ? hi : v;
            y[r * 12 + j] = (int32_t)v;
        }
    }
}
