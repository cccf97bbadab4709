/* acc[r][c] = x[r] . w[c]: a block of 1 x 4 sums that share their loads. */
static void dot1x4_k20(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const int8_t *w1 = w + 20;
    const int8_t *w2 = w + 40;
    const int8_t *w3 = w + 60;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;

    for (size_t k = 0; k < 20; k++) {
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
static void tile1x32_k20(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        for (size_t r = 0; r < left; r++) {
            dot1x4_k20(width - j, x + r * 20, w + j * 20, acc + r * 32 + j);
        }
    }
}

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_20x6_ss_r1(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, uint32_t mul, int shift, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 6; n += 32) {
        const size_t width = 6 - n < 32 ? 6 - n : 32;

        for (size_t m = 0; m < rows; m += 1) {
            const size_t left = rows - m < 1 ? rows - m : 1;
            int32_t acc[32];

            tile1x32_k20(left, width, x + m * 20, w + n * 20, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 6 + n;

                for (size_t j = 0; j < width; j++) {
                    int32_t t = acc[r * 32 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)((uint64_t)(uint32_t)t * mul >> shift);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = (uint8_t)t;
                }
            }
        }
    }
}
