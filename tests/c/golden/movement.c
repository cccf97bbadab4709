/* y, of extents d0 x ... x d1, reads x at strides s0 ... s1; a stride of 0 repeats. */
static void transpose2_uint8(size_t d0, size_t d1, size_t s0, size_t s1, const uint8_t *restrict x,
    uint8_t *restrict y)
{
    for (size_t i0 = 0; i0 < d0; i0++) {
        const uint8_t *restrict from = x + i0 * s0;

        for (size_t j = 0; j < d1; j++) {
            *y++ = from[j * s1];
        }
    }
}

/* Copy `rows` rows of `columns` elements; rows lie x_step and y_step elements apart. */
static void copy_rows_uint8(size_t rows, size_t columns, const uint8_t *restrict x, size_t x_step,
    uint8_t *restrict y, size_t y_step)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            y[r * y_step + j] = x[r * x_step + j];
        }
    }
}

/* y[b][i] = x[b][index[i]]: `blocks` blocks of `length` rows; rows of `columns` elements. */
static void gather_int32(size_t blocks, size_t length, size_t columns, const int32_t *restrict x,
    const int32_t *restrict index, size_t count, int32_t *restrict y)
{
    for (size_t b = 0; b < blocks; b++) {
        for (size_t i = 0; i < count; i++) {
            const size_t row = b * length + (size_t)index[i];

            for (size_t j = 0; j < columns; j++) {
                y[(b * count + i) * columns + j] = x[row * columns + j];
            }
        }
    }
}

/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c6_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 6; j++) {
            y[r * 6 + j] = x[r * 6 + j] * mul + bias;
        }
    }
}

/* y[b][c] = the last index of the maximum of x[b][.][c]. */
static void argmax_uint8_last(size_t blocks, size_t length, size_t columns,
    const uint8_t *restrict x, int32_t *restrict y)
{
    for (size_t b = 0; b < blocks; b++) {
        for (size_t c = 0; c < columns; c++) {
            const uint8_t *restrict from = x + b * length * columns + c;
            size_t best = 0;

            for (size_t a = 1; a < length; a++) {
                if (from[a * columns] >= from[best * columns]) {
                    best = a;
                }
            }
            y[b * columns + c] = (int32_t)best;
        }
    }
}

/* y[i] = x[i] in another width; a narrowing cast wraps. */
static void cast_uint8_int32(size_t count, const uint8_t *restrict x, int32_t *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = (int32_t)x[i];
    }
}
