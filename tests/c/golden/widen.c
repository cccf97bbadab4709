/* y[r][j] = (x[r][j] - zero[j]) * mul[j]. */
static void widen_c17_ss(size_t rows, const uint8_t *restrict x, int32_t zero, int32_t mul,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 17; j++) {
            y[r * 17 + j] = (x[r * 17 + j] - zero) * mul;
        }
    }
}
