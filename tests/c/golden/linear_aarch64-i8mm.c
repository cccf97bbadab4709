#if defined(__ARM_NEON) && defined(__ARM_FEATURE_MATMUL_INT8) && defined(__aarch64__)
/* The `count` < 8 bytes that a row ends with; what is past them meets weights of zero. */
static inline uint8x8_t i8mm_rest(const uint8_t *x, size_t count)
{
    uint64_t rest = 0;

    for (size_t i = 0; i < count; i++) {
        rest |= (uint64_t)x[i] << 8 * i;
    }
    return vcreate_u8(rest);
}
#endif

/* acc[r][c] = x[r] . w[c]: a block of 1 x 16 sums, two rows by two columns in a vector. Every 16
   bytes of weights are 2 columns of 8 k. Columns past `width` repeat the first ones and are not
   used. */
static void dot1x16_ik37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
#if defined(__ARM_NEON) && defined(__ARM_FEATURE_MATMUL_INT8) && defined(__aarch64__)
    const int8_t *w0 = w;
    const int8_t *w1 = width > 2 ? w + 80 : w;
    const int8_t *w2 = width > 4 ? w + 160 : w;
    const int8_t *w3 = width > 6 ? w + 240 : w;
    const int8_t *w4 = width > 8 ? w + 320 : w;
    const int8_t *w5 = width > 10 ? w + 400 : w;
    const int8_t *w6 = width > 12 ? w + 480 : w;
    const int8_t *w7 = width > 14 ? w + 560 : w;
    int32x4_t s00 = vdupq_n_s32(0), s01 = vdupq_n_s32(0), s02 = vdupq_n_s32(0),
        s03 = vdupq_n_s32(0), s04 = vdupq_n_s32(0), s05 = vdupq_n_s32(0), s06 = vdupq_n_s32(0),
        s07 = vdupq_n_s32(0);
    uint8x16_t a0;
    int8x16_t b;
    size_t k = 0;

    for (; k < 32; k += 8) {
        a0 = vcombine_u8(vld1_u8(x + k), vld1_u8(x + k));
        b = vld1q_s8(w0 + 2 * k);
        s00 = vusmmlaq_s32(s00, a0, b);
        b = vld1q_s8(w1 + 2 * k);
        s01 = vusmmlaq_s32(s01, a0, b);
        b = vld1q_s8(w2 + 2 * k);
        s02 = vusmmlaq_s32(s02, a0, b);
        b = vld1q_s8(w3 + 2 * k);
        s03 = vusmmlaq_s32(s03, a0, b);
        b = vld1q_s8(w4 + 2 * k);
        s04 = vusmmlaq_s32(s04, a0, b);
        b = vld1q_s8(w5 + 2 * k);
        s05 = vusmmlaq_s32(s05, a0, b);
        b = vld1q_s8(w6 + 2 * k);
        s06 = vusmmlaq_s32(s06, a0, b);
        b = vld1q_s8(w7 + 2 * k);
        s07 = vusmmlaq_s32(s07, a0, b);
    }
    a0 = vcombine_u8(i8mm_rest(x + k, 5), i8mm_rest(x + k, 5));
    b = vld1q_s8(w0 + 2 * k);
    s00 = vusmmlaq_s32(s00, a0, b);
    b = vld1q_s8(w1 + 2 * k);
    s01 = vusmmlaq_s32(s01, a0, b);
    b = vld1q_s8(w2 + 2 * k);
    s02 = vusmmlaq_s32(s02, a0, b);
    b = vld1q_s8(w3 + 2 * k);
    s03 = vusmmlaq_s32(s03, a0, b);
    b = vld1q_s8(w4 + 2 * k);
    s04 = vusmmlaq_s32(s04, a0, b);
    b = vld1q_s8(w5 + 2 * k);
    s05 = vusmmlaq_s32(s05, a0, b);
    b = vld1q_s8(w6 + 2 * k);
    s06 = vusmmlaq_s32(s06, a0, b);
    b = vld1q_s8(w7 + 2 * k);
    s07 = vusmmlaq_s32(s07, a0, b);
    vst1q_s32(acc, vcombine_s32(vget_low_s32(s00), vget_low_s32(s01)));
    vst1q_s32(acc + 4, vcombine_s32(vget_low_s32(s02), vget_low_s32(s03)));
    vst1q_s32(acc + 8, vcombine_s32(vget_low_s32(s04), vget_low_s32(s05)));
    vst1q_s32(acc + 12, vcombine_s32(vget_low_s32(s06), vget_low_s32(s07)));
