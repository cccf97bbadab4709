/* y[i] = x[i] / (1 + e^-x[i]), the product in 64 bits. */
static void silu_values(size_t count, const int32_t *restrict x, uint32_t mul, int shift,
    int32_t *restrict y)
{
#ifdef VECTOR
    if (shift >= 32) {
        vector_silu(count, x, mul, shift, y);
        return;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        const int64_t product = (int64_t)x[i] * gate(x[i], mul, shift);

        y[i] = (int32_t)asr64(product + 16384, 15);
    }
}
