/* y[r][j] = GELU of x[r][j]. */
static void gelu_c50_gelu_vvvvv(size_t rows, const uint8_t *restrict x,
    const uint8_t *restrict knee, const int32_t *restrict half, const uint32_t *restrict gelu_mul,
    const uint8_t *restrict gelu_shift, const uint8_t *restrict offset, uint8_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 50; j++) {
            const int32_t t = x[r * 50 + j];

            y[r * 50 + j] = gelu_point(t, knee[j], half[j], gelu_mul[j], gelu_shift[j], offset[j]);
        }
    }
}

/* relu(x) - delta(|x|) about the zero point `knee`; delta is a cubic that vanishes with its first
   two derivatives at the edges of [0, 2 knee], where GELU meets ReLU. */
static inline uint8_t gelu_point(int32_t x, int32_t knee, int32_t half, uint32_t mul, int shift,
    int32_t offset)
{
    const int32_t away = x > knee ? x - knee : knee - x;
    const int32_t b = knee > away ? knee - away : 0;
    const int32_t a = knee - b;
    const uint32_t product = (uint32_t)((a * b) * (b * b) + half);
    const int32_t delta = (int32_t)((uint64_t)product * mul >> shift);

    return (uint8_t)((x > knee ? x : knee) - delta - offset);
}