#else
    for (size_t r = 0; r < 1; r++) {
        for (size_t c = 0; c < width && c < 16; c++) {
            const int8_t *v = w + c / 2 * 80 + c % 2 * 8;
            int32_t s = 0;

            for (size_t k = 0; k < 37; k++) {
                s += x[r * 37 + k] * v[k / 8 * 16 + k % 8];
            }
            acc[r * 32 + c] = s;
        }
    }
#endif
}

/* acc[r][c] = x[r] . w[c]: a block of 4 x 16 sums, two rows by two columns in a vector. Every 16
   bytes of weights are 2 columns of 8 k. Columns past `width` repeat the first ones and are not
   used. */
static void dot4x16_ik37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
#if defined(__ARM_NEON) && defined(__ARM_FEATURE_MATMUL_INT8) && defined(__aarch64__)
    const int8_t *w0 = w;
    const int8_t *w1 = width > 2 ? w + 80 : w;
    const int8_t *w2 = width > 4 ? w + 160 : w;
    const int8_t *w3 = width > 6 ? w + 240 : w;
    const int8_t *w4 = width > 8 ? w + 320 : w;
    const int8_t *w5 = width > 10 ? w + 400 : w;
    const int8_t *w6 = width > 12 ? w + 480 : w;
    const int8_t *w7 = width > 14 ? w + 560 : w;
    int32x4_t s00 = vdupq_n_s32(0), s01 = vdupq_n_s32(0), s02 = vdupq_n_s32(0),
        s03 = vdupq_n_s32(0), s04 = vdupq_n_s32(0), s05 = vdupq_n_s32(0), s06 = vdupq_n_s32(0),
        s07 = vdupq_n_s32(0);
    int32x4_t s10 = vdupq_n_s32(0), s11 = vdupq_n_s32(0), s12 = vdupq_n_s32(0),
        s13 = vdupq_n_s32(0), s14 = vdupq_n_s32(0), s15 = vdupq_n_s32(0), s16 = vdupq_n_s32(0),
        s17 = vdupq_n_s32(0);
    uint8x16_t a0, a1;
    int8x16_t b;
    size_t k = 0;

    for (; k < 32; k += 8) {
        a0 = vcombine_u8(vld1_u8(x + k), vld1_u8(x + 37 + k));
        a1 = vcombine_u8(vld1_u8(x + 74 + k), vld1_u8(x + 111 + k));
        b = vld1q_s8(w0 + 2 * k);
        s00 = vusmmlaq_s32(s00, a0, b);
        s10 = vusmmlaq_s32(s10, a1, b);
        b = vld1q_s8(w1 + 2 * k);
        s01 = vusmmlaq_s32(s01, a0, b);
        s11 = vusmmlaq_s32(s11, a1, b);
        b = vld1q_s8(w2 + 2 * k);
        s02 = vusmmlaq_s32(s02, a0, b);
        s12 = vusmmlaq_s32(s12, a1, b);
        b = vld1q_s8(w3 + 2 * k);
        s03 = vusmmlaq_s32(s03, a0, b);
        s13 = vusmmlaq_s32(s13, a1, b);
        b = vld1q_s8(w4 + 2 * k);
        s04 = vusmmlaq_s32(s04, a0, b);
        s14 = vusmmlaq_s32(s14, a1, b);
        b = vld1q_s8(w5 + 2 * k);
        s05 = vusmmlaq_s32(s05, a0, b);
        s15 = vusmmlaq_s32(s15, a1, b);
        b = vld1q_s8(w6 + 2 * k);
        s06 = vusmmlaq_s32(s06, a0, b);
        s16 = vusmmlaq_s32(s16, a1, b);
        b = vld1q_s8(w7 + 2 * k);
        s07 = vusmmlaq_s32(s07, a0, b);
        s17 = vusmmlaq_s32(s17, a1, b);
    }
    a0 = vcombine_u8(i8mm_rest(x + k, 5), i8mm_rest(x + 37 + k, 5));
    a1 = vcombine_u8(i8mm_rest(x + 74 + k, 5), i8mm_rest(x + 111 + k, 5));
    b = vld1q_s8(w0 + 2 * k);
    s00 = vusmmlaq_s32(s00, a0, b);
    s10 = vusmmlaq_s32(s10, a1, b);
    b = vld1q_s8(w1 + 2 * k);
    s01 = vusmmlaq_s32(s01, a0, b);
    s11 = vusmmlaq_s32(s11, a1, b);
    b = vld1q_s8(w2 + 2 * k);
    s02 = vusmmlaq_s32(s02, a0, b);
    s12 = vusmmlaq_s32(s12, a1, b);
    b = vld1q_s8(w3 + 2 * k);
    s03 = vusmmlaq_s32(s03, a0, b);
    s13 = vusmmlaq_s32(s13, a1, b);
    b = vld1q_s8(w4 + 2 * k);
    s04 = vusmmlaq_s32(s04, a0, b);
    s14 = vusmmlaq_s32(s14, a1, b);
    b = vld1q_s8(w5 + 2 * k);
    s05 = vusmmlaq_s32(s05, a0, b);
    s15 = vusmmlaq_s32(s15, a1, b);
    b = vld1q_s8(w6 + 2 * k);
    s06 = vusmmlaq_s32(s06, a0, b);
    s16 = vusmmlaq_s32(s16, a1, b);
    b = vld1q_s8(w7 + 2 * k);
    s07 = vusmmlaq_s32(s07, a0, b);
    s17 = vusmmlaq_s32(s17, a1, b);
    vst1q_s32(acc, vcombine_s32(vget_low_s32(s00), vget_low_s32(s01)));
    vst1q_s32(acc + 4, vcombine_s32(vget_low_s32(s02), vget_low_s32(s03)));
    vst1q_s32(acc + 8, vcombine_s32(vget_low_s32(s04), vget_low_s32(s05)));
    vst1q_s32(acc + 12, vcombine_s32(vget_low_s32(s06), vget_low_s32(s07)));
    vst1q_s32(acc + 32, vcombine_s32(vget_high_s32(s00), vget_high_s32(s01)));
    vst1q_s32(acc + 36, vcombine_s32(vget_high_s32(s02), vget_high_s32(s03)));
    vst1q_s32(acc + 40, vcombine_s32(vget_high_s32(s04), vget_high_s32(s05)));
    vst1q_s32(acc + 44, vcombine_s32(vget_high_s32(s06), vget_high_s32(s07)));
    vst1q_s32(acc + 64, vcombine_s32(vget_low_s32(s10), vget_low_s32(s11)));
    vst1q_s32(acc + 68, vcombine_s32(vget_low_s32(s12), vget_low_s32(s13)));
    vst1q_s32(acc + 72, vcombine_s32(vget_low_s32(s14), vget_low_s32(s15)));
    vst1q_s32(acc + 76, vcombine_s32(vget_low_s32(s16), vget_low_s32(s17)));
    vst1q_s32(acc + 96, vcombine_s32(vget_high_s32(s10), vget_high_s32(s11)));
    vst1q_s32(acc + 100, vcombine_s32(vget_high_s32(s12), vget_high_s32(s13)));
    vst1q_s32(acc + 104, vcombine_s32(vget_high_s32(s14), vget_high_s32(s15)));
    vst1q_s32(acc + 108, vcombine_s32(vget_high_s32(s16), vget_high_s32(s17)));
