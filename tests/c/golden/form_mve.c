#if defined(__ARM_FEATURE_MVE)
/* Two rows and 2 columns of sums, which begin at `start`. The loop hides bytes past the last one.
   */
static void dot2x2_mk65(const uint8_t *x0, const uint8_t *x1, const int8_t *w,
    const uint32_t *start, int32_t *acc)
{
    const uint8_t *w0 = (const uint8_t *)w, *w1 = w0 + 65;
    uint32_t s00 = start[0], s01 = start[0];
    uint32_t s10 = start[1], s11 = start[1];

    __asm__ volatile("dlstp.8 lr, %[k]\n"
        "1:\n"
        "vldrb.u8 q0, [%[x0]], #16\n"
        "vldrb.u8 q1, [%[x1]], #16\n"
        "vldrb.u8 q2, [%[w0]], #16\n"
        "vldrb.u8 q3, [%[w1]], #16\n"
        "vmladava.u8 %[s00], q0, q2\n"
        "vmladava.u8 %[s01], q0, q3\n"
        "vmladava.u8 %[s10], q1, q2\n"
        "vmladava.u8 %[s11], q1, q3\n"
        "letp lr, 1b\n"
        : [x0] "+r"(x0), [x1] "+r"(x1), [w0] "+r"(w0), [w1] "+r"(w1),
          [s00] "+Te"(s00),
          [s01] "+Te"(s01),
          [s10] "+Te"(s10),
          [s11] "+Te"(s11)
        : [k] "r"(65)
        : "q0", "q1", "q2", "q3", "lr", "memory");
    acc[0] = (int32_t)s00;
    acc[1] = (int32_t)s01;
    acc[64] = (int32_t)s10;
    acc[65] = (int32_t)s11;
}

/* One row and 2 columns of sums. */
static void dot1x2_mk65(const uint8_t *x0, const int8_t *w, const uint32_t *start, int32_t *acc)
{
    const uint8_t *w0 = (const uint8_t *)w, *w1 = w0 + 65;
    uint32_t s00 = start[0], s01 = start[0];

    __asm__ volatile("dlstp.8 lr, %[k]\n"
        "1:\n"
        "vldrb.u8 q0, [%[x0]], #16\n"
        "vldrb.u8 q1, [%[w0]], #16\n"
        "vldrb.u8 q2, [%[w1]], #16\n"
        "vmladava.u8 %[s00], q0, q1\n"
        "vmladava.u8 %[s01], q0, q2\n"
        "letp lr, 1b\n"
        : [x0] "+r"(x0), [w0] "+r"(w0), [w1] "+r"(w1),
          [s00] "+Te"(s00),
          [s01] "+Te"(s01)
        : [k] "r"(65)
        : "q0", "q1", "q2", "lr", "memory");
    acc[0] = (int32_t)s00;
    acc[1] = (int32_t)s01;
}
#endif

/* A 2 x 64 tile of sums. The weights are w + 128, so that both factors are unsigned; 128 times the
   sum of a row is subtracted first. The weights are padded to whole blocks. */
static void tile2x64_mk65(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    uint32_t start[2];

    for (size_t r = 0; r < left; r++) {
        uint32_t sum = 0;

#if defined(__ARM_FEATURE_MVE)
        for (size_t k = 0; k < 65; k += 16) {
            sum = vaddvaq_u8(sum, vldrbq_z_u8(x + r * 65 + k, vctp8q(65 - k)));
        }
#else
        for (size_t k = 0; k < 65; k++) {
            sum += x[r * 65 + k];
        }
#endif
        start[r] = 0u - 128 * sum;
    }
    for (size_t j = 0; j < width; j += 2) {
#if defined(__ARM_FEATURE_MVE)
        if (left == 1) {
            dot1x2_mk65(x, w + j * 65, start, acc + j);
        } else {
            dot2x2_mk65(x, x + 65, w + j * 65, start, acc + j);
        }
#else
        for (size_t r = 0; r < left; r++) {
            for (size_t c = j; c < j + 2; c++) {
                uint32_t sum = start[r];

                for (size_t k = 0; k < 65; k++) {
                    sum += x[r * 65 + k] * (uint32_t)(uint8_t)w[c * 65 + k];
                }
                acc[r * 64 + c] = (int32_t)sum;
            }
        }
#endif
    }
}

