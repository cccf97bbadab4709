/* rows[p] = the 3 x 3 pixels of x under window `first` + p, of 3 channels; outside of x all are
   208. */
static void windows_7x9k3x3p1_1_1_1_c3z208(size_t first, size_t count, const uint8_t *restrict x,
    uint8_t *restrict rows)
{
    for (size_t p = first; p < first + count; p++) {
        const size_t top = p / 9, left = p % 9;
        const size_t r0 = top < 1 ? 1 - top : 0, r1 = top + 2 < 8 ? 3 : 8 - top;
        const size_t s0 = left < 1 ? 1 - left : 0, s1 = left + 2 < 10 ? 3 : 10 - left;

        if (r0 > 0 || r1 < 3 || s0 > 0 || s1 < 3) {
            for (size_t i = 0; i < 27; i++) {
                rows[i] = 208;
            }
        }
        for (size_t r = r0; r < r1; r++) {
            const size_t row = top + r;
            const size_t column = left + s0;
            const uint8_t *restrict from = x + ((row - 1) * 9 + column - 1) * 3;
            uint8_t *restrict to = rows + (r * 3 + s0) * 3;

            for (size_t i = 0; i < (s1 - s0) * 3; i++) {
                to[i] = from[i];
            }
        }
        rows += 27;
    }
}

/* acc[r][c] = x[r] . w[c]: a block of 4 x 4 sums that share their loads. */
static void dot4x4_k27(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const uint8_t *x1 = x + 27;
    const uint8_t *x2 = x + 54;
    const uint8_t *x3 = x + 81;
    const int8_t *w1 = w + 27;
    const int8_t *w2 = w + 54;
    const int8_t *w3 = w + 81;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;
    int32_t s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0;
    int32_t s30 = 0, s31 = 0, s32 = 0, s33 = 0;

    for (size_t k = 0; k < 27; k++) {
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
static void tile4x32_k27(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        if (left == 4) {
            dot4x4_k27(width - j, x, w + j * 27, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x4_k27(width - j, x + r * 27, w + j * 27, acc + r * 32 + j);
        }
    }
}

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_27x5_vs(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 5; n += 32) {
        const size_t width = 5 - n < 32 ? 5 - n : 32;

        for (size_t m = 0; m < rows; m += 4) {
            const size_t left = rows - m < 4 ? rows - m : 4;
            int32_t acc[128];

            tile4x32_k27(left, width, x + m * 27, w + n * 27, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 5 + n;

                for (size_t j = 0; j < width; j++) {
                    int32_t t = acc[r * 32 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)((uint64_t)(uint32_t)t * mul[n + j] >> shift);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = (uint8_t)t;
                }
            }
        }
    }
}

/* y[p] = the Linear of the pixels under window p; `rows` holds 63 windows at a time. */
static void linear_27x5_vs_on_7x9k3x3p1_1_1_1z208(const uint8_t *restrict x,
    const int8_t *restrict w, const int32_t *restrict bias, const uint32_t *restrict mul, int shift,
    int32_t lo, int32_t hi, uint8_t *restrict rows, uint8_t *restrict y)
{
    for (size_t first = 0; first < 63; first += 63) {
        const size_t count = 63 - first < 63 ? 63 - first : 63;

        windows_7x9k3x3p1_1_1_1_c3z208(first, count, x, rows);
        linear_27x5_vs(count, rows, w, bias, mul, shift, lo, hi, y + first * 5);
    }
}
