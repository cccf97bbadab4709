/* y[i] = x[i] / (1 + e^-x[i]), the product in 64 bits. */
static void silu_values(size_t count, const int32_t *restrict x, uint32_t mul, int shift,
    int32_t *restrict y)
{
    size_t i = 0;

#ifdef VECTOR
    const vector factor = vector_all((int32_t)mul), third = vector_hidden(-45420),
        guess = vector_hidden(30840);

    for (; shift >= 32 && i + VECTOR_SIDE * VECTOR <= count; i += VECTOR_SIDE * VECTOR) {
        vector_silu(x + i, factor, shift, third, guess, y + i);
    }
#endif
    for (; i < count; i++) {
        const int64_t product = (int64_t)x[i] * gate(x[i], mul, shift);

        y[i] = (int32_t)asr64(product + 16384, 15);
    }
}
