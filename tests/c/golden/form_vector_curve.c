#ifdef VECTOR
#if VECTOR == 16
static inline vector vector_xor(vector a, vector b)
{
    return _mm512_xor_si512(a, b);
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down, of numbers that are not negative, where bits >=
   32. */
static inline vector vector_quotient(vector a, vector b, int bits)
{
    const vector half = _mm512_set1_epi64(INT64_C(1) << (bits - 1));
    const vector even = _mm512_add_epi64(_mm512_mul_epu32(a, b), half);
    const vector odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    return vector_down(_mm512_castps_si512(_mm512_mask_movehdup_ps(
        _mm512_castsi512_ps(_mm512_add_epi64(odd, half)), 0x5555, _mm512_castsi512_ps(even))),
            bits - 32);
}

#define VECTOR_SIDE 4
#else
static inline vector vector_xor(vector a, vector b)
{
    return _mm256_xor_si256(a, b);
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down, of numbers that are not negative, where bits >=
   32. */
static inline vector vector_quotient(vector a, vector b, int bits)
{
    const vector half = _mm256_set1_epi64x(INT64_C(1) << (bits - 1));
    const vector even = _mm256_add_epi64(_mm256_mul_epu32(a, b), half);
    const vector odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    return vector_down(_mm256_blend_epi32(_mm256_add_epi64(odd, half), _mm256_srli_epi64(even, 32),
        0x55), bits - 32);
}

#define VECTOR_SIDE 2
#endif

/* (h * f + 2^11) / 2^12 for numbers of 16 bits, f not negative. */
static inline vector vector_step(vector h, vector f)
{
    return vector_down_signed(vector_dot_halves(vector_all(2048), h, f), 12);
}

/* A number that the compiler does not see: shifts and sums in place of a product take longer. */
static inline vector vector_hidden(int32_t v)
{
    vector hidden = vector_all(v);

    __asm__("" : "+v"(hidden));
    return hidden;
}

/* y[i] = x[i] / (1 + e^-x[i]) for vectors side by side, so that no step waits for the last one:
   powers of a half, the logistic curve by Newton's steps, and the product, all as for one number;
   shift >= 32. */
static inline void vector_silu(const int32_t *x, vector mul, int shift, vector third, vector guess,
    int32_t *y)
{
    const vector one = vector_all(65536), half = vector_all(32768);
    vector v[VECTOR_SIDE], z[VECTOR_SIDE], f[VECTOR_SIDE], h[VECTOR_SIDE], d[VECTOR_SIDE],
        r[VECTOR_SIDE];

    for (int i = 0; i < VECTOR_SIDE; i++) {
        v[i] = vector_load(x + i * VECTOR);
        z[i] = vector_quotient(vector_max(v[i], vector_sub(vector_all(0), v[i])), mul, shift);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        z[i] = vector_min(z[i], vector_all(69632));
        f[i] = vector_and(z[i], vector_all(4095));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_add(vector_step(vector_all(449), f[i]), vector_all(-3489));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_add(vector_step(h[i], f[i]), vector_all(15692));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_step(h[i], f[i]);
        r[i] = vector_add(vector_mul(third, f[i]), vector_all(2048));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_down_signed(vector_dot_halves(r[i], h[i], f[i]), 12);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_left(vector_min(vector_add(h[i], one), vector_all(65535)), 1);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_down_each(h[i], vector_down(z[i], 12));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        d[i] = vector_add(one, vector_down(vector_add(h[i], vector_all(1)), 1));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_down(vector_add(vector_mul(d[i], guess), one), 17);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_sub(vector_all(46261), r[i]);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_down(vector_add(vector_mul(d[i], r[i]), one), 17);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_add(vector_mul(r[i], vector_sub(half, h[i])), vector_all(8192));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_down(r[i], 14);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_down(vector_add(vector_mul(d[i], r[i]), half), 16);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_add(vector_mul(r[i], vector_sub(one, h[i])), vector_all(16384));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_min(vector_down(r[i], 15), half);
        z[i] = vector_down_signed(v[i], 31);
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        r[i] = vector_add(vector_sub(vector_xor(r[i], z[i]), z[i]), vector_and(z[i], half));
    }
    for (int i = 0; i < VECTOR_SIDE; i++) {
        h[i] = vector_mul(vector_down_signed(v[i], 15), r[i]);
        r[i] = vector_add(vector_mul(vector_and(v[i], vector_all(32767)), r[i]), vector_all(16384));
        vector_store(y + i * VECTOR, vector_add(h[i], vector_down(r[i], 15)));
    }
}
#endif
