/* Four bytes from the lowest on; compilers emit one load. */
static inline uint32_t word_at(const void *bytes)
{
    const uint8_t *b = bytes;

    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Bytes 0 and 2, sign-extended to 16 bits each. */
static inline uint32_t signed_even(uint32_t v)
{
#if defined(__ARM_FEATURE_SIMD32)
    return (uint32_t)__sxtb16((int32_t)v);
#else
    return (uint16_t)(int8_t)v | (uint32_t)(int8_t)(v >> 16) << 16;
#endif
}

/* Bytes 1 and 3, sign-extended to 16 bits each. */
static inline uint32_t signed_odd(uint32_t v)
{
#if defined(__ARM_FEATURE_SIMD32)
    /* Written out, as compilers turn the bytes in an instruction of its own. */
    uint32_t odd;

    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(v));
    return odd;
#else
    return signed_even(v >> 8);
#endif
}

/* s + both products of 16-bit numbers. */
static inline int32_t dot2(uint32_t a, uint32_t b, int32_t s)
{
#if defined(__ARM_FEATURE_SIMD32)
    return __smlad((int32_t)a, (int32_t)b, s);
#else
    return s + (int16_t)a * (int16_t)b + (int16_t)(a >> 16) * (int16_t)(b >> 16);
#endif
}

/* y[8 * i + 4 * odd] = the even and the odd bytes of word i of x, less 128, 16 bits each; what lies
   behind the last one meets weights of zero. */
static void widen_dot4x4_sk65(size_t count, size_t padded, const uint8_t *x, uint32_t *restrict y)
{
    for (size_t k = 0; k < padded; k += 4, y += 8) {
        uint32_t v = 0;

        if (k < count && count - k >= 4) {
            v = word_at(x + k);
        } else {
            for (size_t i = k; i < count; i++) {
                v |= (uint32_t)x[i] << 8 * (i - k);
            }
        }
        v ^= 0x80808080u;
        y[0] = signed_even(v);
        y[4] = signed_odd(v);
    }
}

/* A column of sums of the four rows in x, whose pairs of 16-bit numbers lie [pair][row]. */
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__OPTIMIZE__)
/* Inlined, it could leave too few registers to the assembler. */
__attribute__((noinline))
#endif
static void dot4x4_sk65(const uint32_t *x, const uint32_t *end, const int8_t *w, int32_t *acc,
    int more)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__OPTIMIZE__) && \
    !defined(__ARM_BIG_ENDIAN)
    uint32_t v, even;

    __asm__ volatile("1:\n"
        "ldr %[v], [%[w]], #4\n ldmia %[x]!, {r3, r4, r5, r6}\n sxtb16 %[even], %[v]\n"
        "smlad %[s0], r3, %[even], %[s0]\n smlad %[s1], r4, %[even], %[s1]\n"
        "smlad %[s2], r5, %[even], %[s2]\n smlad %[s3], r6, %[even], %[s3]\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n sxtb16 %[v], %[v], ror #8\n"
        "smlad %[s0], r3, %[v], %[s0]\n smlad %[s1], r4, %[v], %[s1]\n"
        "smlad %[s2], r5, %[v], %[s2]\n smlad %[s3], r6, %[v], %[s3]\n"
        "cmp %[x], %[end]\n bne 1b\n"
        : [x] "+r"(x), [w] "+r"(w), [v] "=&r"(v), [even] "=&r"(even), [s0] "+r"(s0),
          [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3)
        : [end] "r"(end)
        : "r3", "r4", "r5", "r6", "cc", "memory");
#else
    for (; x != end; x += 8, w += 4) {
        const uint32_t v = word_at(w), even = signed_even(v), odd = signed_odd(v);

        s0 = dot2(x[4], odd, dot2(x[0], even, s0));
        s1 = dot2(x[5], odd, dot2(x[1], even, s1));
        s2 = dot2(x[6], odd, dot2(x[2], even, s2));
        s3 = dot2(x[7], odd, dot2(x[3], even, s3));
    }
#endif
    acc[0] = s0 + (more ? acc[0] : 0);
    acc[32] = s1 + (more ? acc[32] : 0);
    acc[64] = s2 + (more ? acc[64] : 0);
    acc[96] = s3 + (more ? acc[96] : 0);
}

/* acc[c] = (x - 128) . w[c] for 4 columns and one row. */
static void dot1x4_sk65(const uint8_t *x, const int8_t *w, int32_t *acc)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

    for (size_t k = 0; k < 64; k += 4) {
        const uint32_t x4 = word_at(x + k) ^ 0x80808080u;
        const uint32_t x0 = signed_even(x4), x1 = signed_odd(x4);
        const uint32_t v0 = word_at(w + k);
        const uint32_t v1 = word_at(w + 68 + k);
        const uint32_t v2 = word_at(w + 136 + k);
        const uint32_t v3 = word_at(w + 204 + k);

        s0 = dot2(x1, signed_odd(v0), dot2(x0, signed_even(v0), s0));
        s1 = dot2(x1, signed_odd(v1), dot2(x0, signed_even(v1), s1));
        s2 = dot2(x1, signed_odd(v2), dot2(x0, signed_even(v2), s2));
        s3 = dot2(x1, signed_odd(v3), dot2(x0, signed_even(v3), s3));
    }
    for (size_t k = 64; k < 65; k++) {
        s0 += (x[k] - 128) * w[k];
        s1 += (x[k] - 128) * w[68 + k];
        s2 += (x[k] - 128) * w[136 + k];
        s3 += (x[k] - 128) * w[204 + k];
    }
    acc[0] = s0;
    acc[1] = s1;
    acc[2] = s2;
    acc[3] = s3;
}

/* A 4 x 32 tile of sums. Rows past `left` repeat the first one and are not used; the weights are
   padded to whole blocks. */
static void tile4x32_sk65(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    uint32_t words[128];

    if (left == 1) {
        for (size_t j = 0; j < width; j += 4) {
            dot1x4_sk65(x, w + j * 68, acc + j);
        }
        return;
    }
    for (size_t k = 0; k < 65; k += 64) {
        const size_t count = 65 - k < 64 ? 65 - k : 64;
        const size_t padded = (count + 3) / 4 * 4;

        for (size_t r = 0; r < 4; r++) {
            widen_dot4x4_sk65(count, padded, x + (r < left ? r * 65 : 0) + k, words + r);
        }
        for (size_t j = 0; j < width; j++) {
            dot4x4_sk65(words, words + 2 * padded, w + j * 68 + k, acc + j, k > 0);
        }
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

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_65x12_vsh0(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, const uint32_t *restrict mul, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 12; n += 32) {
        const size_t width = 12 - n < 32 ? 12 - n : 32;

        for (size_t m = 0; m < rows; m += 4) {
            const size_t left = rows - m < 4 ? rows - m : 4;
            int32_t acc[128];

            tile4x32_sk65(left, width, x + m * 65, w + n * 68, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 12 + n;

                for (size_t j = 0; j < width; j++) {
                    int32_t t = acc[r * 32 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)high_word((uint32_t)t, mul[n + j]);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = (uint8_t)t;
                }
            }
        }
    }
}
