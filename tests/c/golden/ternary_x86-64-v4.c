#if defined(__GNUC__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VNNI__)
#define VECTOR 16

typedef __m512i vector;

static inline vector vector_all(int32_t v)
{
    return _mm512_set1_epi32(v);
}

static inline vector vector_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

static inline vector vector_load16(const int16_t *from)
{
    return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const void *)from));
}

static inline vector vector_load8(const int8_t *from)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from));
}

static inline vector vector_load_unsigned8(const uint8_t *from)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)from));
}

static inline void vector_store(int32_t *to, vector v)
{
    _mm512_storeu_si512(to, v);
}

/* The lowest byte of each. */
static inline void vector_store8(uint8_t *to, vector v)
{
    _mm_storeu_si128((void *)to, _mm512_cvtepi32_epi8(v));
}

/* Four bytes, repeated. */
static inline vector vector_quad(const uint8_t *x)
{
    return _mm512_broadcastd_epi32(_mm_loadu_si32(x));
}

static inline vector vector_and(vector a, vector b)
{
    return _mm512_and_si512(a, b);
}

static inline vector vector_add(vector a, vector b)
{
    return _mm512_add_epi32(a, b);
}

static inline vector vector_sub(vector a, vector b)
{
    return _mm512_sub_epi32(a, b);
}

static inline vector vector_mul(vector a, vector b)
{
    return _mm512_mullo_epi32(a, b);
}

static inline vector vector_max(vector a, vector b)
{
    return _mm512_max_epi32(a, b);
}

static inline vector vector_min(vector a, vector b)
{
    return _mm512_min_epi32(a, b);
}

static inline vector vector_left(vector v, int bits)
{
    return _mm512_sll_epi32(v, _mm_cvtsi32_si128(bits));
}

/* Unsigned shift to the right, by one number or by one for each. */
static inline vector vector_down(vector v, int bits)
{
    return _mm512_srl_epi32(v, _mm_cvtsi32_si128(bits));
}

static inline vector vector_down_each(vector v, vector bits)
{
    return _mm512_srlv_epi32(v, bits);
}

/* v / 2^bits, rounded down. */
static inline vector vector_down_signed(vector v, int bits)
{
    return _mm512_sra_epi32(v, _mm_cvtsi32_si128(bits));
}

/* v / 2^bits of each, rounded down. */
static inline vector vector_down_signed_each(vector v, vector bits)
{
    return _mm512_srav_epi32(v, bits);
}

static inline vector vector_absolute(vector v)
{
    return _mm512_abs_epi32(v);
}

/* The upper words of pairs, in the lower ones' place. */
static inline vector vector_upper(vector v)
{
    return _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(v)));
}

/* The lower and the upper words of even and odd elements, in order. */
static inline vector vector_lower_words(vector even, vector odd)
{
    return _mm512_castps_si512(
        _mm512_mask_moveldup_ps(_mm512_castsi512_ps(even), 0xaaaa, _mm512_castsi512_ps(odd)));
}

static inline vector vector_upper_words(vector even, vector odd)
{
    return _mm512_castps_si512(
        _mm512_mask_movehdup_ps(_mm512_castsi512_ps(odd), 0x5555, _mm512_castsi512_ps(even)));
}

/* The upper halves of unsigned products. */
static inline vector vector_high(vector a, vector b)
{
    const vector even = _mm512_mul_epu32(a, b);
    const vector odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    return vector_upper_words(even, odd);
}

/* (v + 2^(bits - 1)) / 2^bits, rounded down and held in 32 bits, for elements of 64 bits in two
   vectors. The upper words tell what does not fit: minima and maxima of 64 bits take longer. */
static inline vector vector_joined(vector even, vector odd, int bits)
{
    const vector half = _mm512_set1_epi64(INT64_C(1) << (bits - 1));
    const vector by = _mm512_set1_epi64(bits);

    even = _mm512_srav_epi64(_mm512_add_epi64(even, half), by);
    odd = _mm512_srav_epi64(_mm512_add_epi64(odd, half), by);
    const vector low = vector_lower_words(even, odd);
    const vector high = vector_upper_words(even, odd);
    const __mmask16 beyond = _mm512_cmpneq_epi32_mask(high, _mm512_srai_epi32(low, 31));

    return _mm512_mask_xor_epi32(low, beyond, _mm512_srai_epi32(high, 31), vector_all(INT32_MAX));
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down and held in 32 bits. */
static inline vector vector_scaled(vector a, vector b, int bits)
{
    return vector_joined(_mm512_mul_epi32(a, b), _mm512_mul_epi32(vector_upper(a), vector_upper(b)),
        bits);
}

/* (a * c + b * s + 2^(bits - 1)) / 2^bits, rounded down and held in 32 bits; sums stay below 2^63.
   */
static inline vector vector_turned(vector a, vector c, vector b, vector s, int bits)
{
    const vector even = _mm512_add_epi64(_mm512_mul_epi32(a, c), _mm512_mul_epi32(b, s));
    const vector odd = _mm512_add_epi64(_mm512_mul_epi32(vector_upper(a), vector_upper(c)),
        _mm512_mul_epi32(vector_upper(b), vector_upper(s)));

    return vector_joined(even, odd, bits);
}

/* Rows of a block whose sums fit the registers. */
#define VECTOR_DOT_ROWS 6
#define VECTOR_DOT_PAIRS_ROWS 6

/* acc + a sum of four products of bytes for each. The empty statement keeps gcc from copying the
   sums of a loop from register to register, for which there are too few. */
static inline vector vector_dot(vector acc, vector x, vector w)
{
    acc = _mm512_dpbusd_epi32(acc, x, w);
    __asm__("" : "+v"(acc));
    return acc;
}

/* v, from here on another number to gcc, which else keeps the sums of a loop in memory for the sake
   of what follows it. */
static inline vector vector_held(vector v)
{
    __asm__("" : "+v"(v));
    return v;
}

static inline vector vector_dot_pairs(vector acc, vector x, vector w)
{
    return vector_dot(acc, x, w);
}

typedef __m512i octets;

/* The four vectors as bytes held in [lo, hi]. */
static inline octets octets_of(vector a, vector b, vector c, vector d, int32_t lo, int32_t hi)
{
    const vector order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const octets v = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    const octets held = _mm512_max_epu8(_mm512_min_epu8(v, _mm512_set1_epi8((char)hi)),
        _mm512_set1_epi8((char)lo));

    return _mm512_permutexvar_epi32(order, held);
}

static inline octets octets_load(const uint8_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline void octets_store(uint8_t *to, octets v)
{
    _mm512_storeu_si512(to, v);
}

static inline octets octets_add(octets a, octets b)
{
    return _mm512_add_epi8(a, b);
}

static inline octets octets_min(octets a, octets b)
{
    return _mm512_min_epu8(a, b);
}

/* What a exceeds b by, zero at least. */
static inline octets octets_excess(octets a, octets b)
{
    return _mm512_subs_epu8(a, b);
}

/* The lower halves of products. */
static inline octets octets_product(octets a, octets b)
{
    const octets upper = _mm512_and_si512(b, _mm512_set1_epi16(-256));

    return _mm512_mask_blend_epi8(UINT64_C(0xaaaaaaaaaaaaaaaa), _mm512_mullo_epi16(a, b),
        _mm512_mullo_epi16(_mm512_srli_epi16(a, 8), upper));
}

/* v, one less where b is from `first` to `first` + `more`. */
static inline octets octets_less_within(octets v, octets b, octets first, octets more)
{
    const __mmask64 within = _mm512_cmple_epu8_mask(_mm512_sub_epi8(b, first), more);

    return _mm512_mask_sub_epi8(v, within, v, _mm512_set1_epi8(1));
}

/* table[v]. */
static inline octets octets_from(const uint8_t *table, octets v)
{
#ifdef __AVX512VBMI__
    const octets low = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), v,
        _mm512_loadu_si512(table + 64));
    const octets high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), v,
        _mm512_loadu_si512(table + 192));

    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high);
