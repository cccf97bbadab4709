/* 2^-(z mod 4096 / 4096) in Q16, a quartic of at most 65535; the whole part of z is z >> 12. */
static inline uint32_t power_of_half(uint32_t z)
{
    const int32_t f = (int32_t)(z & 4095u);
    int32_t h = 449;

    h = asr32(h * f + 2048, 12) - 3489;
    h = asr32(h * f + 2048, 12) + 15692;
    h = asr32(h * f + 2048, 12) - 45420;
    h = asr32(h * f + 2048, 12) + 65536;
    return h < 65535 ? (uint32_t)h : 65535u;
}

/* 2^-z in Q16 for z = d * mul / 2^shift in Q12: a quartic for the fraction, a shift for the rest.
   */
static inline uint32_t exponential(int32_t d, uint32_t mul, int shift)
{
    const uint64_t q = ((uint64_t)(uint32_t)d * mul + (UINT64_C(1) << shift >> 1)) >> shift;
    const uint32_t z = q < 69632u ? (uint32_t)q : 69632u;

    return (power_of_half(z) + (1u << (z >> 12) >> 1)) >> (z >> 12);
}

/* y[r][j] = 2^15 * e^(x[r][j] - largest) / sum, rounded. */
static void softmax(size_t rows, size_t columns, const int32_t *restrict x, uint32_t mul, int shift,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * columns;
        int32_t *out = y + r * columns;
        int32_t top = in[0];
        uint32_t sum = 0;

        for (size_t j = 0; j < columns; j++) {
            top = in[j] > top ? in[j] : top;
        }
        for (size_t j = 0; j < columns; j++) {
            const uint32_t e = exponential(top - in[j], mul, shift);

            out[j] = (int32_t)e;
            sum += e;
        }
        for (size_t j = 0; j < columns; j++) {
            out[j] = (int32_t)((((uint32_t)out[j] << 15) + sum / 2) / sum);
        }
    }
}

/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c1_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 1; j++) {
            y[r * 1 + j] = x[r * 1 + j] * mul + bias;
        }
    }
}
