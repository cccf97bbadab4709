/* q[r] = 128 + round(127 * x[r] / largest), the largest magnitude of the row being about m[r] *
   2^k[r]. */
static void dynamic_quantize(size_t rows, size_t columns, const int32_t *restrict x,
    uint8_t *restrict q, int32_t *restrict m, int32_t *restrict k)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * columns;
        uint8_t *restrict out = q + r * columns;
        int32_t largest = 0;

        for (size_t j = 0; j < columns; j++) {
            const int32_t magnitude = in[j] < 0 ? -in[j] : in[j];

            largest = magnitude > largest ? magnitude : largest;
        }
        const int bits = bit_length((uint64_t)largest);
        const int down = bits > 15 ? bits - 15 : 0;
        const int32_t half = (1 << down) >> 1;
        const int32_t mantissa = (largest + half) >> down;

        m[r] = mantissa > 1 ? mantissa : 1;
        k[r] = down;
        const int32_t factor = (532676608 + m[r] / 2) / m[r]; /* 127 * 2^22 / m */

        for (size_t j = 0; j < columns; j++) {
            const int32_t v = asr32(in[j] + half, down);

            out[j] = (uint8_t)(128 + asr32(v * factor + 2097152, 22));
        }
    }
}

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

/* y[r][n] = ((q[r] - 128) . w[n]) * m[r] * 2^k[r] * mul[n] / 2^shift  + bias[n] + residual[r][n],
   rounded once and saturated. sums[n] is the sum of w[n]. */
static void linear_dynamic_k24_hsh_add(size_t rows, size_t columns, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, const int8_t *restrict w,
    const int16_t *restrict sums, int32_t mul, int shift, const int16_t *restrict bias,
    const int32_t *residual, int32_t *y)
{
    for (size_t n = 0; n < columns; n += 32) {
        const size_t width = columns - n < 32 ? columns - n : 32;

        for (size_t i = 0; i < rows; i += 4) {
            const size_t left = rows - i < 4 ? rows - i : 4;
            int32_t acc[128];

            tile4x32_k24(left, width, q + i * 24, w + n * 24, acc);
            for (size_t r = 0; r < left; r++) {
                const int64_t scale = m[i + r];
                const int down = shift - k[i + r];
                const int64_t half = INT64_C(1) << (down - 1);
                const size_t at = (i + r) * columns + n;

                for (size_t j = 0; j < width; j++) {
                    const int32_t sum = acc[r * 32 + j] - 128 * sums[n + j];
                    const int64_t v = clip_wide(asr64(sum * scale * mul + half, down) + bias[n
                        + j]);

                    y[at + j] = (int32_t)clip_wide(v + residual[at + j]);
                }
            }
        }
    }
}

/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c24_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 24; j++) {
            y[r * 24 + j] = x[r * 24 + j] * mul + bias;
        }
    }
}