#else
    uint8_t each[64];

    _mm512_storeu_si512(each, v);
    for (size_t i = 0; i < 64; i++) {
        each[i] = table[each[i]];
    }
    return _mm512_loadu_si512(each);
#endif
}
#elif defined(__GNUC__) && defined(__AVX2__)
#define VECTOR 8

typedef __m256i vector;

static inline vector vector_all(int32_t v)
{
    return _mm256_set1_epi32(v);
}

static inline vector vector_load(const void *from)
{
    return _mm256_loadu_si256((const void *)from);
}

static inline vector vector_load16(const int16_t *from)
{
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const void *)from));
}

static inline vector vector_load8(const int8_t *from)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from));
}

static inline vector vector_load_unsigned8(const uint8_t *from)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)from));
}

static inline void vector_store(int32_t *to, vector v)
{
    _mm256_storeu_si256((void *)to, v);
}

/* The lowest byte of each, which is all of it. */
static inline void vector_store8(uint8_t *to, vector v)
{
    const __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v,
        1));

    _mm_storel_epi64((void *)to, _mm_packus_epi16(halves, halves));
}

/* Four bytes, repeated. */
static inline vector vector_quad(const uint8_t *x)
{
    return _mm256_broadcastd_epi32(_mm_loadu_si32(x));
}

static inline vector vector_and(vector a, vector b)
{
    return _mm256_and_si256(a, b);
}

static inline vector vector_add(vector a, vector b)
{
    return _mm256_add_epi32(a, b);
}

static inline vector vector_sub(vector a, vector b)
{
    return _mm256_sub_epi32(a, b);
}

static inline vector vector_mul(vector a, vector b)
{
    return _mm256_mullo_epi32(a, b);
}

static inline vector vector_max(vector a, vector b)
{
    return _mm256_max_epi32(a, b);
}

static inline vector vector_min(vector a, vector b)
{
    return _mm256_min_epi32(a, b);
}

static inline vector vector_left(vector v, int bits)
{
    return _mm256_sll_epi32(v, _mm_cvtsi32_si128(bits));
}

/* Unsigned shift to the right, by one number or by one for each. */
static inline vector vector_down(vector v, int bits)
{
    return _mm256_srl_epi32(v, _mm_cvtsi32_si128(bits));
}

static inline vector vector_down_each(vector v, vector bits)
{
    return _mm256_srlv_epi32(v, bits);
}

/* v / 2^bits, rounded down. */
static inline vector vector_down_signed(vector v, int bits)
{
    return _mm256_sra_epi32(v, _mm_cvtsi32_si128(bits));
}

/* v / 2^bits of each, rounded down. */
static inline vector vector_down_signed_each(vector v, vector bits)
{
    return _mm256_srav_epi32(v, bits);
}

static inline vector vector_absolute(vector v)
{
    return _mm256_abs_epi32(v);
}

/* The lower and the upper words of even and odd elements, in order. */
static inline vector vector_lower_words(vector even, vector odd)
{
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

static inline vector vector_upper_words(vector even, vector odd)
{
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}

/* The upper halves of unsigned products. */
static inline vector vector_high(vector a, vector b)
{
    const vector even = _mm256_mul_epu32(a, b);
    const vector odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    return vector_upper_words(even, odd);
}

/* v / 2^bits, rounded down and held in [-2^30, 2^30], for two halves of 64 bits each. */
static inline vector vector_shifted(vector v, int bits)
{
    const vector most = _mm256_set1_epi64x(INT64_C(1) << 30),
        least = _mm256_set1_epi64x(-(INT64_C(1) << 30));
    const vector lift = _mm256_set1_epi64x(INT64_C(1) << 62);
    const __m128i by = _mm_cvtsi32_si128(bits);

    v = _mm256_sub_epi64(_mm256_srl_epi64(_mm256_add_epi64(v, lift), by), _mm256_srl_epi64(lift,
        by));
    v = _mm256_blendv_epi8(v, most, _mm256_cmpgt_epi64(v, most));
    return _mm256_blendv_epi8(v, least, _mm256_cmpgt_epi64(least, v));
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down and held in 32 bits, here in [-2^30, 2^30]. */
static inline vector vector_scaled(vector a, vector b, int bits)
{
    const vector half = _mm256_set1_epi64x(INT64_C(1) << (bits - 1));
    vector even = _mm256_mul_epi32(a, b);
    vector odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    even = vector_shifted(_mm256_add_epi64(even, half), bits);
    odd = vector_shifted(_mm256_add_epi64(odd, half), bits);
    return vector_lower_words(even, odd);
}

/* Rows of a block whose sums fit the registers; those of pairs need fewer others. */
#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))
#define VECTOR_DOT_ROWS 6
#else
#define VECTOR_DOT_ROWS 3
#endif
#define VECTOR_DOT_PAIRS_ROWS 6

/* acc + a sum of four products of bytes for each. Without an instruction for it, even and odd bytes
   are widened. The empty statement keeps gcc from copying the sums of a loop from register to
   register, for which there are too few. */
static inline vector vector_dot(vector acc, vector x, vector w)
{
#if defined(__AVXVNNI__)
    acc = _mm256_dpbusd_avx_epi32(acc, x, w);
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
    acc = _mm256_dpbusd_epi32(acc, x, w);
#else
    const vector x0 = _mm256_and_si256(x, _mm256_set1_epi16(255)), x1 = _mm256_srli_epi16(x, 8);
    const vector w0 = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), w1 = _mm256_srai_epi16(w, 8);

    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x0, w0));
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x1, w1));
#endif
    __asm__("" : "+x"(acc));
    return acc;
}

/* The same where the sums of two neighbouring products were proved to fit 16 bits. */
static inline vector vector_dot_pairs(vector acc, vector x, vector w)
{
#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))
    return vector_dot(acc, x, w);
#else
    const vector pairs = _mm256_maddubs_epi16(x, w);

    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    __asm__("" : "+x"(acc));
    return acc;
#endif
}

