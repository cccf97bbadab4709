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

/* 1 / (1 + e) in Q30 for e = e^-|x|: a linear guess and two Newton steps, no division. */
static inline uint32_t logistic(int32_t x, uint32_t mul, int shift)
{
    const uint32_t d = 65536u + exponential(x < 0 ? -x : x, mul, shift);
    uint32_t r = 46261u - ((d * 30840u + 65536u) >> 17);

    r = (r * (32768u - ((d * r + 65536u) >> 17)) + 8192u) >> 14;
    return r * (65536u - ((d * r + 32768u) >> 16));
}

/* 1 / (1 + e^-x) in Q15; 2^14 for zero. */
static inline int32_t gate(int32_t x, uint32_t mul, int shift)
{
    const uint32_t r = (logistic(x, mul, shift) + 16384u) >> 15;
    const int32_t above = r < 32768u ? (int32_t)r : 32768;

    return x > 0 ? above : x < 0 ? 32768 - above : 16384;
}

/* y[i] = x[i] / (1 + e^-x[i]), the product in 64 bits. */
static void silu_values(size_t count, const int32_t *restrict x, uint32_t mul, int shift,
    int32_t *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t product = (int64_t)x[i] * gate(x[i], mul, shift);

        y[i] = (int32_t)asr64(product + 16384, 15);
    }
}
