/* rows[p] = the 3 x 3 pixels of x under window `first` + p, of 4 channels; outside of x all are 0.
   */
static void windows_3x3k3x3p1_1_1_1_c4z0(size_t first, size_t count, const uint8_t *restrict x,
    uint8_t *restrict rows)
{
    for (size_t p = first; p < first + count; p++) {
        const size_t top = p / 3, left = p % 3;
        const size_t r0 = top < 1 ? 1 - top : 0, r1 = top + 2 < 4 ? 3 : 4 - top;
        const size_t s0 = left < 1 ? 1 - left : 0, s1 = left + 2 < 4 ? 3 : 4 - left;

        if (r0 > 0 || r1 < 3 || s0 > 0 || s1 < 3) {
            for (size_t i = 0; i < 36; i++) {
                rows[i] = 0;
            }
        }
        for (size_t r = r0; r < r1; r++) {
            const size_t row = top + r;
            const size_t column = left + s0;
            const uint8_t *restrict from = x + ((row - 1) * 3 + column - 1) * 4;
            uint8_t *restrict to = rows + (r * 3 + s0) * 4;

            for (size_t i = 0; i < (s1 - s0) * 4; i++) {
                to[i] = from[i];
            }
        }
        rows += 36;
    }
}

/* acc[r][c] = x[r] . w[c]: a block of 4 x 4 sums that share their loads. */
static void dot4x4_k36(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const uint8_t *x1 = x + 36;
    const uint8_t *x2 = x + 72;
    const uint8_t *x3 = x + 108;
    const int8_t *w1 = w + 36;
    const int8_t *w2 = w + 72;
    const int8_t *w3 = w + 108;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;
    int32_t s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0;
    int32_t s30 = 0, s31 = 0, s32 = 0, s33 = 0;

    for (size_t k = 0; k < 36; k++) {
        s00 += x[k] * w[k];
        s01 += x[k] * w1[k];
        s02 += x[k] * w2[k];
        s03 += x[k] * w3[k];
        s10 += x1[k] * w[k];
        s11 += x1[k] * w1[k];
        s12 += x1[k] * w2[k];
        s13 += x1[k] * w3[k];
        s20 += x2[k] * w[k];
        s21 += x2[k] * w1[k];
        s22 += x2[k] * w2[k];
        s23 += x2[k] * w3[k];
        s30 += x3[k] * w[k];
        s31 += x3[k] * w1[k];
        s32 += x3[k] * w2[k];
        s33 += x3[k] * w3[k];
    }
    acc[0] = s00;
    acc[1] = s01;
    acc[2] = s02;
    acc[3] = s03;
    acc[32] = s10;
    acc[33] = s11;
    acc[34] = s12;
    acc[35] = s13;
    acc[64] = s20;
    acc[65] = s21;
    acc[66] = s22;
    acc[67] = s23;
    acc[96] = s30;
    acc[97] = s31;
    acc[98] = s32;
    acc[99] = s33;
    (void)width;
}

/* A tile of `left` x `width` sums: blocks of 4 rows while there are as many, else row by row. */
static void tile4x32_k36(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        if (left == 4) {
            dot4x4_k36(width - j, x, w + j * 36, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x4_k36(width - j, x + r * 36, w + j * 36, acc + r * 32 + j);
        }
    }
}

/* y[m][n] = (x[m] . w[n]) * mul[n] + bias[n]. */
static void linear_wide_36x2_ss(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    int32_t mul, int32_t bias, int32_t *restrict y)
{
    for (size_t n = 0; n < 2; n += 32) {
        const size_t width = 2 - n < 32 ? 2 - n : 32;

        for (size_t m = 0; m < rows; m += 4) {
            const size_t left = rows - m < 4 ? rows - m : 4;
            int32_t acc[128];

            tile4x32_k36(left, width, x + m * 36, w + n * 36, acc);
            for (size_t r = 0; r < left; r++) {
                const size_t at = (m + r) * 2 + n;

                for (size_t j = 0; j < width; j++) {
                    const int32_t product = acc[r * 32 + j] * mul;

                    y[at + j] = product + bias;
                }
            }
        }
    }
}

/* y[p] = the LinearWide of the pixels under window p; `rows` holds 9 windows at a time. */
static void linear_wide_36x2_ss_on_3x3k3x3p1_1_1_1z0(const uint8_t *restrict x,
    const int8_t *restrict w, int32_t mul, int32_t bias, uint8_t *restrict rows,
    int32_t *restrict y)
{
    for (size_t first = 0; first < 9; first += 9) {
        const size_t count = 9 - first < 9 ? 9 - first : 9;

        windows_3x3k3x3p1_1_1_1_c4z0(first, count, x, rows);
        linear_wide_36x2_ss(count, rows, w, mul, bias, y + first * 2);
    }
}
