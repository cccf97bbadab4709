/* y[r][j] = x[r][j] + b[j], saturated: b repeats for every row. */
static void saturating_add_v(size_t rows, size_t columns, const int32_t *restrict x,
    const int32_t *restrict b, int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            y[r * columns + j] = (int32_t)clip_wide((int64_t)x[r * columns + j] + b[j]);
        }
    }
}
