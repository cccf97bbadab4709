/* y[r][j] = clip((x[r][j] * mul[j] + bias[j]) / divisor[j], lo, hi). */
static void quantize_c60_ssvs(size_t rows, const int32_t *restrict x, int32_t scale, int32_t bias,
    const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi, uint8_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 60; j++) {
            int32_t t = x[r * 60 + j] * scale + bias;

            t = t > 0 ? t : 0;
            t = (int32_t)((uint64_t)(uint32_t)t * mul[j] >> shift);
            t = t < lo ? lo : t > hi ? hi : t;
            y[r * 60 + j] = (uint8_t)t;
        }
    }
}
