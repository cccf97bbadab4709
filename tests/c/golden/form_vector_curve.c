#ifdef VECTOR
#if VECTOR == 16
static inline vector vector_max_halves(vector a, vector b)
{
    return _mm512_max_epi16(a, b);
}

/* (a + b) / 2, rounded, of unsigned halves. */
static inline vector vector_mean_halves(vector a, vector b)
{
    return _mm512_avg_epu16(a, b);
}

/* Two vectors as halves of one, numbers from 2^16 on as 65535. */
static inline vector vector_pack(vector a, vector b)
{
    return _mm512_packus_epi32(a, b);
}

/* Halves of two packed vectors beside one another: those of the first and of the second vector. */
static inline vector vector_unpack_first(vector lower, vector upper)
{
    return _mm512_unpacklo_epi16(lower, upper);
}

static inline vector vector_unpack_second(vector lower, vector upper)
{
    return _mm512_unpackhi_epi16(lower, upper);
}

/* The lower half of a beside the upper half of b. */
static inline vector vector_join_halves(vector a, vector b)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaa, a, b);
}

/* v / 2^(z / 4096), rounded, of unsigned halves. */
static inline vector vector_power(vector v, vector z)
{
    const vector one = vector_all_halves(4096);
    const vector twice = _mm512_srlv_epi16(v, _mm512_srli_epi16(_mm512_sub_epi16(z, one), 12));

    return _mm512_mask_avg_epu16(v, _mm512_cmpge_epu16_mask(z, one), twice, _mm512_setzero_si512());
}
#else
static inline vector vector_max_halves(vector a, vector b)
{
    return _mm256_max_epi16(a, b);
}

/* (a + b) / 2, rounded, of unsigned halves. */
static inline vector vector_mean_halves(vector a, vector b)
{
    return _mm256_avg_epu16(a, b);
}

/* Two vectors as halves of one, numbers from 2^16 on as 65535. */
static inline vector vector_pack(vector a, vector b)
{
    return _mm256_packus_epi32(a, b);
}

/* Halves of two packed vectors beside one another: those of the first and of the second vector. */
static inline vector vector_unpack_first(vector lower, vector upper)
{
    return _mm256_unpacklo_epi16(lower, upper);
}

static inline vector vector_unpack_second(vector lower, vector upper)
{
    return _mm256_unpackhi_epi16(lower, upper);
}

/* The lower half of a beside the upper half of b. */
static inline vector vector_join_halves(vector a, vector b)
{
    return _mm256_blend_epi16(a, b, 0xaa);
}

/* v / 2^(z / 4096), rounded, of unsigned halves. */
static inline vector vector_power(vector v, vector z)
{
    const vector half = vector_all(32768);
    const vector low = _mm256_srlv_epi32(_mm256_slli_epi32(v, 16),
        _mm256_srli_epi32(_mm256_slli_epi32(z, 16), 28));
    const vector high = _mm256_srlv_epi32(_mm256_andnot_si256(vector_all(65535), v),
        _mm256_srli_epi32(z, 28));

    return vector_upper_halves(_mm256_add_epi32(low, half), _mm256_add_epi32(high, half));
}
#endif

/* Pairs of vectors side by side, so that no step waits for the last one. */
#define VECTOR_PAIRS 6
#define VECTOR_SIDE (2 * VECTOR_PAIRS)

/* Halves that the compiler does not see: it would make them anew where registers are short, not
   load them. */
static inline vector vector_hidden(int16_t v)
{
    vector hidden = vector_all_halves(v);

    __asm__("" : "+v"(hidden));
    return hidden;
}

/* y[i] = x[i] / (1 + e^-x[i]) to the bit as for one number, where shift >= 32; y may be x. From z
   on, what 32 bits hold for one number are halves here, those of two vectors in one. */