typedef __m256i octets;

/* The four vectors as bytes held in [lo, hi]. */
static inline octets octets_of(vector a, vector b, vector c, vector d, int32_t lo, int32_t hi)
{
    const vector order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const octets v = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    const octets held = _mm256_max_epu8(_mm256_min_epu8(v, _mm256_set1_epi8((char)hi)),
        _mm256_set1_epi8((char)lo));

    return _mm256_permutevar8x32_epi32(held, order);
}

static inline octets octets_load(const uint8_t *from)
{
    return _mm256_loadu_si256((const void *)from);
}

static inline void octets_store(uint8_t *to, octets v)
{
    _mm256_storeu_si256((void *)to, v);
}

static inline octets octets_add(octets a, octets b)
{
    return _mm256_add_epi8(a, b);
}

static inline octets octets_min(octets a, octets b)
{
    return _mm256_min_epu8(a, b);
}

/* What a exceeds b by, zero at least. */
static inline octets octets_excess(octets a, octets b)
{
    return _mm256_subs_epu8(a, b);
}

/* The lower halves of products. */
static inline octets octets_product(octets a, octets b)
{
    const octets upper = _mm256_set1_epi16(-256);
    const octets odd = _mm256_mullo_epi16(_mm256_srli_epi16(a, 8), _mm256_and_si256(b, upper));

    return _mm256_blendv_epi8(_mm256_mullo_epi16(a, b), odd, upper);
}

/* v, one less where b is from `first` to `first` + `more`. The empty statement keeps gcc from
   taking many differences first, for which there are too few registers. */
static inline octets octets_less_within(octets v, octets b, octets first, octets more)
{
    const octets past = _mm256_sub_epi8(b, first);

    v = _mm256_add_epi8(v, _mm256_cmpeq_epi8(_mm256_min_epu8(past, more), past));
    __asm__("" : "+x"(v));
    return v;
}

/* table[v]: of each 16 elements those that v points to, as other bytes are shuffled to zero. */
static inline octets octets_from(const uint8_t *table, octets v)
{
    octets found = _mm256_setzero_si256();

    for (int i = 0; i < 16; i++) {
        const octets part = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(table
            + 16 * i)));
        const octets at = _mm256_adds_epu8(v, _mm256_set1_epi8(0x70));

        found = _mm256_or_si256(found, _mm256_shuffle_epi8(part, at));
        v = _mm256_sub_epi8(v, _mm256_set1_epi8(16));
    }
    return found;
}
#endif

#ifdef VECTOR
/* Of sums in memory: no vector crosses a line of the cache. */
#define VECTOR_PLACE __attribute__((aligned(64)))

/* Ask for a line of the cache before it is read. */
static inline void vector_ask(const int8_t *from)
{
    _mm_prefetch((const char *)from, _MM_HINT_T1);
}

/* The same for what lies some thousand bytes further on in a panel. Vectors of half a line take so
   many instructions a line that too few misses would be under way. */
static inline void vector_ask_far(const int8_t *from)
{
    _mm_prefetch((const char *)((uintptr_t)from + 8192), _MM_HINT_T1);
}

/* In each byte, one of the four digits of two bits there. */
static inline vector vector_digit(const void *from, int digit)
{
    return vector_and(vector_down(vector_load(from), 2 * digit), vector_all(0x03030303));
}

/* The sum of a row. */
static inline int32_t vector_row(const uint8_t *x, size_t count)
{
    int32_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += x[i];
    }
    return sum;
}

/* The bytes that a row ends with, four at most; what is past them is zero. */
static inline vector vector_rest(const uint8_t *x, size_t count)
{
    uint32_t v = 0;

    for (size_t i = 0; i < count && i < 4; i++) {
        v |= (uint32_t)x[i] << 8 * i;
    }
    return vector_all((int32_t)v);
}

/* Four rows of four words, `stride` bytes apart, become four rows, `apart` bytes apart, of a word
   of each. */
static inline void vector_cross(const uint8_t *from, size_t stride, uint8_t *to, size_t apart)
{
    const __m128i a = _mm_loadu_si128((const void *)from), b = _mm_loadu_si128((const void *)(from
        + stride));
    const __m128i c = _mm_loadu_si128((const void *)(from + 2 * stride)),
        d = _mm_loadu_si128((const void *)(from + 3 * stride));
    const __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d);

    _mm_storeu_si128((void *)to, _mm_unpacklo_epi64(ab, cd));
    _mm_storeu_si128((void *)(to + apart), _mm_unpackhi_epi64(ab, cd));
    const __m128i last_ab = _mm_unpackhi_epi32(a, b), last_cd = _mm_unpackhi_epi32(c, d);

    _mm_storeu_si128((void *)(to + 2 * apart), _mm_unpacklo_epi64(last_ab, last_cd));
    _mm_storeu_si128((void *)(to + 3 * apart), _mm_unpackhi_epi64(last_ab, last_cd));
}

/* v held in [lo, hi]. */
static inline vector vector_clip(vector v, int32_t lo, int32_t hi)
{
    return vector_max(vector_min(v, vector_all(hi)), vector_all(lo));
}
#else
#define VECTOR_PLACE
#endif

#ifdef VECTOR
#if VECTOR == 16
/* Sums of 64 bits and numbers of 32, signed or not. */
static inline vector vector_wide_add(vector sums, vector v)
{
    sums = _mm512_add_epi64(sums, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(v)));
    return _mm512_add_epi64(sums, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(v, 1)));
}

static inline vector vector_wide_add_unsigned(vector sums, vector v)
{
    sums = _mm512_add_epi64(sums, _mm512_and_si512(v, _mm512_set1_epi64(INT64_C(0xffffffff))));
    return _mm512_add_epi64(sums, _mm512_srli_epi64(v, 32));
}

/* Sum, least and most of a vector. */
static inline int64_t vector_wide_total(vector v)
{
    return _mm512_reduce_add_epi64(v);
}

static inline int32_t vector_least(vector v)
{
    return _mm512_reduce_min_epi32(v);
}

static inline int32_t vector_most(vector v)
{
    return _mm512_reduce_max_epi32(v);
}
#else
/* Sums of 64 bits and numbers of 32, signed or not. */
static inline vector vector_wide_add(vector sums, vector v)
{
    sums = _mm256_add_epi64(sums, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(v)));
    return _mm256_add_epi64(sums, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(v, 1)));
}

static inline vector vector_wide_add_unsigned(vector sums, vector v)
{
    sums = _mm256_add_epi64(sums, _mm256_and_si256(v, _mm256_set1_epi64x(INT64_C(0xffffffff))));
    return _mm256_add_epi64(sums, _mm256_srli_epi64(v, 32));
}