#else
    for (size_t r = 0; r < 4; r++) {
        for (size_t c = 0; c < width && c < 16; c++) {
            const int8_t *v = w + c / 2 * 80 + c % 2 * 8;
            int32_t s = 0;

            for (size_t k = 0; k < 37; k++) {
                s += x[r * 37 + k] * v[k / 8 * 16 + k % 8];
            }
            acc[r * 32 + c] = s;
        }
    }
#endif
}

/* A tile of `left` x `width` sums: blocks of 4 rows while there are as many, else row by row. */
static void tile4x32_ik37(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    for (size_t j = 0; j < width; j += 16) {
        if (left == 4) {
            dot4x16_ik37(width - j, x, w + j * 40, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x16_ik37(width - j, x + r * 37, w + j * 40, acc + r * 32 + j);
        }
    }
}

#if defined(__ARM_NEON) && defined(__aarch64__)
/* out[j] = clip((acc[j] + bias[j]) / divisor[j], lo, hi) for 16 columns or more. */
static void linear_37x21_vs_columns(size_t width, const int32_t *acc, const int32_t *bias,
    const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi, uint8_t *out)
{
    const int64x2_t down = vdupq_n_s64(-shift);

    for (size_t from = 0; from < width; from += 16) {
        /* The last 16 columns may be some of the ones before again. */
        const size_t j = width - from < 16 ? width - 16 : from;

        const int32x4_t sum0 = vaddq_s32(vld1q_s32(acc + j), vld1q_s32(bias + j));
        const uint32x4_t v0 = vreinterpretq_u32_s32(vmaxq_s32(sum0, vdupq_n_s32(0)));
        const uint32x4_t m0 = vld1q_u32(mul + j);
        const uint64x2_t low0 = vmull_u32(vget_low_u32(v0), vget_low_u32(m0));
        const uint64x2_t high0 = vmull_high_u32(v0, m0);
        const uint32x4_t t0 = vuzp1q_u32(vreinterpretq_u32_u64(vshlq_u64(low0, down)),
            vreinterpretq_u32_u64(vshlq_u64(high0, down)));

        const int32x4_t sum1 = vaddq_s32(vld1q_s32(acc + j + 4), vld1q_s32(bias + j + 4));
        const uint32x4_t v1 = vreinterpretq_u32_s32(vmaxq_s32(sum1, vdupq_n_s32(0)));
        const uint32x4_t m1 = vld1q_u32(mul + j + 4);
        const uint64x2_t low1 = vmull_u32(vget_low_u32(v1), vget_low_u32(m1));
        const uint64x2_t high1 = vmull_high_u32(v1, m1);
        const uint32x4_t t1 = vuzp1q_u32(vreinterpretq_u32_u64(vshlq_u64(low1, down)),
            vreinterpretq_u32_u64(vshlq_u64(high1, down)));

        const int32x4_t sum2 = vaddq_s32(vld1q_s32(acc + j + 8), vld1q_s32(bias + j + 8));
        const uint32x4_t v2 = vreinterpretq_u32_s32(vmaxq_s32(sum2, vdupq_n_s32(0)));
        const uint32x4_t m2 = vld1q_u32(mul + j + 8);
        const uint64x2_t low2 = vmull_u32(vget_low_u32(v2), vget_low_u32(m2));
        const uint64x2_t high2 = vmull_high_u32(v2, m2);
        const uint32x4_t t2 = vuzp1q_u32(vreinterpretq_u32_u64(vshlq_u64(low2, down)),
            vreinterpretq_u32_u64(vshlq_u64(high2, down)));

        const int32x4_t sum3 = vaddq_s32(vld1q_s32(acc + j + 12), vld1q_s32(bias + j + 12));
        const uint32x4_t v3 = vreinterpretq_u32_s32(vmaxq_s32(sum3, vdupq_n_s32(0)));
        const uint32x4_t m3 = vld1q_u32(mul + j + 12);
        const uint64x2_t low3 = vmull_u32(vget_low_u32(v3), vget_low_u32(m3));
        const uint64x2_t high3 = vmull_high_u32(v3, m3);
        const uint32x4_t t3 = vuzp1q_u32(vreinterpretq_u32_u64(vshlq_u64(low3, down)),
            vreinterpretq_u32_u64(vshlq_u64(high3, down)));

        const uint16x8_t h0 = vqmovn_high_u32(vqmovn_u32(t0), t1);
        const uint16x8_t h1 = vqmovn_high_u32(vqmovn_u32(t2), t3);
        const uint8x16_t all = vqmovn_high_u16(vqmovn_u16(h0), h1);
        const uint8x16_t most = vdupq_n_u8((uint8_t)hi), least = vdupq_n_u8((uint8_t)lo);

        vst1q_u8(out + j, vminq_u8(vmaxq_u8(all, least), most));
    }
}
#endif

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

            tile4x32_ik37(left, width, x + m * 37, w + n * 40, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 21 + n;

#if defined(__ARM_NEON) && defined(__aarch64__)
                const size_t done = width < 16 ? 0 : width;

                if (done != 0) {
                    linear_37x21_vs_columns(done, acc + r * 32, bias + n, mul + n, shift, lo, hi,
                        out);
                }
#else
                const size_t done = 0;
#endif

                for (size_t j = done; j < width; j++) {
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
