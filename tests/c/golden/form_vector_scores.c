#ifdef VECTOR
#if VECTOR == 16
static inline vector vector_load_unsigned16(const uint16_t *from)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from));
}

static inline vector vector_or(vector a, vector b)
{
    return _mm512_or_si512(a, b);
}

/* v for those of elements j, j + 1, ... that are `first` or one of the `count` next, the others
   another number. */
static inline vector vector_within(vector v, size_t j, size_t first, size_t count, int32_t other)
{
    const vector lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const vector past = vector_add(lanes, vector_all((int32_t)j - (int32_t)first));

    return _mm512_mask_blend_epi32(_mm512_cmplt_epu32_mask(past, vector_all((int32_t)count)),
        vector_all(other), v);
}

static inline vector vector_left_each(vector v, vector bits)
{
    return _mm512_sllv_epi32(v, bits);
}

/* The lowest bytes of two vectors. */
static inline void vector_store_bytes(uint8_t *to, vector a, vector b)
{
    const vector order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13);
    const vector halves = _mm512_packus_epi32(a, b);

    _mm256_storeu_si256((void *)to, _mm512_castsi512_si256(_mm512_permutexvar_epi32(order,
        _mm512_packus_epi16(halves, halves))));
}

/* Numbers of 15 bits in four vectors as 128 * high + low, the bytes of each in order. */
static inline void vector_store_query(uint8_t *high, uint8_t *low, vector a, vector b, vector c,
    vector d)
{
    const vector order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const vector half = _mm512_set1_epi16(64), first = _mm512_packs_epi32(a, b),
        second = _mm512_packs_epi32(c, d);
    const vector h = _mm512_srai_epi16(_mm512_add_epi16(first, half), 7);
    const vector g = _mm512_srai_epi16(_mm512_add_epi16(second, half), 7);
    const vector l = _mm512_sub_epi16(first, _mm512_slli_epi16(h, 7));
    const vector k = _mm512_sub_epi16(second, _mm512_slli_epi16(g, 7));

    _mm512_storeu_si512(high, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(h, g)));
    _mm512_storeu_si512(low, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(l, k)));
}

static inline vector vector_wide_all(int64_t v)
{
    return _mm512_set1_epi64(v);
}

static inline vector vector_wide_load(const int64_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline void vector_wide_store(int64_t *to, vector v)
{
    _mm512_storeu_si512(to, v);
}

static inline vector vector_wide_left(vector v, int bits)
{
    return _mm512_sllv_epi64(v, _mm512_set1_epi64(bits));
}

/* Shifts by a vector take one step where those by a number take two. */
static inline vector vector_wide_down(vector v, int bits)
{
    return _mm512_srlv_epi64(v, _mm512_set1_epi64(bits));
}

static inline vector vector_wide_sum(vector a, vector b)
{
    return _mm512_add_epi64(a, b);
}

static inline vector vector_wide_sub(vector a, vector b)
{
    return _mm512_sub_epi64(a, b);
}

static inline vector vector_wide_max(vector a, vector b)
{
    return _mm512_max_epi64(a, b);
}

/* The sum of a vector, the bits that some element has, and the maximum. */
static inline int32_t vector_total(vector v)
{
    return _mm512_reduce_add_epi32(v);
}

static inline uint32_t vector_bits(vector v)
{
    return (uint32_t)_mm512_reduce_or_epi32(v);
}

static inline int64_t vector_wide_most(vector v)
{
    return _mm512_reduce_max_epi64(v);
}

/* Products of even elements, signed or not, and of odd ones, which are moved first. */
static inline vector vector_wide_product(vector a, vector b)
{
    return _mm512_mul_epi32(a, b);
}

static inline vector vector_wide_product_unsigned(vector a, vector b)
{
    return _mm512_mul_epu32(a, b);
}

static inline vector vector_odd(vector v)
{
    return _mm512_srli_epi64(v, 32);
}

/* Wide elements that are not negative, in order and `most` at most. */
static inline vector vector_narrow(vector even, vector odd, int32_t most)
{
    const vector limit = _mm512_set1_epi64(most);

    return vector_lower_words(_mm512_min_epu64(even, limit), _mm512_min_epu64(odd, limit));
}
#else
static inline vector vector_load_unsigned16(const uint16_t *from)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)from));
}

static inline vector vector_or(vector a, vector b)
{
    return _mm256_or_si256(a, b);
}

/* v for those of elements j, j + 1, ... that are `first` or one of the `count` next, the others
   another number. */
static inline vector vector_within(vector v, size_t j, size_t first, size_t count, int32_t other)
{
    const vector lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const vector past = vector_add(lanes, vector_all((int32_t)j - (int32_t)first));
    const vector seen = _mm256_cmpeq_epi32(_mm256_min_epu32(past, vector_all((int32_t)count - 1)),
        past);

    return _mm256_blendv_epi8(vector_all(other), v, seen);
}

