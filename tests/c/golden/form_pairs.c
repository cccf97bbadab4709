/* y[2 * k] = x0[k] - 128 + ((x1[k] - 128) << 16) for `count` elements, 1 or more, then zeros up to
   `padded`. Returns the sum of the words as they were before the subtraction. */
static uint32_t row_words(size_t count, size_t padded, const uint8_t *x0, const uint8_t *x1,
    uint32_t *restrict y)
{
    uint32_t sum = 0;
    size_t k = 0;

    do {
        const uint32_t word = x0[k] | (uint32_t)x1[k] << 16;

        y[2 * k] = word - 0x00800080u;
        sum += word;
    } while (++k < count);
    for (; k < padded; k++) {
        y[2 * k] = 0;
    }
    return sum;
}

/* A column of sums of the four rows in x: two words a k, with two rows in each. The sum of two
   products with x - 128 lies in [-32512, 32768], so both halves of a pair, moved up by 0x7f00, are
   unsigned 16-bit numbers. s adds the pairs modulo 2^32 and h their upper halves, which tells the
   lower ones: s - (h << 16). */
#if defined(__thumb2__) && defined(__OPTIMIZE__)
/* Inlined, it could leave too few registers to the assembler. */
__attribute__((noinline))
#endif
static void dot4x4_wk65(const uint32_t *x, const uint32_t *end, const int8_t *w, int32_t *acc,
    int more)
{
    const uint32_t up = 0x7f007f00u, ups = (uint32_t)(end - x) / 4 * 0x7f00u;
    uint32_t s0 = 0, h0 = 0, s1 = 0, h1 = 0;

#if defined(__thumb2__) && defined(__OPTIMIZE__)
    uint32_t v;

    __asm__ volatile("1:\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r3, %[v], %[up]\n mla r4, r4, %[v], %[up]\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r5, %[v], r3\n mla r4, r6, %[v], r4\n"
        "add %[s0], %[s0], r3\n add %[h0], %[h0], r3, lsr #16\n"
        "add %[s1], %[s1], r4\n add %[h1], %[h1], r4, lsr #16\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r3, %[v], %[up]\n mla r4, r4, %[v], %[up]\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r5, %[v], r3\n mla r4, r6, %[v], r4\n"
        "add %[s0], %[s0], r3\n add %[h0], %[h0], r3, lsr #16\n"
        "add %[s1], %[s1], r4\n add %[h1], %[h1], r4, lsr #16\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r3, %[v], %[up]\n mla r4, r4, %[v], %[up]\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r5, %[v], r3\n mla r4, r6, %[v], r4\n"
        "add %[s0], %[s0], r3\n add %[h0], %[h0], r3, lsr #16\n"
        "add %[s1], %[s1], r4\n add %[h1], %[h1], r4, lsr #16\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r3, %[v], %[up]\n mla r4, r4, %[v], %[up]\n ldrsb %[v], [%[w]], #1\n"
        "mla r3, r5, %[v], r3\n mla r4, r6, %[v], r4\n"
        "add %[s0], %[s0], r3\n add %[h0], %[h0], r3, lsr #16\n"
        "add %[s1], %[s1], r4\n add %[h1], %[h1], r4, lsr #16\n"
        "cmp %[x], %[end]\n bne 1b\n"
        : [x] "+r"(x), [w] "+r"(w), [v] "=&r"(v), [s0] "+r"(s0), [h0] "+r"(h0), [s1] "+r"(s1),
          [h1] "+r"(h1)
        : [end] "r"(end), [up] "r"(up)
        : "r3", "r4", "r5", "r6", "cc", "memory");
#else
    for (; x != end; x += 4, w += 2) {
        const uint32_t w0 = (uint32_t)w[0], w1 = (uint32_t)w[1];
        const uint32_t p0 = x[0] * w0 + x[2] * w1 + up, p1 = x[1] * w0 + x[3] * w1 + up;

        s0 += p0;
        h0 += p0 >> 16;
        s1 += p1;
        h1 += p1 >> 16;
    }
#endif
    s0 = s0 - (h0 << 16) - ups;
    s1 = s1 - (h1 << 16) - ups;
    h0 -= ups;
    h1 -= ups;
    acc[0] = (int32_t)(s0 + (more ? (uint32_t)acc[0] : 0));
    acc[32] = (int32_t)(h0 + (more ? (uint32_t)acc[32] : 0));
    acc[64] = (int32_t)(s1 + (more ? (uint32_t)acc[64] : 0));
    acc[96] = (int32_t)(h1 + (more ? (uint32_t)acc[96] : 0));
}

/* acc[c] = (x - 128) . w[c] for 4 columns and one row. */
static void dot1x4_wk65(const uint8_t *x, const int8_t *w, int32_t *acc)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

    for (const uint8_t *end = x + 64; x != end; x += 4, w += 4) {
        s0 += (x[0] - 128) * w[0];
        s1 += (x[0] - 128) * w[72];
        s2 += (x[0] - 128) * w[144];
        s3 += (x[0] - 128) * w[216];
        s0 += (x[1] - 128) * w[1];
        s1 += (x[1] - 128) * w[73];
        s2 += (x[1] - 128) * w[145];
        s3 += (x[1] - 128) * w[217];
        s0 += (x[2] - 128) * w[2];
        s1 += (x[2] - 128) * w[74];
        s2 += (x[2] - 128) * w[146];
        s3 += (x[2] - 128) * w[218];
        s0 += (x[3] - 128) * w[3];
        s1 += (x[3] - 128) * w[75];
        s2 += (x[3] - 128) * w[147];
        s3 += (x[3] - 128) * w[219];
    }
    s0 += (x[0] - 128) * w[0];
    s1 += (x[0] - 128) * w[72];
    s2 += (x[0] - 128) * w[144];
    s3 += (x[0] - 128) * w[216];
    acc[0] = s0;
    acc[1] = s1;
    acc[2] = s2;
    acc[3] = s3;
}

/* A 4 x 32 tile of sums. Rows past `left` repeat the first one and are not used; the weights are
   padded to whole blocks. */
static void tile4x32_wk65(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    const uint8_t *x2 = left > 2 ? x + 130 : x, *x3 = left > 3 ? x + 195 : x;
    uint32_t words[128];

    if (left == 1) {
        for (size_t j = 0; j < width; j += 4) {
            dot1x4_wk65(x, w + j * 72, acc + j);
        }
        return;
    }
    for (size_t k = 0; k < 65; k += 64) {
        const size_t count = 65 - k < 64 ? 65 - k : 64;
        const size_t padded = (count + 7) / 8 * 8;

        row_words(count, padded, x + k, x + 65 + k, words);
        row_words(count, padded, x2 + k, x3 + k, words + 1);
        for (size_t j = 0; j < width; j++) {
            dot4x4_wk65(words, words + 2 * padded, w + j * 72 + k, acc + j, k > 0);
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

            tile4x32_wk65(left, width, x + m * 65, w + n * 72, acc);
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
