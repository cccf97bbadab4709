/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c33_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 33; j++) {
            y[r * 33 + j] = x[r * 33 + j] * mul + bias;
        }
    }
}
