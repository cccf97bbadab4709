/* acc[r][c] = x[r] . w[c]: a block of 1 x 4 sums that share their loads. */
static void dot1x4_k16(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const int8_t *w1 = w + 16;
    const int8_t *w2 = w + 32;
    const int8_t *w3 = w + 48;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;

    for (size_t k = 0; k < 16; k++) {
        s00 += x[k] * w[k];
        s01 += x[k] * w1[k];
        s02 += x[k] * w2[k];
        s03 += x[k] * w3[k];
    }
    acc[0] = s00;
    acc[1] = s01;
    acc[2] = s02;
    acc[3] = s03;
    (void)width;
}

/* A tile of `left` x `width` sums: row by row. */
static void tile1x32_k16(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        for (size_t r = 0; r < left; r++) {
            dot1x4_k16(width - j, x + r * 16, w + j * 16, acc + r * 32 + j);
        }
    }
}

/* y[m][n] = (x[m] . w[n]) * mul[n] + bias[n]. */
static void linear_wide_16x2_hh_r1(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int16_t *restrict mul, const int16_t *restrict bias, int32_t *restrict y)
{
    for (size_t n = 0; n < 2; n += 32) {
        const size_t width = 2 - n < 32 ? 2 - n : 32;

        for (size_t m = 0; m < rows; m += 1) {
            const size_t left = rows - m < 1 ? rows - m : 1;
            int32_t acc[32];

            tile1x32_k16(left, width, x + m * 16, w + n * 16, acc);
            for (size_t r = 0; r < left; r++) {
                const size_t at = (m + r) * 2 + n;

                for (size_t j = 0; j < width; j++) {
                    const int32_t product = acc[r * 32 + j] * mul[n + j];

                    y[at + j] = product + bias[n + j];
                }
            }
        }
    }
}

/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c20_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 20; j++) {
            y[r * 20 + j] = x[r * 20 + j] * mul + bias;
        }
    }
}

/* y[r][j] = x[r][j] + b[j]: b repeats for every row. */
static void add_v(size_t rows, size_t columns, const int32_t *restrict x, const int32_t *restrict b,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            y[r * columns + j] = x[r * columns + j] + b[j];
        }
    }
}