/* Sum, least and most of a vector. */
static inline int64_t vector_wide_total(vector v)
{
    const __m128i s = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    return _mm_cvtsi128_si64(_mm_add_epi64(s, _mm_unpackhi_epi64(s, s)));
}

static inline int32_t vector_least(vector v)
{
    __m128i s = _mm_min_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_min_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_min_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline int32_t vector_most(vector v)
{
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
#endif
#endif

#ifdef VECTOR
/* The bytes 128 + round(v * factor / 2^22) of four vectors of numbers from -2^15 to 2^15, in order,
   for a factor below 2^15. A product's upper half is rounded down, as all of it is after: in one
   step or in two, it is the same. 2^15 counts as one less, which rounds to 127 as well. */
static inline void vector_store_codes(uint8_t *to, vector a, vector b, vector c, vector d,
    int32_t factor)
{
#if VECTOR == 16
    const vector order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const vector by = _mm512_set1_epi16((int16_t)factor), more = _mm512_set1_epi16(128 * 64 + 32);
    vector lower = _mm512_mulhi_epi16(_mm512_packs_epi32(a, b), by);
    vector upper = _mm512_mulhi_epi16(_mm512_packs_epi32(c, d), by);

    lower = _mm512_srli_epi16(_mm512_add_epi16(lower, more), 6);
    upper = _mm512_srli_epi16(_mm512_add_epi16(upper, more), 6);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(lower, upper)));
#else
    const vector order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const vector by = _mm256_set1_epi16((int16_t)factor), more = _mm256_set1_epi16(128 * 64 + 32);
    vector lower = _mm256_mulhi_epi16(_mm256_packs_epi32(a, b), by);
    vector upper = _mm256_mulhi_epi16(_mm256_packs_epi32(c, d), by);

    lower = _mm256_srli_epi16(_mm256_add_epi16(lower, more), 6);
    upper = _mm256_srli_epi16(_mm256_add_epi16(upper, more), 6);
    _mm256_storeu_si256((void *)to, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(lower, upper),
        order));
#endif
}
#endif

/* q[r] = 128 + round(127 * x[r] / largest), the largest magnitude of the row being about m[r] *
   2^k[r]. */
static void dynamic_quantize(size_t rows, size_t columns, const int32_t *restrict x,
    uint8_t *restrict q, int32_t *restrict m, int32_t *restrict k)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * columns;
        uint8_t *restrict out = q + r * columns;
        int32_t largest = 0;

#ifdef VECTOR
        const size_t done = columns - columns % (4 * VECTOR);
        vector top[4];

        for (size_t i = 0; i < 4; i++) {
            top[i] = vector_all(0);
        }
        for (size_t j = 0; j < done; j += 4 * VECTOR) {
            for (size_t i = 0; i < 4; i++) {
                top[i] = vector_max(top[i], vector_absolute(vector_load(in + j + i * VECTOR)));
            }
        }
        largest = vector_most(vector_max(vector_max(top[0], top[1]), vector_max(top[2], top[3])));
#else
        const size_t done = 0;
#endif

        for (size_t j = done; j < columns; j++) {
            const int32_t magnitude = in[j] < 0 ? -in[j] : in[j];

            largest = magnitude > largest ? magnitude : largest;
        }
        const int bits = bit_length((uint64_t)largest);
        const int down = bits > 15 ? bits - 15 : 0;
        const int32_t half = (1 << down) >> 1;
        const int32_t mantissa = (largest + half) >> down;

        m[r] = mantissa > 1 ? mantissa : 1;
        k[r] = down;
        const int32_t factor = (532676608 + m[r] / 2) / m[r]; /* 127 * 2^22 / m */

#ifdef VECTOR
        const size_t first = factor < 32768 ? done : 0;
        const vector halves = vector_all(half), by = vector_all(down);

        for (size_t j = 0; j < first; j += 4 * VECTOR) {
            vector v[4];

            for (size_t i = 0; i < 4; i++) {
                v[i] = vector_down_signed_each(vector_add(vector_load(in + j + i * VECTOR), halves),
                    by);
            }
            vector_store_codes(out + j, v[0], v[1], v[2], v[3], factor);
        }
#else
        const size_t first = 0;
#endif

        for (size_t j = first; j < columns; j++) {
            const int32_t v = asr32(in[j] + half, down);

            out[j] = (uint8_t)(128 + asr32(v * factor + 2097152, 22));
        }
    }
}

/* acc[r][j] = x[r] . w[j] for 1 row of k elements and a panel of up to 64 columns, which lies [k /
   16][columns, in sixteens][4], four digits of two bits, a weight more than w, in a byte: those of
   [4][4]. */