/* a * b >> 32. */
static inline uint32_t high_word(uint32_t a, uint32_t b)
{
#if defined(__thumb__) && !defined(__thumb2__)
    /* No product of 64 bits: four of 16-bit halves. */
    const uint32_t low = (a & 0xffffu) * (b & 0xffffu), left = (a >> 16) * (b & 0xffffu);
    const uint32_t right = (a & 0xffffu) * (b >> 16), high = (a >> 16) * (b >> 16);
    const uint32_t middle = left + (low >> 16);

    return high + (middle >> 16) + (((middle & 0xffffu) + right) >> 16);
#elif defined(__thumb2__)
    /* Written out, as compilers widen what they know to be positive by its sign, which costs two
       instructions. */
    uint32_t low, high;

    __asm__("umull %0, %1, %2, %3" : "=r"(low), "=r"(high) : "r"(a), "r"(b));
    return high;
#else
    return (uint32_t)((uint64_t)a * b >> 32);
#endif
}

#if defined(__ARM_FEATURE_MVE)
/* out[j] = clip((acc[j] + bias[j]) / divisor[j], lo, hi). */
static void linear_65x12_vsh0_columns(size_t width, const int32_t *acc, const int32_t *bias,
    const uint32_t *restrict mul, int32_t lo, int32_t hi, uint8_t *out)
{
    const int32x4_t zero = vdupq_n_s32(0);
    const uint32x4_t least = vdupq_n_u32((uint32_t)lo), most = vdupq_n_u32((uint32_t)hi);

    /* The loop hides columns past the last one. A shift is to the left, by 32 or more gives zero.
       */
    __asm__ volatile("dlstp.32 lr, %[width]\n"
        "1:\n"
        "vldrw.u32 q0, [%[acc]], #16\n vldrw.u32 q1, [%[bias]], #16\n vadd.i32 q0, q0, q1\n"
        "vmax.s32 q0, q0, %q[zero]\n"
        "vldrw.u32 q1, [%[mul]], #16\n"
        "vmulh.u32 q0, q0, q1\n"
        "vmax.u32 q0, q0, %q[least]\n vmin.u32 q0, q0, %q[most]\n vstrb.32 q0, [%[out]], #4\n"
        "letp lr, 1b\n"
        : [acc] "+r"(acc), [bias] "+r"(bias), [out] "+l"(out), [mul] "+r"(mul)
        : [width] "r"(width), [zero] "w"(zero), [least] "w"(least), [most] "w"(most)
        : "q0", "q1", "lr", "memory");
}
#endif

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_65x12_vsh0(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, const uint32_t *restrict mul, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 12; n += 64) {
        const size_t width = 12 - n < 64 ? 12 - n : 64;

        for (size_t m = 0; m < rows; m += 2) {
            const size_t left = rows - m < 2 ? rows - m : 2;
            int32_t acc[128];

            tile2x64_mk65(left, width, x + m * 65, w + n * 65, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 12 + n;

#if defined(__ARM_FEATURE_MVE)
                const size_t done = width;

                if (done != 0) {
                    linear_65x12_vsh0_columns(done, acc + r * 64, bias + n, mul + n, lo, hi, out);
                }
#else
                const size_t done = 0;
#endif

                for (size_t j = done; j < width; j++) {
                    int32_t t = acc[r * 64 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)high_word((uint32_t)t, mul[n + j]);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = (uint8_t)t;
                }
            }
        }
    }
}
