/* y[r][j] = x[r][j] + b[j]: b repeats for every row. */
static void add_s(size_t rows, size_t columns, const int32_t *restrict x, int32_t b,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            y[r * columns + j] = x[r * columns + j] + b;
        }
    }
}

/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c12_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 12; j++) {
            y[r * 12 + j] = x[r * 12 + j] * mul + bias;
        }
    }
}

/* Copy `rows` rows of `columns` elements; rows lie x_step and y_step elements apart. */
static void copy_rows_int32(size_t rows, size_t columns, const int32_t *restrict x, size_t x_step,
    int32_t *restrict y, size_t y_step)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            y[r * y_step + j] = x[r * x_step + j];
        }
    }
}
