/* sum[d] += w . values[d] over groups of 32 keys. */
static void cached_sums_16(size_t count, const int16_t *restrict w, const int8_t *restrict values,
    int64_t *restrict sum)
{
#ifdef VECTOR
    for (size_t d = 0; d < 16; d += 4) {
        const int8_t *v = values + d * 64;
        vector s0 = vector_all(0), s1 = vector_all(0), s2 = vector_all(0), s3 = vector_all(0);

        for (size_t j = 0; j < count; j += 2 * VECTOR) {
            const vector u = vector_load(w + j);

            s0 = vector_dot_halves(s0, u, vector_load_halves8(v + j));
            s1 = vector_dot_halves(s1, u, vector_load_halves8(v + 64 + j));
            s2 = vector_dot_halves(s2, u, vector_load_halves8(v + 128 + j));
            s3 = vector_dot_halves(s3, u, vector_load_halves8(v + 192 + j));
        }
        sum[d] += vector_total(s0);
        sum[d + 1] += vector_total(s1);
        sum[d + 2] += vector_total(s2);
        sum[d + 3] += vector_total(s3);

    }
#else
    for (size_t d = 0; d < 16; d++) {
        const int8_t *v = values + d * 64;
        int32_t part = 0;

        for (size_t j = 0; j < count; j++) {
            part += w[j] * v[j];
        }
        sum[d] += part;
    }
#endif
}

/* o = (sum of e[j] * value j) / (sum of e[j]) for e[j] = 2^-z, z = rsh(top - x[j], shift) in Q12.
   Each weight takes in its value's scale and has 14 bits; sums of 1024 products fit 32 bits.
   Weights of other keys, `before` these and behind, are zero. */
static void cached_mean_16(size_t before, size_t seen, int64_t top, int shift,
    const int8_t *restrict values, const uint32_t *restrict scale, int64_t *restrict x,
    int16_t *restrict w, int32_t *restrict o)
{
    const int64_t high = top + (INT64_C(1) << shift >> 1);
    const size_t end = before + seen, count = (end + 31) / 32 * 32;
    int64_t total = 0, largest = 0, sum[16] = {0};

    for (size_t j = 0; j < seen; j++) {
        const uint64_t d = (uint64_t)(high - x[j]) >> shift;
        const uint32_t z = d < 94208u ? (uint32_t)d : 94208u;
        const uint32_t e = power_of_half(z) << 7 >> (z >> 12);

        total += e;
        x[j] = (int64_t)((uint64_t)e * scale[j]);
        largest = x[j] > largest ? x[j] : largest;
    }
    const int bits = bit_length((uint64_t)largest);
    const int s = bits > 14 ? bits - 14 : 0;
    const int64_t half = (INT64_C(1) << s) >> 1;

    for (size_t j = 0; j < before; j++) {
        w[j] = 0;
    }
    for (size_t j = 0; j < seen; j++) {
        const int64_t v = (x[j] + half) >> s;

        w[before + j] = (int16_t)(v < 16383 ? v : 16383);
    }
    for (size_t j = end; j < count; j++) {
        w[j] = 0;
    }
    for (size_t from = 0; from < count; from += 1024) {
        cached_sums_16(count - from < 1024 ? count - from : 1024, w + from, values + from, sum);
    }
    total *= 127;
    const int b = bit_length((uint64_t)total) + 15;
    const int64_t r = (INT64_C(1) << b) / total;

    for (size_t d = 0; d < 16; d++) {
        o[d] = (int32_t)clip_wide(asr64(sum[d] * r + (INT64_C(1) << (b - s - 1)), b - s));
    }
}
