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

/* panel[j][i] = digit j of p[i] - 1, for 4 digits of `bytes` bytes. */
static void unpack_t2(size_t bytes, const int8_t *restrict p, int8_t *restrict panel)
{
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t v = (uint8_t)p[i];

        panel[i] = (int8_t)((int32_t)(v & 3u) - 1);
        panel[bytes + i] = (int8_t)((int32_t)(v >> 2 & 3u) - 1);
        panel[2 * bytes + i] = (int8_t)((int32_t)(v >> 4 & 3u) - 1);
        panel[3 * bytes + i] = (int8_t)((int32_t)(v >> 6) - 1);
    }
}

/* acc[c] += x . panel[c] over `count` elements. */
static void dot4_40(size_t count, const uint8_t *restrict x, const int8_t *restrict panel,
    int32_t *restrict acc)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

    size_t done = 0;

#if defined(__ARM_FEATURE_DOTPROD) && defined(__aarch64__)
    /* The weights as unsigned bytes are 128 more, and so each sum is more by 128 times x . 1. */
    const uint8x16_t flip = vdupq_n_u8(128), one = vdupq_n_u8(1);
    uint32x4_t more = vdupq_n_u32(0);
    uint32x4_t t0 = more, t1 = more, t2 = more, t3 = more;

    for (; done + 16 <= count; done += 16) {
        const uint8x16_t v = vld1q_u8(x + done);
        const int8x16_t w0 = vld1q_s8(panel + done);
        const int8x16_t w1 = vld1q_s8(panel + 40 + done);
        const int8x16_t w2 = vld1q_s8(panel + 80 + done);
        const int8x16_t w3 = vld1q_s8(panel + 120 + done);

        more = vdotq_u32(more, v, one);
        t0 = vdotq_u32(t0, v, veorq_u8(vreinterpretq_u8_s8(w0), flip));
        t1 = vdotq_u32(t1, v, veorq_u8(vreinterpretq_u8_s8(w1), flip));
        t2 = vdotq_u32(t2, v, veorq_u8(vreinterpretq_u8_s8(w2), flip));
        t3 = vdotq_u32(t3, v, veorq_u8(vreinterpretq_u8_s8(w3), flip));
    }
    more = vshlq_n_u32(more, 7);
    s0 = vaddvq_s32(vreinterpretq_s32_u32(vsubq_u32(t0, more)));
    s1 = vaddvq_s32(vreinterpretq_s32_u32(vsubq_u32(t1, more)));
    s2 = vaddvq_s32(vreinterpretq_s32_u32(vsubq_u32(t2, more)));
    s3 = vaddvq_s32(vreinterpretq_s32_u32(vsubq_u32(t3, more)));
#endif
    for (size_t k = done; k < count; k++) {
        s0 += x[k] * panel[k];
        s1 += x[k] * panel[40 + k];
        s2 += x[k] * panel[80 + k];
        s3 += x[k] * panel[120 + k];
    }
    acc[0] += s0;
    acc[1] += s1;
    acc[2] += s2;
    acc[3] += s3;
}

/* A tile of `left` x `width` sums with 4 weights to a byte. Chunks of 4 columns are unpacked and
   serve all rows; the weights are padded to whole blocks. */
static void tile_t2_k37(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
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
            int8_t panel[160];

            for (size_t c = 0; c < 4; c++) {
                unpack_t2((count + 3) / 4, packed + c * 10, panel + c * 40);
            }
            for (size_t r = 0; r < left; r++) {
                dot4_40(count, x + r * 37 + k, panel, acc + r * 32 + j);
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

        for (size_t i = 0; i < rows; i += 16) {
            const size_t left = rows - i < 16 ? rows - i : 16;
            int32_t acc[512];

            tile_t2_k37(left, width, q + i * 37, w + n * 10, acc);
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