static inline void vector_silu(size_t count, const int32_t *x, uint32_t mul, int shift, int32_t *y)
{
    const vector factor = vector_all((int32_t)(mul << 1)), half = vector_all(1 << (shift - 32)),
        bits = vector_all(shift - 31);
    const vector fourth = vector_hidden(449), third = vector_hidden(-3489),
        second = vector_hidden(15692), first = vector_hidden(-12652);
    const vector slope = vector_hidden(30840), start = vector_hidden(30841),
        fraction = vector_hidden(32760);
    const vector ones = vector_hidden(1), least = vector_hidden(-32768), low = vector_all(65535),
        zero = vector_all(0);
    int32_t rest[VECTOR_SIDE * VECTOR] = {0};

    for (size_t done = 0; done < count; done += VECTOR_SIDE * VECTOR) {
        const size_t left = count - done < VECTOR_SIDE * VECTOR ? count - done : 0;
        const int32_t *const from = left > 0 ? rest : x + done;
        int32_t *const to = left > 0 ? rest : y + done;
        vector v[VECTOR_SIDE], a[VECTOR_SIDE], z[VECTOR_SIDE];
        vector p[VECTOR_PAIRS], f[VECTOR_PAIRS], h[VECTOR_PAIRS], r[VECTOR_PAIRS], s[VECTOR_PAIRS];

        for (size_t i = 0; i < left; i++) {
            rest[i] = x[done + i];
        }
        /* z = (|x| * mul + 2^(shift - 1)) / 2^shift; the lower words of twice the products do not
           matter. */
        for (int i = 0; i < VECTOR_SIDE; i++) {
            v[i] = vector_load(from + i * VECTOR);
            a[i] = vector_absolute(v[i]);
            z[i] = vector_down_each(vector_add(vector_high(a[i], factor), half), bits);
        }
        /* From 65535 on the gate is 1. f = 8 * (z mod 4096); 1 in place of 0 makes 65535 of a power
           2^16, no more. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            p[i] = vector_pack(z[2 * i], z[2 * i + 1]);
            f[i] = vector_max_halves(vector_and(vector_left_halves(p[i], 3), fraction), ones);
        }
        /* The quartic; -45420 of its linear term is -12652 - 2^15. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_add_halves(vector_step_halves(fourth, f[i]), third);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_add_halves(vector_step_halves(h[i], f[i]), second);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_add_halves(vector_step_halves(h[i], f[i]), first);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_sub_halves(vector_step_halves(h[i], f[i]), f[i]);
        }
        /* e = 2^-z in Q16. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_power(h[i], p[i]);
        }
        /* r = 46261 - (d * 30840 + 2^16) / 2^17, where d = 2^16 + e. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            r[i] = vector_mean_halves(vector_high_halves(h[i], slope), zero);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            r[i] = vector_sub_halves(start, r[i]);
        }
        /* r = (r * (2^15 - s) + 2^13) / 2^14 = r + (r * (2^15 - 2 * s) + 2^14) / 2^15, s = (d * r +
           2^16) / 2^17. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            s[i] = vector_mean_halves(r[i], vector_high_halves(h[i], r[i]));
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            s[i] = vector_sub_halves(least, vector_add_halves(s[i], s[i]));
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            r[i] = vector_add_halves(r[i], vector_step_halves(r[i], s[i]));
        }
        /* h = (e * r + 2^15) / 2^16; then, with s = 2^15 - r, the second step less 2^15. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_mean_halves(vector_high_halves(h[i], vector_add_halves(r[i], r[i])),
                zero);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            s[i] = vector_sub_halves(least, r[i]);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            h[i] = vector_sub_halves(vector_step_halves(s[i], vector_sub_halves(h[i], s[i])), h[i]);
        }
        /* h * |x| / 2^15 for |x| = upper * 2^16 + 2^15 + s: r is that of 2^15 + s, 2 * h waits for
           upper. */
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            s[i] = vector_pack(vector_and(a[2 * i], low), vector_and(a[2 * i + 1], low));
            r[i] = vector_add_halves(vector_step_halves(h[i], vector_add_halves(s[i], least)),
                h[i]);
            h[i] = vector_add_halves(h[i], h[i]);
        }
        for (int i = 0; i < VECTOR_PAIRS; i++) {
            z[2 * i] = vector_unpack_first(r[i], h[i]);
            z[2 * i + 1] = vector_unpack_second(r[i], h[i]);
        }
        for (int i = 0; i < VECTOR_SIDE; i++) {
            vector_store(to + i * VECTOR, vector_dot_halves(vector_max(v[i], zero),
                vector_join_halves(ones, a[i]), z[i]));
        }
        for (size_t i = 0; i < left; i++) {
            y[done + i] = rest[i];
        }
    }
}
#endif