static void dot1x64_zr(size_t width, size_t k, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t step = (width + 15) / 16 * 64;

#ifdef VECTOR
    const uint8_t *end = x + k / 16 * 16;
    size_t j = 0;
    int32_t ones[1];

    for (size_t r = 0; r < 1; r++) {
        ones[r] = vector_row(x + r * k, k);
    }

    if (width > 48) {
        const uint8_t *u = x;
        const int8_t *b = w;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]);
        vector v, w0, w1, w2, w3;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]), s04 = vector_all(-ones[0]), s05 = vector_all(-ones[0]),
            s06 = vector_all(-ones[0]), s07 = vector_all(-ones[0]);
        vector v, w0, w1, w2, w3, w4, w5, w6, w7;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            vector_ask_far(b + 64);
            vector_ask_far(b + 128);
            vector_ask_far(b + 192);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            w4 = vector_digit(b + 16 * VECTOR, 0);
            w5 = vector_digit(b + 20 * VECTOR, 0);
            w6 = vector_digit(b + 24 * VECTOR, 0);
            w7 = vector_digit(b + 28 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            w4 = vector_digit(b + 16 * VECTOR, 1);
            w5 = vector_digit(b + 20 * VECTOR, 1);
            w6 = vector_digit(b + 24 * VECTOR, 1);
            w7 = vector_digit(b + 28 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            w4 = vector_digit(b + 16 * VECTOR, 2);
            w5 = vector_digit(b + 20 * VECTOR, 2);
            w6 = vector_digit(b + 24 * VECTOR, 2);
            w7 = vector_digit(b + 28 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            w4 = vector_digit(b + 16 * VECTOR, 3);
            w5 = vector_digit(b + 20 * VECTOR, 3);
            w6 = vector_digit(b + 24 * VECTOR, 3);
            w7 = vector_digit(b + 28 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            w4 = vector_digit(b + 16 * VECTOR, 0);
            w5 = vector_digit(b + 20 * VECTOR, 0);
            w6 = vector_digit(b + 24 * VECTOR, 0);
            w7 = vector_digit(b + 28 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            w4 = vector_digit(b + 16 * VECTOR, 1);
            w5 = vector_digit(b + 20 * VECTOR, 1);
            w6 = vector_digit(b + 24 * VECTOR, 1);
            w7 = vector_digit(b + 28 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            w4 = vector_digit(b + 16 * VECTOR, 2);
            w5 = vector_digit(b + 20 * VECTOR, 2);
            w6 = vector_digit(b + 24 * VECTOR, 2);
            w7 = vector_digit(b + 28 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            w4 = vector_digit(b + 16 * VECTOR, 3);
            w5 = vector_digit(b + 20 * VECTOR, 3);
            w6 = vector_digit(b + 24 * VECTOR, 3);
            w7 = vector_digit(b + 28 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            s04 = vector_dot_pairs(s04, v, w4);
            s05 = vector_dot_pairs(s05, v, w5);
            s06 = vector_dot_pairs(s06, v, w6);
            s07 = vector_dot_pairs(s07, v, w7);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
        vector_store(acc + j + 4 * VECTOR, s04);
        vector_store(acc + j + 5 * VECTOR, s05);
        vector_store(acc + j + 6 * VECTOR, s06);
        vector_store(acc + j + 7 * VECTOR, s07);
#endif

        return;
    }
    for (; j < width; j += 16) {
        const uint8_t *u = x;
        const int8_t *b = w + 4 * j;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]);
        vector v, w0;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            w0 = vector_digit(b, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            w0 = vector_digit(b, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            w0 = vector_digit(b, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
        }
        vector_store(acc + j, s00);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]);
        vector v, w0, w1;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
#endif

    }
#else
    for (size_t r = 0; r < 1; r++) {
        int32_t *restrict sum = acc + r * 64;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < k; i += 4) {
            const uint8_t *restrict u = x + r * k + i;
            const uint8_t *restrict b = (const uint8_t *)w + i / 16 * step;
            const size_t down = i % 16 / 2;
            const int32_t u0 = u[0], u1 = k - i > 1 ? u[1] : 0, u2 = k - i > 2 ? u[2] : 0,
                u3 = k - i > 3 ? u[3] : 0;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u0 * ((b[4 * j] >> down & 3) - 1) + u1 * ((b[4 * j + 1] >> down & 3) - 1)
                    + u2 * ((b[4 * j + 2] >> down & 3) - 1) + u3 * ((b[4 * j + 3] >> down & 3) - 1);
            }
        }
    }
#endif
}

/* acc[r][j] = x[r] . w[j] for 2 rows of k elements and a panel of up to 64 columns, which lies [k /
   16][columns, in sixteens][4], four digits of two bits, a weight more than w, in a byte: those of
   [4][4]. */
static void dot2x64_zr(size_t width, size_t k, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t step = (width + 15) / 16 * 64;

#ifdef VECTOR
    const uint8_t *end = x + k / 16 * 16;
    size_t j = 0;
    int32_t ones[2];

    for (size_t r = 0; r < 2; r++) {
        ones[r] = vector_row(x + r * k, k);
    }

#if VECTOR == 16
    if (width > 48) {
        const uint8_t *u = x;
        const int8_t *b = w;
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]), s12 = vector_all(-ones[1]),
            s13 = vector_all(-ones[1]);
        vector v, w0, w1, w2, w3;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 64 + j + 2 * VECTOR, s12);
        vector_store(acc + 64 + j + 3 * VECTOR, s13);

        return;
    }
#endif
    for (; j < width; j += 16) {
        const uint8_t *u = x;
        const int8_t *b = w + 4 * j;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]);
        vector v, w0;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            w0 = vector_digit(b, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            w0 = vector_digit(b, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            w0 = vector_digit(b, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
        }
        vector_store(acc + j, s00);
        vector_store(acc + 64 + j, s10);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]);
        vector v, w0, w1;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
#endif

    }
#else
    for (size_t r = 0; r < 2; r++) {
        int32_t *restrict sum = acc + r * 64;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < k; i += 4) {
            const uint8_t *restrict u = x + r * k + i;
            const uint8_t *restrict b = (const uint8_t *)w + i / 16 * step;
            const size_t down = i % 16 / 2;
            const int32_t u0 = u[0], u1 = k - i > 1 ? u[1] : 0, u2 = k - i > 2 ? u[2] : 0,
                u3 = k - i > 3 ? u[3] : 0;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u0 * ((b[4 * j] >> down & 3) - 1) + u1 * ((b[4 * j + 1] >> down & 3) - 1)
                    + u2 * ((b[4 * j + 2] >> down & 3) - 1) + u3 * ((b[4 * j + 3] >> down & 3) - 1);
            }
        }
    }
#endif
}

/* acc[r][j] = x[r] . w[j] for 3 rows of k elements and a panel of up to 64 columns, which lies [k /
   16][columns, in sixteens][4], four digits of two bits, a weight more than w, in a byte: those of
   [4][4]. */
static void dot3x64_zr(size_t width, size_t k, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t step = (width + 15) / 16 * 64;

#ifdef VECTOR
    const uint8_t *end = x + k / 16 * 16;
    size_t j = 0;
    int32_t ones[3];

    for (size_t r = 0; r < 3; r++) {
        ones[r] = vector_row(x + r * k, k);
    }

#if VECTOR == 16
    if (width > 48) {
        const uint8_t *u = x;
        const int8_t *b = w;
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]), s12 = vector_all(-ones[1]),
            s13 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]), s22 = vector_all(-ones[2]),
            s23 = vector_all(-ones[2]);
        vector v, w0, w1, w2, w3;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 64 + j + 2 * VECTOR, s12);
        vector_store(acc + 64 + j + 3 * VECTOR, s13);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 128 + j + 2 * VECTOR, s22);
        vector_store(acc + 128 + j + 3 * VECTOR, s23);

        return;
    }
#endif
    for (; j < width; j += 16) {
        const uint8_t *u = x;
        const int8_t *b = w + 4 * j;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]);
        vector v, w0;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            w0 = vector_digit(b, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            w0 = vector_digit(b, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            w0 = vector_digit(b, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
        }
        vector_store(acc + j, s00);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 128 + j, s20);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]);
        vector v, w0, w1;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
#endif

    }
#else
    for (size_t r = 0; r < 3; r++) {
        int32_t *restrict sum = acc + r * 64;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < k; i += 4) {
            const uint8_t *restrict u = x + r * k + i;
            const uint8_t *restrict b = (const uint8_t *)w + i / 16 * step;
            const size_t down = i % 16 / 2;
            const int32_t u0 = u[0], u1 = k - i > 1 ? u[1] : 0, u2 = k - i > 2 ? u[2] : 0,
                u3 = k - i > 3 ? u[3] : 0;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u0 * ((b[4 * j] >> down & 3) - 1) + u1 * ((b[4 * j + 1] >> down & 3) - 1)
                    + u2 * ((b[4 * j + 2] >> down & 3) - 1) + u3 * ((b[4 * j + 3] >> down & 3) - 1);
            }
        }
    }
#endif
}

/* acc[r][j] = x[r] . w[j] for 4 rows of k elements and a panel of up to 64 columns, which lies [k /
   16][columns, in sixteens][4], four digits of two bits, a weight more than w, in a byte: those of
   [4][4]. */
