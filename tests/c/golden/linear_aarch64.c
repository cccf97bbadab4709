#if defined(__ARM_FEATURE_DOTPROD) && defined(__aarch64__)
/* The `count` < 16 bytes that a row ends with, minus 128; what is past them meets weights of zero.
   */
static inline int8x16_t dotprod_rest(const uint8_t *x, size_t count)
{
    uint8_t rest[16] = {0};

    for (size_t i = 0; i < count; i++) {
        rest[i] = x[i];
    }
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(rest), vdupq_n_u8(128)));
}
#endif

/* acc[r][c] = (x[r] - 128) . w[c]: a block of 1 x 16 sums. Every 16 bytes of weights are 4 columns
   of 4 k. Columns past `width` repeat the first ones and are not used. */
static void dot1x16_dk37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
#if defined(__ARM_FEATURE_DOTPROD) && defined(__aarch64__)
    const uint8x16_t flip = vdupq_n_u8(128);
    const int8_t *w0 = w;
    const int8_t *w1 = width > 4 ? w + 160 : w;
    const int8_t *w2 = width > 8 ? w + 320 : w;
    const int8_t *w3 = width > 12 ? w + 480 : w;
    int8x16_t b0, b1, b2, b3;
    int8x16_t a0;
    int32x4_t s00 = vdupq_n_s32(0), s01 = vdupq_n_s32(0), s02 = vdupq_n_s32(0),
        s03 = vdupq_n_s32(0);

    for (size_t k = 0; k < 32; k += 16) {
        a0 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x + k), flip));
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 0);
        s01 = vdotq_laneq_s32(s01, b1, a0, 0);
        s02 = vdotq_laneq_s32(s02, b2, a0, 0);
        s03 = vdotq_laneq_s32(s03, b3, a0, 0);
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 1);
        s01 = vdotq_laneq_s32(s01, b1, a0, 1);
        s02 = vdotq_laneq_s32(s02, b2, a0, 1);
        s03 = vdotq_laneq_s32(s03, b3, a0, 1);
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 2);
        s01 = vdotq_laneq_s32(s01, b1, a0, 2);
        s02 = vdotq_laneq_s32(s02, b2, a0, 2);
        s03 = vdotq_laneq_s32(s03, b3, a0, 2);
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 3);
        s01 = vdotq_laneq_s32(s01, b1, a0, 3);
        s02 = vdotq_laneq_s32(s02, b2, a0, 3);
        s03 = vdotq_laneq_s32(s03, b3, a0, 3);
    }
    a0 = dotprod_rest(x + 32, 5);
    b0 = vld1q_s8(w0);
    w0 += 16;
    b1 = vld1q_s8(w1);
    w1 += 16;
    b2 = vld1q_s8(w2);
    w2 += 16;
    b3 = vld1q_s8(w3);
    w3 += 16;
    s00 = vdotq_laneq_s32(s00, b0, a0, 0);
    s01 = vdotq_laneq_s32(s01, b1, a0, 0);
    s02 = vdotq_laneq_s32(s02, b2, a0, 0);
    s03 = vdotq_laneq_s32(s03, b3, a0, 0);
    b0 = vld1q_s8(w0);
    w0 += 16;
    b1 = vld1q_s8(w1);
    w1 += 16;
    b2 = vld1q_s8(w2);
    w2 += 16;
    b3 = vld1q_s8(w3);
    w3 += 16;
    s00 = vdotq_laneq_s32(s00, b0, a0, 1);
    s01 = vdotq_laneq_s32(s01, b1, a0, 1);
    s02 = vdotq_laneq_s32(s02, b2, a0, 1);
    s03 = vdotq_laneq_s32(s03, b3, a0, 1);
    vst1q_s32(acc + 0, s00);
    vst1q_s32(acc + 4, s01);
    vst1q_s32(acc + 8, s02);
    vst1q_s32(acc + 12, s03);
