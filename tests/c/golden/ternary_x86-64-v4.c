/* q[r] = 128 + round(127 * x[r] / largest), the largest magnitude of the row being about m[r] *
   2^k[r]. */
static void dynamic_quantize(size_t rows, size_t columns, const int32_t *restrict x,
    uint8_t *restrict q, int32_t *restrict m, int32_t *restrict k)
{
    for (size_t r = 0; r < rows; r++) {
        const int32_t *restrict in = x + r * columns;
        uint8_t *restrict out = q + r * columns;
        int32_t largest = 0;

        for (size_t j = 0; j < columns; j++) {
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

        for (size_t j = 0; j < columns; j++) {
            const int32_t v = asr32(in[j] + half, down);

            out[j] = (uint8_t)(128 + asr32(v * factor + 2097152, 22));
        }
    }
}

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

/* Four bytes, repeated. */
static inline vector vector_quad(const uint8_t *x)
{
    return _mm512_broadcastd_epi32(_mm_loadu_si32(x));
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

/* The upper halves of unsigned products. */
static inline vector vector_high(vector a, vector b)
{
    const vector even = _mm512_mul_epu32(a, b);
    const vector odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    return _mm512_castps_si512(
        _mm512_mask_movehdup_ps(_mm512_castsi512_ps(odd), 0x5555, _mm512_castsi512_ps(even)));
}

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down and held in [-2^30, 2^30]. */
static inline vector vector_scaled(vector a, vector b, int bits)
{
    const vector half = _mm512_set1_epi64(INT64_C(1) << (bits - 1));
    const vector most = _mm512_set1_epi64(INT64_C(1) << 30),
        least = _mm512_set1_epi64(-(INT64_C(1) << 30));
    const __m128i by = _mm_cvtsi32_si128(bits);
    vector even = _mm512_mul_epi32(a, b);
    vector odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));

    even = _mm512_sra_epi64(_mm512_add_epi64(even, half), by);
    odd = _mm512_sra_epi64(_mm512_add_epi64(odd, half), by);
    even = _mm512_max_epi64(_mm512_min_epi64(even, most), least);
    odd = _mm512_max_epi64(_mm512_min_epi64(odd, most), least);
    return _mm512_mask_blend_epi32(0x5555, _mm512_slli_epi64(odd, 32), even);
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

static inline void octets_store(uint8_t *to, octets v)
{
    _mm512_storeu_si512(to, v);
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

/* Four bytes, repeated. */
static inline vector vector_quad(const uint8_t *x)
{
    return _mm256_broadcastd_epi32(_mm_loadu_si32(x));
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

/* The upper halves of unsigned products. */
static inline vector vector_high(vector a, vector b)
{
    const vector even = _mm256_mul_epu32(a, b);
    const vector odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    return _mm256_blend_epi32(odd, _mm256_srli_epi64(even, 32), 0x55);
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

/* (a * b + 2^(bits - 1)) / 2^bits, rounded down and held in [-2^30, 2^30]. */
static inline vector vector_scaled(vector a, vector b, int bits)
{
    const vector half = _mm256_set1_epi64x(INT64_C(1) << (bits - 1));
    vector even = _mm256_mul_epi32(a, b);
    vector odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    even = vector_shifted(_mm256_add_epi64(even, half), bits);
    odd = vector_shifted(_mm256_add_epi64(odd, half), bits);
    return _mm256_blend_epi32(_mm256_slli_epi64(odd, 32), even, 0x55);
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

static inline void octets_store(uint8_t *to, octets v)
{
    _mm256_storeu_si256((void *)to, v);
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

/* The one to three bytes that a row ends with; what is past them meets weights of zero. */
static inline vector vector_rest(const uint8_t *x, size_t count)
{
    uint32_t v = 0;

    for (size_t i = 0; i < count; i++) {
        v |= (uint32_t)x[i] << 8 * i;
    }
    return vector_all((int32_t)v);
}

/* v held in [lo, hi]. */
static inline vector vector_clip(vector v, int32_t lo, int32_t hi)
{
    return vector_max(vector_min(v, vector_all(hi)), vector_all(lo));
}
#else
#define VECTOR_PLACE
#endif

/* panel[j][i] = digit j of p[i] - 1, for 4 digits of `bytes` bytes. */
static void unpack_t2(size_t bytes, const int8_t *restrict p, int8_t *restrict panel)
{
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t v = (uint8_t)p[i];

        panel[i] = (int8_t)((int32_t)(v & 3u) - 1);
        panel[bytes + i] = (int8_t)((int32_t)(v >> 2 & 3u) - 1);
        panel[2 * bytes + i] = (int8_t)((int32_t)(v >> 4 & 3u) - 1);
        panel[3 * bytes + i] = (int8_t)((int32_t)(v >> 6) - 1);
    }
}

/* acc[c] += x . panel[c] over `count` elements. */
static void dot4_40(size_t count, const uint8_t *restrict x, const int8_t *restrict panel,
    int32_t *restrict acc)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

    for (size_t k = 0; k < count; k++) {
        s0 += x[k] * panel[k];
        s1 += x[k] * panel[40 + k];
        s2 += x[k] * panel[80 + k];
        s3 += x[k] * panel[120 + k];
    }
    acc[0] += s0;
    acc[1] += s1;
    acc[2] += s2;
    acc[3] += s3;
}

/* A tile of `left` x `width` sums with 4 weights to a byte. Chunks of 4 columns are unpacked and
   serve all rows; the weights are padded to whole blocks. */
static void tile_t2_k37(size_t left, size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
    for (size_t j = 0; j < width; j += 4) {
        for (size_t r = 0; r < left; r++) {
            for (size_t c = 0; c < 4; c++) {
                acc[r * 64 + j + c] = 0;
            }
        }
        for (size_t k = 0; k < 37; k += 40) {
            const size_t count = 37 - k < 40 ? 37 - k : 40;
            const int8_t *packed = w + j * 10 + k / 4;
            int8_t panel[160];

            for (size_t c = 0; c < 4; c++) {
                unpack_t2((count + 3) / 4, packed + c * 10, panel + c * 40);
            }
            for (size_t r = 0; r < left; r++) {
                dot4_40(count, x + r * 37 + k, panel, acc + r * 64 + j);
            }
        }
    }
}

/* y[r][n] = ((q[r] - 128) . w[n]) * m[r] * 2^k[r] * mul[n] / 2^shift  + bias[n], rounded once and
   saturated. sums[n] is the sum of w[n]. */
static void linear_dynamic_k37_hvv_t2_whole(size_t rows, size_t columns, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, const int8_t *restrict w,
    const int16_t *restrict sums, const int32_t *restrict mul, int shift,
    const int32_t *restrict bias, int32_t *restrict y)
{
    for (size_t n = 0; n < columns; n += 64) {
        const size_t width = columns - n < 64 ? columns - n : 64;

        for (size_t i = 0; i < rows; i += 16) {
            const size_t left = rows - i < 16 ? rows - i : 16;
            int32_t acc[1024] VECTOR_PLACE;

            tile_t2_k37(left, width, q + i * 37, w + n * 10, acc);
            for (size_t r = 0; r < left; r++) {
                const int64_t scale = m[i + r];
                const int down = shift - k[i + r];
                const int64_t half = INT64_C(1) << (down - 1);
                const size_t at = (i + r) * columns + n;

                for (size_t j = 0; j < width; j++) {
                    const int32_t sum = acc[r * 64 + j] - 128 * sums[n + j];
                    const int64_t v = clip_wide(asr64(sum * scale * mul[n + j] + half, down)
                        + bias[n + j]);

                    y[at + j] = (int32_t)v;
                }
            }
        }
    }
}
