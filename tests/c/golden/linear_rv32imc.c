/* acc[r][c] = x[r] . w[c]: a block of 1 x 4 sums. One pointer serves all columns. */
static void dot1x4_pk37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;

    for (const uint8_t *end = x + 37; x != end; x++, w += 4) {
        s00 += x[0] * w[0];
        s01 += x[0] * w[1];
        s02 += x[0] * w[2];
        s03 += x[0] * w[3];
    }
    acc[0] = s00;
    acc[1] = s01;
    acc[2] = s02;
    acc[3] = s03;
    (void)width;
}

/* acc[r][c] = x[r] . w[c]: a block of 4 x 4 sums. One pointer serves all columns. */
static void dot4x4_pk37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;
    int32_t s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0;
    int32_t s30 = 0, s31 = 0, s32 = 0, s33 = 0;

    for (const uint8_t *end = x + 37; x != end; x++, w += 4) {
        s00 += x[0] * w[0];
        s10 += x[37] * w[0];
        s20 += x[74] * w[0];
        s30 += x[111] * w[0];
        s01 += x[0] * w[1];
        s11 += x[37] * w[1];
        s21 += x[74] * w[1];
        s31 += x[111] * w[1];
        s02 += x[0] * w[2];
        s12 += x[37] * w[2];
        s22 += x[74] * w[2];
        s32 += x[111] * w[2];
        s03 += x[0] * w[3];
        s13 += x[37] * w[3];
        s23 += x[74] * w[3];
        s33 += x[111] * w[3];
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
static void tile4x32_pk37(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        if (left == 4) {
            dot4x4_pk37(width - j, x, w + j * 37, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x4_pk37(width - j, x + r * 37, w + j * 37, acc + r * 32 + j);
        }
    }
}

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_37x21_vs(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 21; n += 32) {
        const size_t width = 21 - n < 32 ? 21 - n : 32;

        for (size_t m = 0; m < rows; m += 4) {
            const size_t left = rows - m < 4 ? rows - m : 4;
            int32_t acc[128];

            tile4x32_pk37(left, width, x + m * 37, w + n * 37, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 21 + n;

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
