/* Bring a query to 13 bits: y = rsh(q, e). Returns e. */
static int cached_query_33_narrow(const int32_t *restrict q, int16_t *restrict y)
{
    int32_t largest = 0;

    for (size_t d = 0; d < 33; d++) {
        const int32_t magnitude = q[d] < 0 ? -q[d] : q[d];

        largest = magnitude > largest ? magnitude : largest;
    }
    const int bits = bit_length((uint64_t)largest);
    const int e = bits > 13 ? bits - 13 : 0;
    const int32_t half = (1 << e) >> 1;

    for (size_t d = 0; d < 33; d++) {
        y[d] = (int16_t)asr32(q[d] + half, e);
    }
    return e;
}

/* Bring a query to 13 bits: rsh(q, e) = 128 * high + low, high bytes being followed by low ones.
   Returns e; `lift` is what products with keys exceed those with keys - 128 by, negated. */
static int cached_query_33_halves(const int32_t *restrict q, uint8_t *restrict y,
    int32_t *restrict lift)
{
    int16_t narrow[33];
    const int e = cached_query_33_narrow(q, narrow);
    int32_t total = 0;

    for (size_t d = 0; d < 33; d++) {
        const int32_t h = asr32(narrow[d] + 64, 7);

        y[d] = (uint8_t)h;
        y[36 + d] = (uint8_t)(narrow[d] - 128 * h);
        total += narrow[d];
    }
    for (size_t d = 33; d < 36; d++) {
        y[d] = y[36 + d] = 0;
    }
    *lift = -128 * total;
    return e;
}

/* acc[j] = y . (key j - 128) for whole groups of 32 keys. */
static void cached_dot_33(size_t count, const uint8_t *restrict y, int32_t lift,
    const uint8_t *restrict keys, int32_t *restrict acc)
{
    const uint8_t *high = y, *low = y + 36;
#ifdef VECTOR
    const vector lifts = vector_all(lift);
    const uint8_t *key = keys;

    for (size_t j = 0; j < count; j += 32) {
#if VECTOR == 16
        vector h0 = vector_all(0), l0 = h0, h1 = vector_all(0), l1 = h1;

        for (size_t d = 0; d < 36; d += 4) {
            const vector hd0 = vector_quad(high + d), ld0 = vector_quad(low + d);

            h0 = vector_dot_pairs(h0, vector_load(key), hd0);
            l0 = vector_dot_pairs(l0, vector_load(key), ld0);
            h1 = vector_dot_pairs(h1, vector_load(key + 4 * VECTOR), hd0);
            l1 = vector_dot_pairs(l1, vector_load(key + 4 * VECTOR), ld0);
            key += 128;
        }
        vector_store(acc + j, vector_add(vector_add(vector_left(h0, 7), l0), lifts));
        vector_store(acc + j + 1 * VECTOR, vector_add(vector_add(vector_left(h1, 7), l1), lifts));

#else
        vector h0 = vector_all(0), l0 = h0, h1 = vector_all(0), l1 = h1, h2 = vector_all(0),
            l2 = h2, h3 = vector_all(0), l3 = h3;

        for (size_t d = 0; d < 36; d += 4) {
            const vector hd0 = vector_quad(high + d), ld0 = vector_quad(low + d);

            h0 = vector_dot_pairs(h0, vector_load(key), hd0);
            l0 = vector_dot_pairs(l0, vector_load(key), ld0);
            h1 = vector_dot_pairs(h1, vector_load(key + 4 * VECTOR), hd0);
            l1 = vector_dot_pairs(l1, vector_load(key + 4 * VECTOR), ld0);
            h2 = vector_dot_pairs(h2, vector_load(key + 8 * VECTOR), hd0);
            l2 = vector_dot_pairs(l2, vector_load(key + 8 * VECTOR), ld0);
            h3 = vector_dot_pairs(h3, vector_load(key + 12 * VECTOR), hd0);
            l3 = vector_dot_pairs(l3, vector_load(key + 12 * VECTOR), ld0);
            key += 128;
        }
        vector_store(acc + j, vector_add(vector_add(vector_left(h0, 7), l0), lifts));
        vector_store(acc + j + 1 * VECTOR, vector_add(vector_add(vector_left(h1, 7), l1), lifts));
        vector_store(acc + j + 2 * VECTOR, vector_add(vector_add(vector_left(h2, 7), l2), lifts));
        vector_store(acc + j + 3 * VECTOR, vector_add(vector_add(vector_left(h3, 7), l3), lifts));

#endif
    }
#else
    for (size_t j = 0; j < count; j++) {
        const uint8_t *restrict key = keys + j / 32 * 1152 + j % 32 * 4;
        int32_t s = lift;

        for (size_t d = 0; d < 33; d++) {
            s += (128 * (int8_t)high[d] + (int8_t)low[d]) * key[d / 4 * 128 + d % 4];
        }
        acc[j] = s;
    }
#endif
}

/* x[j] = (y . key j) * (scale[j] + 2^31 * above[j]) for keys from `before` on, `seen` of them,
   where `large` tells whether anything lies above. Returns the largest. In vectors, even elements
   lie before odd ones, and other keys lie below all. */
static int64_t cached_query_33(size_t before, size_t seen, const uint8_t *restrict y, int32_t lift,
    const uint8_t *restrict keys, const uint32_t *restrict scale, uint32_t large,
    int32_t *restrict acc, int64_t *restrict x)
{
    const uint32_t *above = scale + 64;
    const size_t end = before + seen;

    cached_dot_33(end, y, lift, keys, acc);
#ifdef VECTOR
    vector top = vector_wide_all(INT64_MIN);

    for (size_t j = 0; j < (end + 2 * VECTOR - 1) / (2 * VECTOR) * (2 * VECTOR); j += VECTOR) {
        vector v = vector_load(acc + j), f = vector_load(scale + j);

        if (j < before || j + VECTOR > end) {
            v = vector_within(v, j, before, seen, INT32_MIN);
            f = vector_within(f, j, before, seen, INT32_MAX);
        }
        vector even = vector_wide_product(v, f), odd = vector_wide_product(vector_odd(v),
            vector_odd(f));

        if (large != 0) {
            f = vector_within(vector_load(above + j), j, before, seen, 0);
            even = vector_wide_sum(even, vector_wide_left(vector_wide_product(v, f), 31));
            odd = vector_wide_sum(odd, vector_wide_left(vector_wide_product(vector_odd(v),
                vector_odd(f)), 31));
        }
        vector_wide_store(x + j, even);
        vector_wide_store(x + j + VECTOR / 2, odd);
        top = vector_wide_max(top, vector_wide_max(even, odd));
    }
    return vector_wide_most(top);
#else
    int64_t top = INT64_MIN;

    (void)large;
    for (size_t j = before; j < end; j++) {
        x[j] = acc[j] * (int64_t)(scale[j] + ((uint64_t)above[j] << 31));
        top = x[j] > top ? x[j] : top;
    }
    return top;
#endif
}
