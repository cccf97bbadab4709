/* y[1 * k] = x0[k] + ((x1[k]) << 16) for `count` elements, 1 or more, then zeros up to `padded`.
   Returns the sum of the words. */
static uint32_t row_words(size_t count, size_t padded, const uint8_t *x0, const uint8_t *x1,
    uint32_t *restrict y)
{
    uint32_t sum = 0;
    size_t k = 0;

    do {
        const uint32_t word = x0[k] | (uint32_t)x1[k] << 16;

        y[k] = word;
        sum += word;
    } while (++k < count);
    for (; k < padded; k++) {
        y[k] = 0;
    }
    return sum;
}

/* Two columns of sums of the two rows in x; the weights are w + 128, [k][2]. A product has two
   16-bit halves, as x <= 255 and w + 128 <= 255. s adds the products modulo 2^32 and h their upper
   halves, which tells the lower ones: s - (h << 16). */
#if defined(__ARM_ARCH_6M__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
/* Inlined, it could leave too few registers to the assembler. */
__attribute__((noinline))
#endif
static void dot2x2_hk65(size_t count, uint32_t *x, const int8_t *w, uint32_t sums, int32_t *acc,
    int more)
{
    const uint32_t *end = x + count;
    uint32_t s0 = 0, h0 = 0, s1 = 0, h1 = 0;

#if defined(__ARM_ARCH_6M__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
    uint32_t p;

    __asm__ volatile(".syntax unified\n"
        "1:\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n"
        "ldrb %[p], [%[w], #0]\n muls %[p], r3, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #1]\n muls %[p], r3, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldrb %[p], [%[w], #2]\n muls %[p], r4, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #3]\n muls %[p], r4, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldrb %[p], [%[w], #4]\n muls %[p], r5, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #5]\n muls %[p], r5, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldrb %[p], [%[w], #6]\n muls %[p], r6, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #7]\n muls %[p], r6, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n"
        "ldrb %[p], [%[w], #8]\n muls %[p], r3, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #9]\n muls %[p], r3, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldrb %[p], [%[w], #10]\n muls %[p], r4, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #11]\n muls %[p], r4, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldrb %[p], [%[w], #12]\n muls %[p], r5, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #13]\n muls %[p], r5, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "ldrb %[p], [%[w], #14]\n muls %[p], r6, %[p]\n"
        "add %[s0], %[p]\n lsrs %[p], %[p], #16\n add %[h0], %[p]\n"
        "ldrb %[p], [%[w], #15]\n muls %[p], r6, %[p]\n"
        "add %[s1], %[p]\n lsrs %[p], %[p], #16\n add %[h1], %[p]\n"
        "adds %[w], #16\n cmp %[x], %[end]\n bne 1b\n"
        : [x] "+l"(x), [w] "+l"(w), [p] "=&l"(p), [s0] "+h"(s0), [h0] "+h"(h0), [s1] "+h"(s1),
          [h1] "+h"(h1)
        : [end] "h"(end)
        : "r3", "r4", "r5", "r6", "cc", "memory");
#else
    for (; x != end; x++, w += 2) {
        const uint32_t p0 = x[0] * (uint8_t)w[0], p1 = x[0] * (uint8_t)w[1];

        s0 += p0;
        h0 += p0 >> 16;
        s1 += p1;
        h1 += p1 >> 16;
    }
#endif
    const uint32_t low = (sums & 0xffffu) << 7, high = sums >> 16 << 7;

    s0 = s0 - (h0 << 16) - low;
    s1 = s1 - (h1 << 16) - low;
    h0 -= high;
    h1 -= high;
    acc[0] = (int32_t)(s0 + (more ? (uint32_t)acc[0] : 0));
    acc[1] = (int32_t)(s1 + (more ? (uint32_t)acc[1] : 0));
    acc[32] = (int32_t)(h0 + (more ? (uint32_t)acc[32] : 0));
    acc[33] = (int32_t)(h1 + (more ? (uint32_t)acc[33] : 0));
}

/* acc[c] = x . w[c] for two columns and one row, whose elements have this sum. */
static void dot1x2_hk65(const uint8_t *x, const int8_t *w, int32_t sum, int32_t *acc)
{
    int32_t s0 = -128 * sum, s1 = s0;

    for (const uint8_t *end = x + 64; x != end; x += 4, w += 8) {
        s0 += x[0] * (uint8_t)w[0];
        s1 += x[0] * (uint8_t)w[1];
        s0 += x[1] * (uint8_t)w[2];
        s1 += x[1] * (uint8_t)w[3];
        s0 += x[2] * (uint8_t)w[4];
        s1 += x[2] * (uint8_t)w[5];
        s0 += x[3] * (uint8_t)w[6];
        s1 += x[3] * (uint8_t)w[7];
    }
    s0 += x[0] * (uint8_t)w[0];
    s1 += x[0] * (uint8_t)w[1];
    acc[0] = s0;
    acc[1] = s1;
}

/* A 2 x 32 tile of sums; the weights are padded to whole blocks. */
static void tile2x32_hk65(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    uint32_t words[128];

    if (left == 1) {
        int32_t sum = 0;

        for (size_t k = 0; k < 65; k++) {
            sum += x[k];
        }
        for (size_t j = 0; j < width; j += 2) {
            dot1x2_hk65(x, w + j * 72, sum, acc + j);
        }
        return;
    }
    for (size_t k = 0; k < 65; k += 128) {
        const size_t count = 65 - k < 128 ? 65 - k : 128;
        const size_t padded = (count + 7) / 8 * 8;
        const uint32_t sums = row_words(count, padded, x + k, x + 65 + k, words);

        for (size_t j = 0; j < width; j += 2) {
            dot2x2_hk65(padded, words, w + j * 72 + 2 * k, sums, acc + j, k > 0);
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

        for (size_t m = 0; m < rows; m += 2) {
            const size_t left = rows - m < 2 ? rows - m : 2;
            int32_t acc[64];

            tile2x32_hk65(left, width, x + m * 65, w + n * 72, acc);
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