static void dot4x64_zr(size_t width, size_t k, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t step = (width + 15) / 16 * 64;

#ifdef VECTOR
    const uint8_t *end = x + k / 16 * 16;
    size_t j = 0;
    int32_t ones[4];

    for (size_t r = 0; r < 4; r++) {
        ones[r] = vector_row(x + r * k, k);
    }

#if VECTOR == 16
    if (width > 48) {
        const uint8_t *u = x;
        const int8_t *b = w;
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]), s12 = vector_all(-ones[1]),
            s13 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]), s22 = vector_all(-ones[2]),
            s23 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]), s31 = vector_all(-ones[3]), s32 = vector_all(-ones[3]),
            s33 = vector_all(-ones[3]);
        vector v, w0, w1, w2, w3;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 64 + j + 2 * VECTOR, s12);
        vector_store(acc + 64 + j + 3 * VECTOR, s13);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 128 + j + 2 * VECTOR, s22);
        vector_store(acc + 128 + j + 3 * VECTOR, s23);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 192 + j + 1 * VECTOR, s31);
        vector_store(acc + 192 + j + 2 * VECTOR, s32);
        vector_store(acc + 192 + j + 3 * VECTOR, s33);

        return;
    }
#endif
    for (; j < width; j += 16) {
        const uint8_t *u = x;
        const int8_t *b = w + 4 * j;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]);
        vector v, w0;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            w0 = vector_digit(b, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            w0 = vector_digit(b, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            w0 = vector_digit(b, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
        }
        vector_store(acc + j, s00);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 192 + j, s30);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]), s31 = vector_all(-ones[3]);
        vector v, w0, w1;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 192 + j + 1 * VECTOR, s31);
#endif

    }
#else
    for (size_t r = 0; r < 4; r++) {
        int32_t *restrict sum = acc + r * 64;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < k; i += 4) {
            const uint8_t *restrict u = x + r * k + i;
            const uint8_t *restrict b = (const uint8_t *)w + i / 16 * step;
            const size_t down = i % 16 / 2;
            const int32_t u0 = u[0], u1 = k - i > 1 ? u[1] : 0, u2 = k - i > 2 ? u[2] : 0,
                u3 = k - i > 3 ? u[3] : 0;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u0 * ((b[4 * j] >> down & 3) - 1) + u1 * ((b[4 * j + 1] >> down & 3) - 1)
                    + u2 * ((b[4 * j + 2] >> down & 3) - 1) + u3 * ((b[4 * j + 3] >> down & 3) - 1);
            }
        }
    }
#endif
}

/* acc[r][j] = x[r] . w[j] for 5 rows of k elements and a panel of up to 64 columns, which lies [k /
   16][columns, in sixteens][4], four digits of two bits, a weight more than w, in a byte: those of
   [4][4]. */
static void dot5x64_zr(size_t width, size_t k, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t step = (width + 15) / 16 * 64;

#ifdef VECTOR
    const uint8_t *end = x + k / 16 * 16;
    size_t j = 0;
    int32_t ones[5];

    for (size_t r = 0; r < 5; r++) {
        ones[r] = vector_row(x + r * k, k);
    }

#if VECTOR == 16
    if (width > 48) {
        const uint8_t *u = x;
        const int8_t *b = w;
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]), s12 = vector_all(-ones[1]),
            s13 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]), s22 = vector_all(-ones[2]),
            s23 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]), s31 = vector_all(-ones[3]), s32 = vector_all(-ones[3]),
            s33 = vector_all(-ones[3]);
        vector s40 = vector_all(-ones[4]), s41 = vector_all(-ones[4]), s42 = vector_all(-ones[4]),
            s43 = vector_all(-ones[4]);
        vector v, w0, w1, w2, w3;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k + 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k + 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k + 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k, k % 16);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k + 4, k % 16 - 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k + 8, k % 16 - 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k + 12, k % 16 - 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 64 + j + 2 * VECTOR, s12);
        vector_store(acc + 64 + j + 3 * VECTOR, s13);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 128 + j + 2 * VECTOR, s22);
        vector_store(acc + 128 + j + 3 * VECTOR, s23);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 192 + j + 1 * VECTOR, s31);
        vector_store(acc + 192 + j + 2 * VECTOR, s32);
        vector_store(acc + 192 + j + 3 * VECTOR, s33);
        vector_store(acc + 256 + j, s40);
        vector_store(acc + 256 + j + 1 * VECTOR, s41);
        vector_store(acc + 256 + j + 2 * VECTOR, s42);
        vector_store(acc + 256 + j + 3 * VECTOR, s43);

        return;
    }
#endif
    for (; j < width; j += 16) {
        const uint8_t *u = x;
        const int8_t *b = w + 4 * j;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]);
        vector s40 = vector_all(-ones[4]);
        vector v, w0;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k);
            s40 = vector_dot_pairs(s40, v, w0);
            w0 = vector_digit(b, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k + 4);
            s40 = vector_dot_pairs(s40, v, w0);
            w0 = vector_digit(b, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k + 8);
            s40 = vector_dot_pairs(s40, v, w0);
            w0 = vector_digit(b, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k + 12);
            s40 = vector_dot_pairs(s40, v, w0);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k, k % 16);
            s40 = vector_dot_pairs(s40, v, w0);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k + 4, k % 16 - 4);
            s40 = vector_dot_pairs(s40, v, w0);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k + 8, k % 16 - 8);
            s40 = vector_dot_pairs(s40, v, w0);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k + 12, k % 16 - 12);
            s40 = vector_dot_pairs(s40, v, w0);
        }
        vector_store(acc + j, s00);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 256 + j, s40);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]), s31 = vector_all(-ones[3]);
        vector s40 = vector_all(-ones[4]), s41 = vector_all(-ones[4]);
        vector v, w0, w1;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k + 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k + 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k + 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k, k % 16);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k + 4, k % 16 - 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k + 8, k % 16 - 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k + 12, k % 16 - 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 192 + j + 1 * VECTOR, s31);
        vector_store(acc + 256 + j, s40);
        vector_store(acc + 256 + j + 1 * VECTOR, s41);
#endif

    }
#else
    for (size_t r = 0; r < 5; r++) {
        int32_t *restrict sum = acc + r * 64;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < k; i += 4) {
            const uint8_t *restrict u = x + r * k + i;
            const uint8_t *restrict b = (const uint8_t *)w + i / 16 * step;
            const size_t down = i % 16 / 2;
            const int32_t u0 = u[0], u1 = k - i > 1 ? u[1] : 0, u2 = k - i > 2 ? u[2] : 0,
                u3 = k - i > 3 ? u[3] : 0;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u0 * ((b[4 * j] >> down & 3) - 1) + u1 * ((b[4 * j + 1] >> down & 3) - 1)
                    + u2 * ((b[4 * j + 2] >> down & 3) - 1) + u3 * ((b[4 * j + 3] >> down & 3) - 1);
            }
        }
    }
