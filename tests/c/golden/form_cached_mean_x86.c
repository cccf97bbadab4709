/* Numerators e[j] = 2^-z in Q23, z = rsh(top - x[j], shift) in Q12, and the sum of them. Returns
   the bits of what weights have above 32: terms[j] = e[j] * scale[j] / 2^32. */
static uint32_t cached_mean_16_numerators(size_t before, size_t seen, int64_t top, int shift,
    const uint32_t *restrict scale, const int64_t *restrict x, int32_t *restrict e,
    int32_t *restrict terms, int64_t *restrict total)
{
    const size_t end = before + seen;
#ifdef VECTOR
    /* Nine more steps of z: halves at the upper end of a word need as many shifts more. */
    const vector high = vector_wide_all(top + (INT64_C(1) << shift >> 1)
        + (INT64_C(36864) << shift));
    const vector upper = vector_all(-65536);
    vector sum = vector_all(0), bits = sum, z[2];

    for (size_t j = 0; j < end; j += 2 * VECTOR) {
        for (size_t i = 0; i < 2; i++) {
            z[i] = vector_distance(high, x + j + i * VECTOR, shift, 131072);
        }
        const vector h = vector_powers(z[0], z[1]);
        const vector e0 = vector_down_each(vector_left(h, 16), vector_down(z[0], 12));
        const vector e1 = vector_down_each(vector_and(h, upper), vector_down(z[1], 12));
        const vector t0 = vector_high(e0, vector_load(scale + j));
        const vector t1 = vector_high(e1, vector_load(scale + j + VECTOR));

        vector_store(e + j, e0);
        vector_store(e + j + VECTOR, e1);
        vector_store(terms + j, t0);
        vector_store(terms + j + VECTOR, t1);
        sum = vector_wide_add_unsigned(sum, vector_add(e0, e1));
        bits = vector_or(bits, vector_or(t0, t1));
    }
    *total = vector_wide_total(sum);
    return vector_bits(bits);
#else
    const int64_t high = top + (INT64_C(1) << shift >> 1);

    *total = 0;
    for (size_t j = before; j < end; j++) {
        const uint64_t d = (uint64_t)(high - x[j]) >> shift;
        const uint32_t z = d < 94208u ? (uint32_t)d : 94208u;

        e[j] = (int32_t)(power_of_half(z) << 7 >> (z >> 12));
        *total += e[j];
    }
    (void)scale;
    (void)terms;
    return 0;
#endif
}

/* Weights w[j] = rsh(e[j] * scale[j], raised + s) of 14 bits, their upper and lower seven apart;
   those of other keys are zero. Returns s, for which the largest has all bits. Where all that
   counts lies above 32 bits, terms are enough. */
static int cached_mean_16_weights(size_t before, size_t seen, const uint32_t *restrict scale,
    int raised, const int32_t *restrict e, const int32_t *restrict terms, uint32_t above,
    uint8_t *restrict w, size_t stride)
{
    const size_t end = before + seen;
    uint8_t *upper = w, *lower = w + stride;

#ifdef VECTOR
    if (above >= 16384) {
        const int s = bit_length(above) - 14;
        const vector half = vector_all(1 << (s - 1)), by = vector_all(s), most = vector_all(16383);

        for (size_t j = 0; j < end; j += 2 * VECTOR) {
            const vector a = vector_min(vector_down_each(vector_add(vector_load(terms + j), half),
                by), most);
            const vector b = vector_min(vector_down_each(vector_add(vector_load(terms + j + VECTOR),
                half), by), most);

            vector_store_bytes(upper + j, vector_down(a, 7), vector_down(b, 7));
            vector_store_bytes(lower + j, vector_and(a, vector_all(127)), vector_and(b,
                vector_all(127)));
        }
        return s + 32 - raised;
    }
#endif
    uint64_t largest = 0;

    for (size_t j = before; j < end; j++) {
        largest |= (uint64_t)e[j] * scale[j];
    }
    const int bits = bit_length(largest) - 14;
    const int s = bits > raised ? bits : raised;
    const uint64_t half = s > raised ? UINT64_C(1) << (s - 1) : 0;

    for (size_t j = 0; j < before; j++) {
        upper[j] = lower[j] = 0;
    }
    for (size_t j = before; j < end; j++) {
        const uint64_t v = ((uint64_t)e[j] * scale[j] + half) >> s;
        const uint32_t u = v < 16383u ? (uint32_t)v : 16383u;

        upper[j] = (uint8_t)(u >> 7);
        lower[j] = (uint8_t)(u & 127);
    }
    for (size_t j = end; j % 4 != 0; j++) {
        upper[j] = lower[j] = 0;
    }
    (void)terms;
    (void)above;
    return s - raised;
}

/* o = (sum of w[j] * value j) * 2^s / total, of the sums of upper and of lower halves for `seen`
   keys. */
static void cached_mean_16(size_t seen, const int32_t *restrict sum, int64_t total, int s,
    int32_t *restrict o)
{
    const int b = bit_length((uint64_t)total * 127) + 15;
    const int64_t r = (INT64_C(1) << b) / (total * 127);

#ifdef VECTOR
    if (seen <= 1024) { /* sums fit 32 bits */
        const vector by = vector_all((int32_t)r);

        for (size_t d = 0; d < 16; d += VECTOR) {
            const vector upper = vector_left(vector_load(sum + d), 7);
            const vector v = vector_add(upper, vector_load(sum + 16 + d));

            vector_store(o + d, vector_clip(vector_scaled(v, by, b - s), -536805376, 536805376));
        }
        return;
    }
#endif
    (void)seen;
    for (size_t d = 0; d < 16; d++) {
        const int64_t v = (int64_t)sum[d] * 128 + sum[16 + d];

        o[d] = (int32_t)clip_wide(asr64(v * r + (INT64_C(1) << (b - s - 1)), b - s));
    }
}
