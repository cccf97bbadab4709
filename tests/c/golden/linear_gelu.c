/* acc[r][c] = x[r] . w[c]: a block of 4 x 4 sums that share their loads. */
static void dot4x4_k24(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const uint8_t *x1 = x + 24;
    const uint8_t *x2 = x + 48;
    const uint8_t *x3 = x + 72;
    const int8_t *w1 = w + 24;
    const int8_t *w2 = w + 48;
    const int8_t *w3 = w + 72;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;
    int32_t s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0;
    int32_t s30 = 0, s31 = 0, s32 = 0, s33 = 0;

    for (size_t k = 0; k < 24; k++) {
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
static void tile4x32_k24(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        if (left == 4) {
            dot4x4_k24(width - j, x, w + j * 24, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x4_k24(width - j, x + r * 24, w + j * 24, acc + r * 32 + j);
        }
    }
}

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi), then GELU. The quotient is a
   product and a shift, exact for every sum that can occur. */
static void linear_24x37_vs_gelu_vhvvvvv(size_t rows, const uint8_t *restrict x,
    const int8_t *restrict w, const int32_t *restrict bias, const uint32_t *restrict mul, int shift,
    int32_t lo, int32_t hi, const uint8_t *restrict knee, const int16_t *restrict lift,
    const int32_t *restrict half, const uint32_t *restrict gelu_mul,
    const uint8_t *restrict gelu_shift, const uint8_t *restrict factor,
    const uint8_t *restrict zero, uint8_t *restrict y)
{
    for (size_t n = 0; n < 37; n += 32) {
        const size_t width = 37 - n < 32 ? 37 - n : 32;

        for (size_t m = 0; m < rows; m += 4) {
            const size_t left = rows - m < 4 ? rows - m : 4;
            int32_t acc[128];

            tile4x32_k24(left, width, x + m * 24, w + n * 24, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 37 + n;

                for (size_t j = 0; j < width; j++) {
                    int32_t t = acc[r * 32 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)((uint64_t)(uint32_t)t * mul[n + j] >> shift);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = gelu_point(t, knee[n + j], lift[n + j], half[n + j], gelu_mul[n + j],
                        gelu_shift[n + j], factor[n + j], zero[n + j]);
                }
            }
        }
    }
}

/* factor * relu(x) - delta(|x|) about the zero point `knee`; delta is a polynomial that vanishes at
   the knee and at the edges of [0, 2 knee]. */
static inline uint8_t gelu_point(int32_t x, int32_t knee, int32_t lift, int32_t half, uint32_t mul,
    int shift, int32_t factor, int32_t zero)
{
    const int32_t relu = x > knee ? x - knee : 0;
    const int32_t above = relu < knee ? knee - relu : 0;
    const int32_t b = x < above ? x : above;
    const int32_t a = knee - b;
    const uint32_t product = (uint32_t)((a * b) * (b * b + lift) + half);
    const int32_t delta = (int32_t)((uint64_t)product * mul >> shift);

    return (uint8_t)(factor * relu + zero - delta);
}