static inline vector vector_left_each(vector v, vector bits)
{
    return _mm256_sllv_epi32(v, bits);
}

/* The lowest bytes of two vectors. */
static inline void vector_store_bytes(uint8_t *to, vector a, vector b)
{
    const vector halves = _mm256_packus_epi32(a, b);
    const vector bytes = _mm256_packus_epi16(halves, halves);

    _mm_storeu_si128((void *)to, _mm256_castsi256_si128(
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5))));
}

/* Numbers of 15 bits in four vectors as 128 * high + low, the bytes of each in order. */
static inline void vector_store_query(uint8_t *high, uint8_t *low, vector a, vector b, vector c,
    vector d)
{
    const vector order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const vector half = _mm256_set1_epi16(64), first = _mm256_packs_epi32(a, b),
        second = _mm256_packs_epi32(c, d);
    const vector h = _mm256_srai_epi16(_mm256_add_epi16(first, half), 7);
    const vector g = _mm256_srai_epi16(_mm256_add_epi16(second, half), 7);
    const vector l = _mm256_sub_epi16(first, _mm256_slli_epi16(h, 7));
    const vector k = _mm256_sub_epi16(second, _mm256_slli_epi16(g, 7));

    _mm256_storeu_si256((void *)high, _mm256_permutevar8x32_epi32(_mm256_packs_epi16(h, g), order));
    _mm256_storeu_si256((void *)low, _mm256_permutevar8x32_epi32(_mm256_packs_epi16(l, k), order));
}

static inline vector vector_wide_all(int64_t v)
{
    return _mm256_set1_epi64x(v);
}

static inline vector vector_wide_load(const int64_t *from)
{
    return _mm256_loadu_si256((const void *)from);
}

static inline void vector_wide_store(int64_t *to, vector v)
{
    _mm256_storeu_si256((void *)to, v);
}

static inline vector vector_wide_left(vector v, int bits)
{
    return _mm256_sllv_epi64(v, _mm256_set1_epi64x(bits));
}

/* Shifts by a vector take one step where those by a number take two. */
static inline vector vector_wide_down(vector v, int bits)
{
    return _mm256_srlv_epi64(v, _mm256_set1_epi64x(bits));
}

static inline vector vector_wide_sum(vector a, vector b)
{
    return _mm256_add_epi64(a, b);
}

static inline vector vector_wide_sub(vector a, vector b)
{
    return _mm256_sub_epi64(a, b);
}

static inline vector vector_wide_max(vector a, vector b)
{
    return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

/* The sum of a vector, the bits that some element has, and the maximum. */
static inline int32_t vector_total(vector v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline uint32_t vector_bits(vector v)
{
    __m128i s = _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_or_si128(s, _mm_shuffle_epi32(s, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_or_si128(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline int64_t vector_wide_most(vector v)
{
    const __m128i a = _mm256_castsi256_si128(v), b = _mm256_extracti128_si256(v, 1);
    const __m128i s = _mm_blendv_epi8(b, a, _mm_cmpgt_epi64(a, b));
    const int64_t low = _mm_cvtsi128_si64(s), high = _mm_extract_epi64(s, 1);

    return low > high ? low : high;
}

/* Products of even elements, signed or not, and of odd ones, which are moved first. */
static inline vector vector_wide_product(vector a, vector b)
{
    return _mm256_mul_epi32(a, b);
}

static inline vector vector_wide_product_unsigned(vector a, vector b)
{
    return _mm256_mul_epu32(a, b);
}

static inline vector vector_odd(vector v)
{
    return _mm256_srli_epi64(v, 32);
}

/* Wide elements that are not negative, in order and `most` at most. */
static inline vector vector_narrow(vector even, vector odd, int32_t most)
{
    const vector past = _mm256_cmpgt_epi32(vector_upper_words(even, odd), _mm256_setzero_si256());

    return _mm256_min_epu32(_mm256_or_si256(vector_lower_words(even, odd), past), vector_all(most));
}
#endif

/* (high - x) / 2^shift, rounded down, `most` at most, for even and odd elements one behind the
   other. */
static inline vector vector_distance(vector high, const int64_t *x, int shift, int32_t most)
{
    const vector even = vector_wide_sub(high, vector_wide_load(x));
    const vector odd = vector_wide_sub(high, vector_wide_load(x + VECTOR / 2));

    if (shift >= 32) {
        return vector_min(vector_down_each(vector_upper_words(even, odd), vector_all(shift - 32)),
            vector_all(most));
    }
    return vector_narrow(vector_wide_down(even, shift), vector_wide_down(odd, shift), most);
}
#endif