#else
    for (size_t r = 0; r < 1; r++) {
        for (size_t c = 0; c < width && c < 16; c++) {
            const int8_t *v = w + c / 4 * 160 + c % 4 * 4;
            int32_t s = 0;

            for (size_t k = 0; k < 37; k++) {
                s += (x[r * 37 + k] - 128) * v[k / 4 * 16 + k % 4];
            }
            acc[r * 32 + c] = s;
        }
    }
#endif
}

/* acc[r][c] = (x[r] - 128) . w[c]: a block of 4 x 16 sums. Every 16 bytes of weights are 4 columns
   of 4 k. Columns past `width` repeat the first ones and are not used. */
static void dot4x16_dk37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
#if defined(__ARM_FEATURE_DOTPROD) && defined(__aarch64__)
    const uint8x16_t flip = vdupq_n_u8(128);
    const int8_t *w0 = w;
    const int8_t *w1 = width > 4 ? w + 160 : w;
    const int8_t *w2 = width > 8 ? w + 320 : w;
    const int8_t *w3 = width > 12 ? w + 480 : w;
    int8x16_t b0, b1, b2, b3;
    int8x16_t a0;
    int32x4_t s00 = vdupq_n_s32(0), s01 = vdupq_n_s32(0), s02 = vdupq_n_s32(0),
        s03 = vdupq_n_s32(0);
    int8x16_t a1;
    int32x4_t s10 = vdupq_n_s32(0), s11 = vdupq_n_s32(0), s12 = vdupq_n_s32(0),
        s13 = vdupq_n_s32(0);
    int8x16_t a2;
    int32x4_t s20 = vdupq_n_s32(0), s21 = vdupq_n_s32(0), s22 = vdupq_n_s32(0),
        s23 = vdupq_n_s32(0);
    int8x16_t a3;
    int32x4_t s30 = vdupq_n_s32(0), s31 = vdupq_n_s32(0), s32 = vdupq_n_s32(0),
        s33 = vdupq_n_s32(0);

    for (size_t k = 0; k < 32; k += 16) {
        a0 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x + k), flip));
        a1 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x + 37 + k), flip));
        a2 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x + 74 + k), flip));
        a3 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x + 111 + k), flip));
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 0);
        s01 = vdotq_laneq_s32(s01, b1, a0, 0);
        s02 = vdotq_laneq_s32(s02, b2, a0, 0);
        s03 = vdotq_laneq_s32(s03, b3, a0, 0);
        s10 = vdotq_laneq_s32(s10, b0, a1, 0);
        s11 = vdotq_laneq_s32(s11, b1, a1, 0);
        s12 = vdotq_laneq_s32(s12, b2, a1, 0);
        s13 = vdotq_laneq_s32(s13, b3, a1, 0);
        s20 = vdotq_laneq_s32(s20, b0, a2, 0);
        s21 = vdotq_laneq_s32(s21, b1, a2, 0);
        s22 = vdotq_laneq_s32(s22, b2, a2, 0);
        s23 = vdotq_laneq_s32(s23, b3, a2, 0);
        s30 = vdotq_laneq_s32(s30, b0, a3, 0);
        s31 = vdotq_laneq_s32(s31, b1, a3, 0);
        s32 = vdotq_laneq_s32(s32, b2, a3, 0);
        s33 = vdotq_laneq_s32(s33, b3, a3, 0);
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 1);
        s01 = vdotq_laneq_s32(s01, b1, a0, 1);
        s02 = vdotq_laneq_s32(s02, b2, a0, 1);
        s03 = vdotq_laneq_s32(s03, b3, a0, 1);
        s10 = vdotq_laneq_s32(s10, b0, a1, 1);
        s11 = vdotq_laneq_s32(s11, b1, a1, 1);
        s12 = vdotq_laneq_s32(s12, b2, a1, 1);
        s13 = vdotq_laneq_s32(s13, b3, a1, 1);
        s20 = vdotq_laneq_s32(s20, b0, a2, 1);
        s21 = vdotq_laneq_s32(s21, b1, a2, 1);
        s22 = vdotq_laneq_s32(s22, b2, a2, 1);
        s23 = vdotq_laneq_s32(s23, b3, a2, 1);
        s30 = vdotq_laneq_s32(s30, b0, a3, 1);
        s31 = vdotq_laneq_s32(s31, b1, a3, 1);
        s32 = vdotq_laneq_s32(s32, b2, a3, 1);
        s33 = vdotq_laneq_s32(s33, b3, a3, 1);
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 2);
        s01 = vdotq_laneq_s32(s01, b1, a0, 2);
        s02 = vdotq_laneq_s32(s02, b2, a0, 2);
        s03 = vdotq_laneq_s32(s03, b3, a0, 2);
        s10 = vdotq_laneq_s32(s10, b0, a1, 2);
        s11 = vdotq_laneq_s32(s11, b1, a1, 2);
        s12 = vdotq_laneq_s32(s12, b2, a1, 2);
        s13 = vdotq_laneq_s32(s13, b3, a1, 2);
        s20 = vdotq_laneq_s32(s20, b0, a2, 2);
        s21 = vdotq_laneq_s32(s21, b1, a2, 2);
        s22 = vdotq_laneq_s32(s22, b2, a2, 2);
        s23 = vdotq_laneq_s32(s23, b3, a2, 2);
        s30 = vdotq_laneq_s32(s30, b0, a3, 2);
        s31 = vdotq_laneq_s32(s31, b1, a3, 2);
        s32 = vdotq_laneq_s32(s32, b2, a3, 2);
        s33 = vdotq_laneq_s32(s33, b3, a3, 2);
        b0 = vld1q_s8(w0);
        w0 += 16;
        b1 = vld1q_s8(w1);
        w1 += 16;
        b2 = vld1q_s8(w2);
        w2 += 16;
        b3 = vld1q_s8(w3);
        w3 += 16;
        s00 = vdotq_laneq_s32(s00, b0, a0, 3);
        s01 = vdotq_laneq_s32(s01, b1, a0, 3);
        s02 = vdotq_laneq_s32(s02, b2, a0, 3);
        s03 = vdotq_laneq_s32(s03, b3, a0, 3);
        s10 = vdotq_laneq_s32(s10, b0, a1, 3);
        s11 = vdotq_laneq_s32(s11, b1, a1, 3);
        s12 = vdotq_laneq_s32(s12, b2, a1, 3);
        s13 = vdotq_laneq_s32(s13, b3, a1, 3);
        s20 = vdotq_laneq_s32(s20, b0, a2, 3);
        s21 = vdotq_laneq_s32(s21, b1, a2, 3);
        s22 = vdotq_laneq_s32(s22, b2, a2, 3);
        s23 = vdotq_laneq_s32(s23, b3, a2, 3);
        s30 = vdotq_laneq_s32(s30, b0, a3, 3);
        s31 = vdotq_laneq_s32(s31, b1, a3, 3);
        s32 = vdotq_laneq_s32(s32, b2, a3, 3);
        s33 = vdotq_laneq_s32(s33, b3, a3, 3);
    }
    a0 = dotprod_rest(x + 32, 5);
    a1 = dotprod_rest(x + 69, 5);
    a2 = dotprod_rest(x + 106, 5);
    a3 = dotprod_rest(x + 143, 5);
    b0 = vld1q_s8(w0);
    w0 += 16;
    b1 = vld1q_s8(w1);
    w1 += 16;
    b2 = vld1q_s8(w2);
    w2 += 16;
    b3 = vld1q_s8(w3);
    w3 += 16;
    s00 = vdotq_laneq_s32(s00, b0, a0, 0);
    s01 = vdotq_laneq_s32(s01, b1, a0, 0);
    s02 = vdotq_laneq_s32(s02, b2, a0, 0);
    s03 = vdotq_laneq_s32(s03, b3, a0, 0);
    s10 = vdotq_laneq_s32(s10, b0, a1, 0);
    s11 = vdotq_laneq_s32(s11, b1, a1, 0);
    s12 = vdotq_laneq_s32(s12, b2, a1, 0);
    s13 = vdotq_laneq_s32(s13, b3, a1, 0);
    s20 = vdotq_laneq_s32(s20, b0, a2, 0);
    s21 = vdotq_laneq_s32(s21, b1, a2, 0);
    s22 = vdotq_laneq_s32(s22, b2, a2, 0);
    s23 = vdotq_laneq_s32(s23, b3, a2, 0);
    s30 = vdotq_laneq_s32(s30, b0, a3, 0);
    s31 = vdotq_laneq_s32(s31, b1, a3, 0);
    s32 = vdotq_laneq_s32(s32, b2, a3, 0);
    s33 = vdotq_laneq_s32(s33, b3, a3, 0);
    b0 = vld1q_s8(w0);
    w0 += 16;
    b1 = vld1q_s8(w1);
    w1 += 16;
    b2 = vld1q_s8(w2);
    w2 += 16;
    b3 = vld1q_s8(w3);
    w3 += 16;
    s00 = vdotq_laneq_s32(s00, b0, a0, 1);
    s01 = vdotq_laneq_s32(s01, b1, a0, 1);
    s02 = vdotq_laneq_s32(s02, b2, a0, 1);
    s03 = vdotq_laneq_s32(s03, b3, a0, 1);
    s10 = vdotq_laneq_s32(s10, b0, a1, 1);
    s11 = vdotq_laneq_s32(s11, b1, a1, 1);
    s12 = vdotq_laneq_s32(s12, b2, a1, 1);
    s13 = vdotq_laneq_s32(s13, b3, a1, 1);
    s20 = vdotq_laneq_s32(s20, b0, a2, 1);
    s21 = vdotq_laneq_s32(s21, b1, a2, 1);
    s22 = vdotq_laneq_s32(s22, b2, a2, 1);
    s23 = vdotq_laneq_s32(s23, b3, a2, 1);
    s30 = vdotq_laneq_s32(s30, b0, a3, 1);
    s31 = vdotq_laneq_s32(s31, b1, a3, 1);
    s32 = vdotq_laneq_s32(s32, b2, a3, 1);
    s33 = vdotq_laneq_s32(s33, b3, a3, 1);
    vst1q_s32(acc + 0, s00);
    vst1q_s32(acc + 4, s01);
    vst1q_s32(acc + 8, s02);
    vst1q_s32(acc + 12, s03);
    vst1q_s32(acc + 32, s10);
    vst1q_s32(acc + 36, s11);
    vst1q_s32(acc + 40, s12);
    vst1q_s32(acc + 44, s13);
    vst1q_s32(acc + 64, s20);
    vst1q_s32(acc + 68, s21);
    vst1q_s32(acc + 72, s22);
    vst1q_s32(acc + 76, s23);
    vst1q_s32(acc + 96, s30);
    vst1q_s32(acc + 100, s31);
    vst1q_s32(acc + 104, s32);
    vst1q_s32(acc + 108, s33);
#else
    for (size_t r = 0; r < 4; r++) {
        for (size_t c = 0; c < width && c < 16; c++) {
            const int8_t *v = w + c / 4 * 160 + c % 4 * 4;
            int32_t s = 0;

            for (size_t k = 0; k < 37; k++) {
                s += (x[r * 37 + k] - 128) * v[k / 4 * 16 + k % 4];
            }
            acc[r * 32 + c] = s;
        }
    }
#endif
}

/* A tile of `left` x `width` sums: blocks of 4 rows while there are as many, else row by row. */
static void tile4x32_dk37(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    for (size_t j = 0; j < width; j += 16) {
        if (left == 4) {
            dot4x16_dk37(width - j, x, w + j * 40, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x16_dk37(width - j, x + r * 37, w + j * 40, acc + r * 32 + j);
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

            tile4x32_dk37(left, width, x + m * 37, w + n * 40, acc);
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
