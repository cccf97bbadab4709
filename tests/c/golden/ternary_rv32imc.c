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

/* acc[c] += x . w[c] over `count` <= 128 elements of one row, straight from packed bytes. Digits
   are the weights and 1, and so each sum is more by the sum of x; at most 128 * 255 * 2 < 2^16, two
   fit a word. */
static void row_t2x4_k37(size_t count, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t bytes = (count + 3) / 4;
    uint32_t more = 0, s0 = 0, s1 = 0;

    for (size_t i = 0; i < bytes; i++) {
        uint32_t t;
        const uint32_t v0 = (uint8_t)w[i] | (uint32_t)(uint8_t)w[10 + i] << 16;
        const uint32_t v1 = (uint8_t)w[20 + i] | (uint32_t)(uint8_t)w[30 + i] << 16;

        t = x[i];
        more += t;
        s0 += t * (v0 & 0x30003u);
        s1 += t * (v1 & 0x30003u);
        t = bytes + i < count ? x[bytes + i] : 0;
        more += t;
        s0 += t * (v0 >> 2 & 0x30003u);
        s1 += t * (v1 >> 2 & 0x30003u);
        t = 2 * bytes + i < count ? x[2 * bytes + i] : 0;
        more += t;
        s0 += t * (v0 >> 4 & 0x30003u);
        s1 += t * (v1 >> 4 & 0x30003u);
        t = 3 * bytes + i < count ? x[3 * bytes + i] : 0;
        more += t;
        s0 += t * (v0 >> 6 & 0x30003u);
        s1 += t * (v1 >> 6 & 0x30003u);
    }
    acc[0] += (int32_t)(s0 & 0xffffu) - (int32_t)more;
    acc[1] += (int32_t)(s0 >> 16) - (int32_t)more;
    acc[2] += (int32_t)(s1 & 0xffffu) - (int32_t)more;
    acc[3] += (int32_t)(s1 >> 16) - (int32_t)more;
}

/* panel[j][i][0] = digit j of p[i], and 2^16 times that of q[i], both less 1; 4 digits of `bytes`
   bytes. */
static void unpack_t2(size_t bytes, const int8_t *restrict p, const int8_t *restrict q,
    uint32_t *restrict panel)
{
    for (size_t i = 0; i < bytes; i++) {
        const uint32_t v = (uint8_t)p[i] | (uint32_t)(uint8_t)q[i] << 16;

        panel[2 * (i)] = (v & 0x30003u) - 0x10001u;
        panel[2 * (bytes + i)] = (v >> 2 & 0x30003u) - 0x10001u;
        panel[2 * (2 * bytes + i)] = (v >> 4 & 0x30003u) - 0x10001u;
        panel[2 * (3 * bytes + i)] = (v >> 6 & 0x30003u) - 0x10001u;
    }
}

/* a and b of the word a + b * 2^16, both in [-2^15, 2^15). */
static inline int32_t low_half(uint32_t v)
{
    return (int32_t)((v & 0xffffu) ^ 0x8000u) - 0x8000;
}

static inline int32_t high_half(uint32_t v)
{
    return low_half((v + 0x8000u) >> 16);
}

/* acc[r][c] += x[r] . w[c] over `count` <= 128 elements of 4 rows. A word of w holds two columns,
   and so does its sum of products, as |x . w| <= 128 * 255 < 2^15. */
static void pairs4x4_k37(size_t count, const uint8_t *x, const uint32_t *w, int32_t *acc)
{
    uint32_t s00 = 0, s01 = 0;
    uint32_t s10 = 0, s11 = 0;
    uint32_t s20 = 0, s21 = 0;
    uint32_t s30 = 0, s31 = 0;

    for (const uint8_t *end = x + count; x != end; x++, w += 2) {
        s00 += (uint32_t)x[0] * w[0];
        s10 += (uint32_t)x[37] * w[0];
        s20 += (uint32_t)x[74] * w[0];
        s30 += (uint32_t)x[111] * w[0];
        s01 += (uint32_t)x[0] * w[1];
        s11 += (uint32_t)x[37] * w[1];
        s21 += (uint32_t)x[74] * w[1];
        s31 += (uint32_t)x[111] * w[1];
    }
    acc[0] += low_half(s00);
    acc[1] += high_half(s00);
    acc[2] += low_half(s01);
    acc[3] += high_half(s01);
    acc[32] += low_half(s10);
    acc[33] += high_half(s10);
    acc[34] += low_half(s11);
    acc[35] += high_half(s11);
    acc[64] += low_half(s20);
    acc[65] += high_half(s20);
    acc[66] += low_half(s21);
    acc[67] += high_half(s21);
    acc[96] += low_half(s30);
    acc[97] += high_half(s30);
    acc[98] += low_half(s31);
    acc[99] += high_half(s31);
}

/* A tile of `left` x `width` sums with 4 weights to a byte. Chunks of 4 columns are unpacked, two
   columns to a word, for blocks of 4 rows; the weights are padded to whole blocks. */static void
   tile_t2_k37_r4(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        for (size_t r = 0; r < left; r++) {
            for (size_t c = 0; c < 4; c++) {
                acc[r * 32 + j + c] = 0;
            }
        }
        for (size_t k = 0; k < 37; k += 40) {
            const size_t count = 37 - k < 40 ? 37 - k : 40;
            const int8_t *packed = w + j * 10 + k / 4;
            size_t r = 0;

            if (left >= 4) {
                const size_t bytes = (count + 3) / 4;
                uint32_t panel[80];

                for (size_t c = 0; c < 4; c += 2) {
                    unpack_t2(bytes, packed + c * 10, packed + (c + 1) * 10, panel + c / 2);
                }
                for (; r + 4 <= left; r += 4) {
                    pairs4x4_k37(count, x + r * 37 + k, panel, acc + r * 32 + j);
                }
            }
            for (; r < left; r++) {
                row_t2x4_k37(count, x + r * 37 + k, packed, acc + r * 32 + j);
            }
        }
    }
}

/* y[r][n] = ((q[r] - 128) . w[n]) * m[r] * 2^k[r] * mul[n] / 2^shift  + bias[n] + residual[r][n],
   rounded once and saturated. sums[n] is the sum of w[n]. */
static void linear_dynamic_k37_hvv_add_t2(size_t rows, size_t columns, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, const int8_t *restrict w,
    const int16_t *restrict sums, const int32_t *restrict mul, int shift,
    const int32_t *restrict bias, const int32_t *residual, int32_t *y)
{
    for (size_t n = 0; n < columns; n += 32) {
        const size_t width = columns - n < 32 ? columns - n : 32;

        for (size_t i = 0; i < rows; i += 4) {
            const size_t left = rows - i < 4 ? rows - i : 4;
            int32_t acc[128];

            tile_t2_k37_r4(left, width, q + i * 37, w + n * 10, acc);
            for (size_t r = 0; r < left; r++) {
                const int64_t scale = m[i + r];
                const int down = shift - k[i + r];
                const int64_t half = INT64_C(1) << (down - 1);
                const size_t at = (i + r) * columns + n;

                for (size_t j = 0; j < width; j++) {
                    const int32_t sum = acc[r * 32 + j] - 128 * sums[n + j];
                    const int64_t v = clip_wide(asr64(sum * scale * mul[n + j] + half, down)
                        + bias[n + j]);

                    y[at + j] = (int32_t)clip_wide(v + residual[at + j]);
                }
            }
        }
    }
}
