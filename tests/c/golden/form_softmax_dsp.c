#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_IDIV) && defined(__OPTIMIZE__)
/* Inlined, these could leave too few registers to the assembler. */

/* The larger of `top` and of the `count` numbers in x, a multiple of 4, which are copied to y. */
__attribute__((noinline))
static int32_t softmax_18_12_0_top(size_t count, const int32_t *x, int32_t *y, int32_t top)
{
    const int32_t *end = x + count;

    __asm__ volatile("1:\n"
        "ldmia %[x]!, {r3, r4, r5, r6}\n stmia %[y]!, {r3, r4, r5, r6}\n"
        "cmp r3, %[top]\n it gt\n movgt %[top], r3\n"
        "cmp r4, %[top]\n it gt\n movgt %[top], r4\n"
        "cmp r5, %[top]\n it gt\n movgt %[top], r5\n"
        "cmp r6, %[top]\n it gt\n movgt %[top], r6\n"
        "cmp %[x], %[end]\n bne 1b\n"
        : [x] "+r"(x), [y] "+r"(y), [top] "+r"(top)
        : [end] "r"(end)
        : "r3", "r4", "r5", "r6", "cc", "memory");
    return top;
}

/* Replace `count` numbers, a multiple of 4, by their exponentials; return their sum. The exponent
   is d * mul / 2^20, as the upper word of a product, d = top - y at most 2^31 - 1 after a shift to
   the left. The carry holds the half that a shift to the right pushes out; it is clear at the start
   of each element, as neither sums nor the comparison of pointers set it. */
__attribute__((noinline))
static uint32_t softmax_18_12_0_exponentials(size_t count, int32_t top, uint32_t mul, int32_t *y)
{
    const int32_t *end = y + count;
    uint32_t sum = 0;
    int32_t x, f, h;

    __asm__ volatile("adds %[sum], %[sum], #0\n"
        "1:\n"
        "ldr %[x], [%[out]]\n"
        "sub %[x], %[top], %[x]\n"
        "usat %[x], #19, %[x]\n lsl %[x], %[x], #12\n"
        "smmulr %[x], %[x], %[mul]\n"
        "ubfx %[f], %[x], #0, #12\n usat %[x], #5, %[x], asr #12\n"
        "mla %[h], %[c0], %[f], %[c1]\n asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c2]\n"
        "asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c3]\n asr %[h], %[h], #12\n"
        "mla %[h], %[h], %[f], %[c4]\n usat %[h], #16, %[h], asr #12\n"
        "lsrs %[x], %[h], %[x]\n adc %[x], %[x], #0\n adds %[sum], %[sum], %[x]\n"
        "str %[x], [%[out]], #4\n"
        "ldr %[x], [%[out]]\n"
        "sub %[x], %[top], %[x]\n"
        "usat %[x], #19, %[x]\n lsl %[x], %[x], #12\n"
        "smmulr %[x], %[x], %[mul]\n"
        "ubfx %[f], %[x], #0, #12\n usat %[x], #5, %[x], asr #12\n"
        "mla %[h], %[c0], %[f], %[c1]\n asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c2]\n"
        "asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c3]\n asr %[h], %[h], #12\n"
        "mla %[h], %[h], %[f], %[c4]\n usat %[h], #16, %[h], asr #12\n"
        "lsrs %[x], %[h], %[x]\n adc %[x], %[x], #0\n adds %[sum], %[sum], %[x]\n"
        "str %[x], [%[out]], #4\n"
        "ldr %[x], [%[out]]\n"
        "sub %[x], %[top], %[x]\n"
        "usat %[x], #19, %[x]\n lsl %[x], %[x], #12\n"
        "smmulr %[x], %[x], %[mul]\n"
        "ubfx %[f], %[x], #0, #12\n usat %[x], #5, %[x], asr #12\n"
        "mla %[h], %[c0], %[f], %[c1]\n asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c2]\n"
        "asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c3]\n asr %[h], %[h], #12\n"
        "mla %[h], %[h], %[f], %[c4]\n usat %[h], #16, %[h], asr #12\n"
        "lsrs %[x], %[h], %[x]\n adc %[x], %[x], #0\n adds %[sum], %[sum], %[x]\n"
        "str %[x], [%[out]], #4\n"
        "ldr %[x], [%[out]]\n"
        "sub %[x], %[top], %[x]\n"
        "usat %[x], #19, %[x]\n lsl %[x], %[x], #12\n"
        "smmulr %[x], %[x], %[mul]\n"
        "ubfx %[f], %[x], #0, #12\n usat %[x], #5, %[x], asr #12\n"
        "mla %[h], %[c0], %[f], %[c1]\n asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c2]\n"
        "asr %[h], %[h], #12\n mla %[h], %[h], %[f], %[c3]\n asr %[h], %[h], #12\n"
        "mla %[h], %[h], %[f], %[c4]\n usat %[h], #16, %[h], asr #12\n"
        "lsrs %[x], %[h], %[x]\n adc %[x], %[x], #0\n adds %[sum], %[sum], %[x]\n"
        "str %[x], [%[out]], #4\n"
        "cmp %[out], %[end]\n bne 1b\n"
        : [out] "+r"(y), [sum] "+r"(sum), [x] "=&r"(x), [f] "=&r"(f), [h] "=&r"(h)
        : [end] "r"(end), [top] "r"(top), [mul] "r"(mul), [c0] "r"(449),
          [c1] "r"(2048 - (3489 << 12)), [c2] "r"(2048 + (15692 << 12)),
          [c3] "r"(2048 - (45420 << 12)), [c4] "r"(2048 + (65536 << 12))
        : "cc", "memory");
    return sum;
}