#endif
}

/* acc[r][j] = x[r] . w[j] for 6 rows of k elements and a panel of up to 64 columns, which lies [k /
   16][columns, in sixteens][4], four digits of two bits, a weight more than w, in a byte: those of
   [4][4]. */
static void dot6x64_zr(size_t width, size_t k, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    const size_t step = (width + 15) / 16 * 64;

#ifdef VECTOR
    const uint8_t *end = x + k / 16 * 16;
    size_t j = 0;
    int32_t ones[6];

    for (size_t r = 0; r < 6; r++) {
        ones[r] = vector_row(x + r * k, k);
    }

#if VECTOR == 16
    if (width > 48) {
        const uint8_t *u = x;
        const int8_t *b = w;
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]), s02 = vector_all(-ones[0]),
            s03 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]), s12 = vector_all(-ones[1]),
            s13 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]), s22 = vector_all(-ones[2]),
            s23 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]), s31 = vector_all(-ones[3]), s32 = vector_all(-ones[3]),
            s33 = vector_all(-ones[3]);
        vector s40 = vector_all(-ones[4]), s41 = vector_all(-ones[4]), s42 = vector_all(-ones[4]),
            s43 = vector_all(-ones[4]);
        vector s50 = vector_all(-ones[5]), s51 = vector_all(-ones[5]), s52 = vector_all(-ones[5]),
            s53 = vector_all(-ones[5]);
        vector v, w0, w1, w2, w3;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_quad(u + 5 * k);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k + 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_quad(u + 5 * k + 4);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k + 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_quad(u + 5 * k + 8);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_quad(u + 4 * k + 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_quad(u + 5 * k + 12);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            w2 = vector_digit(b + 8 * VECTOR, 0);
            w3 = vector_digit(b + 12 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k, k % 16);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_rest(u + 5 * k, k % 16);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            w2 = vector_digit(b + 8 * VECTOR, 1);
            w3 = vector_digit(b + 12 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k + 4, k % 16 - 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_rest(u + 5 * k + 4, k % 16 - 4);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            w2 = vector_digit(b + 8 * VECTOR, 2);
            w3 = vector_digit(b + 12 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k + 8, k % 16 - 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_rest(u + 5 * k + 8, k % 16 - 8);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            w2 = vector_digit(b + 8 * VECTOR, 3);
            w3 = vector_digit(b + 12 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            s02 = vector_dot_pairs(s02, v, w2);
            s03 = vector_dot_pairs(s03, v, w3);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            s12 = vector_dot_pairs(s12, v, w2);
            s13 = vector_dot_pairs(s13, v, w3);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            s22 = vector_dot_pairs(s22, v, w2);
            s23 = vector_dot_pairs(s23, v, w3);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            s32 = vector_dot_pairs(s32, v, w2);
            s33 = vector_dot_pairs(s33, v, w3);
            v = vector_rest(u + 4 * k + 12, k % 16 - 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            s42 = vector_dot_pairs(s42, v, w2);
            s43 = vector_dot_pairs(s43, v, w3);
            v = vector_rest(u + 5 * k + 12, k % 16 - 12);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            s52 = vector_dot_pairs(s52, v, w2);
            s53 = vector_dot_pairs(s53, v, w3);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + j + 2 * VECTOR, s02);
        vector_store(acc + j + 3 * VECTOR, s03);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 64 + j + 2 * VECTOR, s12);
        vector_store(acc + 64 + j + 3 * VECTOR, s13);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 128 + j + 2 * VECTOR, s22);
        vector_store(acc + 128 + j + 3 * VECTOR, s23);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 192 + j + 1 * VECTOR, s31);
        vector_store(acc + 192 + j + 2 * VECTOR, s32);
        vector_store(acc + 192 + j + 3 * VECTOR, s33);
        vector_store(acc + 256 + j, s40);
        vector_store(acc + 256 + j + 1 * VECTOR, s41);
        vector_store(acc + 256 + j + 2 * VECTOR, s42);
        vector_store(acc + 256 + j + 3 * VECTOR, s43);
        vector_store(acc + 320 + j, s50);
        vector_store(acc + 320 + j + 1 * VECTOR, s51);
        vector_store(acc + 320 + j + 2 * VECTOR, s52);
        vector_store(acc + 320 + j + 3 * VECTOR, s53);

        return;
    }
#endif
    for (; j < width; j += 16) {
        const uint8_t *u = x;
        const int8_t *b = w + 4 * j;
#if VECTOR == 16
        vector s00 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]);
        vector s40 = vector_all(-ones[4]);
        vector s50 = vector_all(-ones[5]);
        vector v, w0;

        for (; u != end; u += 16, b += step) {
            w0 = vector_digit(b, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_quad(u + 5 * k);
            s50 = vector_dot_pairs(s50, v, w0);
            w0 = vector_digit(b, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k + 4);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_quad(u + 5 * k + 4);
            s50 = vector_dot_pairs(s50, v, w0);
            w0 = vector_digit(b, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k + 8);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_quad(u + 5 * k + 8);
            s50 = vector_dot_pairs(s50, v, w0);
            w0 = vector_digit(b, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_quad(u + 4 * k + 12);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_quad(u + 5 * k + 12);
            s50 = vector_dot_pairs(s50, v, w0);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k, k % 16);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_rest(u + 5 * k, k % 16);
            s50 = vector_dot_pairs(s50, v, w0);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k + 4, k % 16 - 4);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_rest(u + 5 * k + 4, k % 16 - 4);
            s50 = vector_dot_pairs(s50, v, w0);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k + 8, k % 16 - 8);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_rest(u + 5 * k + 8, k % 16 - 8);
            s50 = vector_dot_pairs(s50, v, w0);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            v = vector_rest(u + 4 * k + 12, k % 16 - 12);
            s40 = vector_dot_pairs(s40, v, w0);
            v = vector_rest(u + 5 * k + 12, k % 16 - 12);
            s50 = vector_dot_pairs(s50, v, w0);
        }
        vector_store(acc + j, s00);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 256 + j, s40);
        vector_store(acc + 320 + j, s50);
