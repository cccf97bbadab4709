#ifdef VECTOR
#if VECTOR == 16
static inline vector vector_xor(vector a, vector b)
{
    return _mm512_xor_si512(a, b);
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down, `most` at most, of unsigned numbers. */
static inline vector vector_quotient(vector a, vector b, int bits, int32_t most)
{
    const vector half = _mm512_set1_epi64(INT64_C(1) << bits >> 1), top = _mm512_set1_epi64(most);
    const __m128i by = _mm_cvtsi32_si128(bits);
    vector even = _mm512_mul_epu32(a, b);
    vector odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    even = _mm512_min_epu64(_mm512_srl_epi64(_mm512_add_epi64(even, half), by), top);
    odd = _mm512_min_epu64(_mm512_srl_epi64(_mm512_add_epi64(odd, half), by), top);
    return _mm512_or_si512(_mm512_slli_epi64(odd, 32), even);
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down, for results of 32 bits, where bits <= 32. */
static inline vector vector_rounded(vector a, vector b, int bits)
{
    const vector half = _mm512_set1_epi64(INT64_C(1) << (bits - 1));
    vector even = _mm512_mul_epi32(a, b);
    vector odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    even = _mm512_srl_epi64(_mm512_add_epi64(even, half), _mm_cvtsi32_si128(bits));
    odd = _mm512_sll_epi64(_mm512_add_epi64(odd, half), _mm_cvtsi32_si128(32 - bits));
    return _mm512_mask_blend_epi32(0x5555, odd, even);
}
#else
static inline vector vector_xor(vector a, vector b)
{
    return _mm256_xor_si256(a, b);
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down, `most` at most, of unsigned numbers below 2^31. */
static inline vector vector_quotient(vector a, vector b, int bits, int32_t most)
{
    const vector half = _mm256_set1_epi64x(INT64_C(1) << bits >> 1), top = _mm256_set1_epi64x(most);
    const __m128i by = _mm_cvtsi32_si128(bits);
    vector even = _mm256_mul_epu32(a, b);
    vector odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    even = _mm256_srl_epi64(_mm256_add_epi64(even, half), by);
    odd = _mm256_srl_epi64(_mm256_add_epi64(odd, half), by);
    even = _mm256_blendv_epi8(even, top, _mm256_cmpgt_epi64(even, top));
    odd = _mm256_blendv_epi8(odd, top, _mm256_cmpgt_epi64(odd, top));
    return _mm256_or_si256(_mm256_slli_epi64(odd, 32), even);
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down, for results of 32 bits, where bits <= 32. */
static inline vector vector_rounded(vector a, vector b, int bits)
{
    const vector half = _mm256_set1_epi64x(INT64_C(1) << (bits - 1));
    vector even = _mm256_mul_epi32(a, b);
    vector odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    even = _mm256_srl_epi64(_mm256_add_epi64(even, half), _mm_cvtsi32_si128(bits));
    odd = _mm256_sll_epi64(_mm256_add_epi64(odd, half), _mm_cvtsi32_si128(32 - bits));
    return _mm256_blend_epi32(odd, even, 0x55);
}
#endif

/* One step of a polynomial: (h * f + 2^11) / 2^12 + c. */
static inline vector vector_step(vector h, vector f, int32_t c)
{
    return vector_add(vector_down_signed(vector_add(vector_mul(h, f), vector_all(2048)), 12),
        vector_all(c));
}

/* power_of_half. */
static inline vector vector_power(vector z)
{
    const vector f = vector_and(z, vector_all(4095));
    const vector h = vector_step(vector_step(vector_step(vector_all(449), f, -3489), f, 15692), f,
        -45420);

    return vector_min(vector_step(h, f, 65536), vector_all(65535));
}

/* gate, but for zero. */
static inline vector vector_gate(vector x, uint32_t mul, int shift)
{
    const vector one = vector_all(65536), half = vector_all(32768), magnitude = vector_max(x,
        vector_sub(vector_all(0), x));
    const vector z = vector_quotient(magnitude, vector_all((int32_t)mul), shift, 69632);
    const vector twice = vector_down_each(vector_left(vector_power(z), 1), vector_down(z, 12));
    const vector d = vector_add(one, vector_down(vector_add(twice, vector_all(1)), 1));
    vector r = vector_sub(vector_all(46261), vector_down(vector_add(vector_mul(d,
        vector_all(30840)), one), 17));

    r = vector_mul(r, vector_sub(half, vector_down(vector_add(vector_mul(d, r), one), 17)));
    r = vector_down(vector_add(r, vector_all(8192)), 14);
    r = vector_mul(r, vector_sub(one, vector_down(vector_add(vector_mul(d, r), half), 16)));
    r = vector_min(vector_down(vector_add(r, vector_all(16384)), 15), half);
    /* Below zero, 2^15 - r. */
    const vector below = vector_down_signed(x, 31);

    return vector_add(vector_sub(vector_xor(r, below), below), vector_and(below, half));
}
#endif
