/* y[r][j] = GELU of x[r][j]. */
static void gelu_c50_gelu_vhvvvvv(size_t rows, const uint8_t *restrict x,
    const uint8_t *restrict knee, const int16_t *restrict lift, const int32_t *restrict half,
    const uint32_t *restrict gelu_mul, const uint8_t *restrict gelu_shift,
    const uint8_t *restrict factor, const uint8_t *restrict zero, uint8_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 50; j++) {
            const int32_t t = x[r * 50 + j];

            y[r * 50 + j] = gelu_point(t, knee[j], lift[j], half[j], gelu_mul[j], gelu_shift[j],
                factor[j], zero[j]);
        }
    }
}

/* factor * relu(x) - delta(|x|) about the zero point `knee`; delta is a polynomial that vanishes at
   the knee and at the edges of [0, 2 knee]. */
static inline uint8_t gelu_point(int32_t x, int32_t knee, int32_t lift, int32_t half, uint32_t mul,
    int shift, int32_t factor, int32_t zero)
{
    const int32_t relu = x > knee ? x - knee : 0;
    const int32_t above = relu < knee ? knee - relu : 0;
    const int32_t b = x < above ? x : above;
    const int32_t a = knee - b;
    const uint32_t product = (uint32_t)((a * b) * (b * b + lift) + half);
    const int32_t delta = (int32_t)((uint64_t)product * mul >> shift);

    return (uint8_t)(factor * relu + zero - delta);
}