#else
        vector s00 = vector_all(-ones[0]), s01 = vector_all(-ones[0]);
        vector s10 = vector_all(-ones[1]), s11 = vector_all(-ones[1]);
        vector s20 = vector_all(-ones[2]), s21 = vector_all(-ones[2]);
        vector s30 = vector_all(-ones[3]), s31 = vector_all(-ones[3]);
        vector s40 = vector_all(-ones[4]), s41 = vector_all(-ones[4]);
        vector s50 = vector_all(-ones[5]), s51 = vector_all(-ones[5]);
        vector v, w0, w1;

        for (; u != end; u += 16, b += step) {
            vector_ask_far(b);
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_quad(u);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_quad(u + 5 * k);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_quad(u + 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k + 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_quad(u + 5 * k + 4);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_quad(u + 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k + 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_quad(u + 5 * k + 8);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_quad(u + 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_quad(u + 1 * k + 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_quad(u + 2 * k + 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_quad(u + 3 * k + 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_quad(u + 4 * k + 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_quad(u + 5 * k + 12);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
        }
        if (k % 16 > 0) {
            w0 = vector_digit(b, 0);
            w1 = vector_digit(b + 4 * VECTOR, 0);
            v = vector_rest(u, k % 16);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k, k % 16);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k, k % 16);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k, k % 16);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k, k % 16);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_rest(u + 5 * k, k % 16);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
        }
        if (k % 16 > 4) {
            w0 = vector_digit(b, 1);
            w1 = vector_digit(b + 4 * VECTOR, 1);
            v = vector_rest(u + 4, k % 16 - 4);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 4, k % 16 - 4);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 4, k % 16 - 4);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 4, k % 16 - 4);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k + 4, k % 16 - 4);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_rest(u + 5 * k + 4, k % 16 - 4);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
        }
        if (k % 16 > 8) {
            w0 = vector_digit(b, 2);
            w1 = vector_digit(b + 4 * VECTOR, 2);
            v = vector_rest(u + 8, k % 16 - 8);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 8, k % 16 - 8);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 8, k % 16 - 8);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 8, k % 16 - 8);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k + 8, k % 16 - 8);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_rest(u + 5 * k + 8, k % 16 - 8);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
        }
        if (k % 16 > 12) {
            w0 = vector_digit(b, 3);
            w1 = vector_digit(b + 4 * VECTOR, 3);
            v = vector_rest(u + 12, k % 16 - 12);
            s00 = vector_dot_pairs(s00, v, w0);
            s01 = vector_dot_pairs(s01, v, w1);
            v = vector_rest(u + 1 * k + 12, k % 16 - 12);
            s10 = vector_dot_pairs(s10, v, w0);
            s11 = vector_dot_pairs(s11, v, w1);
            v = vector_rest(u + 2 * k + 12, k % 16 - 12);
            s20 = vector_dot_pairs(s20, v, w0);
            s21 = vector_dot_pairs(s21, v, w1);
            v = vector_rest(u + 3 * k + 12, k % 16 - 12);
            s30 = vector_dot_pairs(s30, v, w0);
            s31 = vector_dot_pairs(s31, v, w1);
            v = vector_rest(u + 4 * k + 12, k % 16 - 12);
            s40 = vector_dot_pairs(s40, v, w0);
            s41 = vector_dot_pairs(s41, v, w1);
            v = vector_rest(u + 5 * k + 12, k % 16 - 12);
            s50 = vector_dot_pairs(s50, v, w0);
            s51 = vector_dot_pairs(s51, v, w1);
        }
        vector_store(acc + j, s00);
        vector_store(acc + j + 1 * VECTOR, s01);
        vector_store(acc + 64 + j, s10);
        vector_store(acc + 64 + j + 1 * VECTOR, s11);
        vector_store(acc + 128 + j, s20);
        vector_store(acc + 128 + j + 1 * VECTOR, s21);
        vector_store(acc + 192 + j, s30);
        vector_store(acc + 192 + j + 1 * VECTOR, s31);
        vector_store(acc + 256 + j, s40);
        vector_store(acc + 256 + j + 1 * VECTOR, s41);
        vector_store(acc + 320 + j, s50);
        vector_store(acc + 320 + j + 1 * VECTOR, s51);
#endif

    }
#else
    for (size_t r = 0; r < 6; r++) {
        int32_t *restrict sum = acc + r * 64;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < k; i += 4) {
            const uint8_t *restrict u = x + r * k + i;
            const uint8_t *restrict b = (const uint8_t *)w + i / 16 * step;
            const size_t down = i % 16 / 2;
            const int32_t u0 = u[0], u1 = k - i > 1 ? u[1] : 0, u2 = k - i > 2 ? u[2] : 0,
                u3 = k - i > 3 ? u[3] : 0;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u0 * ((b[4 * j] >> down & 3) - 1) + u1 * ((b[4 * j + 1] >> down & 3) - 1)
                    + u2 * ((b[4 * j + 2] >> down & 3) - 1) + u3 * ((b[4 * j + 3] >> down & 3) - 1);
            }
        }
    }
#endif
}

/* A tile of `left` x `width` sums, as many rows at a time as the registers hold. */
static void tile6x64_zk37(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
#ifdef VECTOR
    const size_t most = VECTOR_DOT_PAIRS_ROWS;
#else
    const size_t most = 6;
#endif

    for (size_t done = 0, rows; done < left; done += rows) {
        const uint8_t *u = x + done * 37;
        int32_t *s = acc + done * 64;

        rows = left - done < most ? left - done : most;
        switch (rows) {
        case 1:
            dot1x64_zr(width, 37, u, w, s);
            break;
        case 2:
            dot2x64_zr(width, 37, u, w, s);
            break;
        case 3:
            dot3x64_zr(width, 37, u, w, s);
            break;
        case 4:
            dot4x64_zr(width, 37, u, w, s);
            break;
        case 5:
            dot5x64_zr(width, 37, u, w, s);
            break;
        default:
            dot6x64_zr(width, 37, u, w, s);
            break;
        }
    }
}

/* y[r][n] = ((q[r] - 128) . w[n]) * m[r] * 2^k[r] * mul[n] / 2^shift  + bias[n] + residual[r][n],
   rounded once and saturated. sums[n] is the sum of w[n]. */
static void linear_dynamic_k37_hvv_add_z_whole(size_t rows, size_t columns,
    const uint8_t *restrict q, const int32_t *restrict m, const int32_t *restrict k,
    const int8_t *restrict w, const int16_t *restrict sums, const int32_t *restrict mul, int shift,
    const int32_t *restrict bias, const int32_t *residual, int32_t *y)
{
    for (size_t n = 0; n < columns; n += 64) {
        const size_t width = columns - n < 64 ? columns - n : 64;

        for (size_t i = 0; i < rows; i += 6) {
            const size_t left = rows - i < 6 ? rows - i : 6;
            int32_t acc[384] VECTOR_PLACE;

            tile6x64_zk37(left, width, q + i * 37, w + n * 12, acc);
            for (size_t r = 0; r < left; r++) {
                const int64_t scale = m[i + r];
                const int down = shift - k[i + r];
                const int64_t half = INT64_C(1) << (down - 1);
                const size_t at = (i + r) * columns + n;

                for (size_t j = 0; j < width; j++) {
                    const int32_t sum = acc[r * 64 + j] - 128 * sums[n + j];
                    const int64_t v = clip_wide(asr64(sum * scale * mul[n + j] + half, down)
                        + bias[n + j]);

                    y[at + j] = (int32_t)clip_wide(v + residual[at + j]);
                }
            }
        }
    }
}
