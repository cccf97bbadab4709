/* acc[r][c] = x[r] . w[c]: a block of 2 x 2 sums that share their loads. */
static void dot2x2_k65(const uint8_t *x0, const uint8_t *x1, const int8_t *w, int32_t *acc)
{
    const int8_t *w1 = w + 65;
    int32_t s00 = 0, s01 = 0;
    int32_t s10 = 0, s11 = 0;

    for (size_t k = 0; k < 65; k++) {
        s00 += x0[k] * w[k];
        s01 += x0[k] * w1[k];
        s10 += x1[k] * w[k];
        s11 += x1[k] * w1[k];
    }
    acc[0] = s00;
    acc[1] = s01;
    acc[16] = s10;
    acc[17] = s11;
}

/* A 2 x 16 tile of sums. Rows past `left` repeat the first one and are not used; the weights are
   padded to whole blocks. */
static void tile2x16_k65(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const uint8_t *x1 = left > 1 ? x + 65 : x;

    for (size_t j = 0; j < width; j += 2) {
        dot2x2_k65(x, x1, w + j * 65, acc + j);
    }
}

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_65x12_vs(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 12; n += 16) {
        const size_t width = 12 - n < 16 ? 12 - n : 16;

        for (size_t m = 0; m < rows; m += 2) {
            const size_t left = rows - m < 2 ? rows - m : 2;
            int32_t acc[32];

            tile2x16_k65(left, width, x + m * 65, w + n * 65, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 12 + n;

                for (size_t j = 0; j < width; j++) {
                    int32_t t = acc[r * 16 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)((uint64_t)(uint32_t)t * mul[n + j] >> shift);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = (uint8_t)t;
                }
            }
        }
    }
}