/* y = (y * 2^15 + half) / sum for `count` numbers, a multiple of 4. */
__attribute__((noinline))
static void softmax_18_12_0_divide(size_t count, uint32_t half, uint32_t sum, int32_t *y)
{
    const int32_t *end = y + count;

    __asm__ volatile("1:\n"
        "ldmia %[y], {r3, r4, r5, r6}\n"
        "add r3, %[half], r3, lsl #15\n udiv r3, r3, %[sum]\n"
        "add r4, %[half], r4, lsl #15\n udiv r4, r4, %[sum]\n"
        "add r5, %[half], r5, lsl #15\n udiv r5, r5, %[sum]\n"
        "add r6, %[half], r6, lsl #15\n udiv r6, r6, %[sum]\n"
        "stmia %[y]!, {r3, r4, r5, r6}\n cmp %[y], %[end]\n bne 1b\n"
        : [y] "+r"(y)
        : [end] "r"(end), [half] "r"(half), [sum] "r"(sum)
        : "r3", "r4", "r5", "r6", "cc", "memory");
}
#endif

/* y[r][j] = 2^15 * e^(x[r][j] - largest) / sum, rounded. */
static void softmax_18_12_0(size_t rows, size_t columns, const int32_t *restrict x, uint32_t mul,
    int shift, int32_t *restrict y)
{
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_IDIV) && defined(__OPTIMIZE__)
    const size_t done = columns / 4 * 4;
#else
    const size_t done = 0;
#endif

    for (size_t r = 0; r < rows; r++) {
        const int32_t *in = x + r * columns;
        int32_t *out = y + r * columns;
        int32_t top = in[0];
        uint32_t sum = 0;

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_IDIV) && defined(__OPTIMIZE__)
        if (done != 0) {
            top = softmax_18_12_0_top(done, in, out, top);
        }
#endif
        for (size_t j = done; j < columns; j++) {
            top = in[j] > top ? in[j] : top;
        }
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_IDIV) && defined(__OPTIMIZE__)
        if (done != 0) {
            sum = softmax_18_12_0_exponentials(done, top, mul << 18, out);
        }
#endif
        for (size_t j = done; j < columns; j++) {
            const uint32_t e = exponential(top - in[j], mul, shift);

            out[j] = (int32_t)e;
            sum += e;
        }
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_IDIV) && defined(__OPTIMIZE__)
        if (done != 0) {
            softmax_18_12_0_divide(done, sum / 2, sum, out);
        }
#endif
        for (size_t j = done; j < columns; j++) {
            out[j] = (int32_t)((((uint32_t)out[j] << 15) + sum / 2) / sum);
        }
    }
}
