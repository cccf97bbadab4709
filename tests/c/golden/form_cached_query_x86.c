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

/* acc[j] = y . (key j - 128) for whole groups of 32 keys. The numbers y are 128 times one byte and
   another. */
static void cached_dot_33(size_t count, const int16_t *restrict y, const uint8_t *restrict keys,
    int32_t *restrict acc)
{
#ifdef VECTOR
    uint8_t high[36] = {0}, low[36] = {0};
    int32_t total = 0;

    for (size_t d = 0; d < 33; d++) {
        const int32_t h = asr32(y[d] + 64, 7);

        high[d] = (uint8_t)h;
        low[d] = (uint8_t)(y[d] - 128 * h);
        total += y[d];
    }
    const vector lift = vector_all(-128 * total);
    const uint8_t *key = keys;

    for (size_t j = 0; j < count; j += 32) {
#if VECTOR == 16
        vector h0 = vector_all(0), l0 = h0, h1 = vector_all(0), l1 = h1;

        for (size_t d = 0; d < 36; d += 4) {
            const vector hd = vector_quad(high + d), ld = vector_quad(low + d);

            h0 = vector_dot_pairs(h0, vector_load(key), hd);
            l0 = vector_dot_pairs(l0, vector_load(key), ld);
            h1 = vector_dot_pairs(h1, vector_load(key + 4 * VECTOR), hd);
            l1 = vector_dot_pairs(l1, vector_load(key + 4 * VECTOR), ld);
            key += 128;
        }
        vector_store(acc + j, vector_add(vector_add(vector_left(h0, 7), l0), lift));
        vector_store(acc + j + 1 * VECTOR, vector_add(vector_add(vector_left(h1, 7), l1), lift));

#else
        vector h0 = vector_all(0), l0 = h0, h1 = vector_all(0), l1 = h1, h2 = vector_all(0),
            l2 = h2, h3 = vector_all(0), l3 = h3;

        for (size_t d = 0; d < 36; d += 4) {
            const vector hd = vector_quad(high + d), ld = vector_quad(low + d);

            h0 = vector_dot_pairs(h0, vector_load(key), hd);
            l0 = vector_dot_pairs(l0, vector_load(key), ld);
            h1 = vector_dot_pairs(h1, vector_load(key + 4 * VECTOR), hd);
            l1 = vector_dot_pairs(l1, vector_load(key + 4 * VECTOR), ld);
            h2 = vector_dot_pairs(h2, vector_load(key + 8 * VECTOR), hd);
            l2 = vector_dot_pairs(l2, vector_load(key + 8 * VECTOR), ld);
            h3 = vector_dot_pairs(h3, vector_load(key + 12 * VECTOR), hd);
            l3 = vector_dot_pairs(l3, vector_load(key + 12 * VECTOR), ld);
            key += 128;
        }
        vector_store(acc + j, vector_add(vector_add(vector_left(h0, 7), l0), lift));
        vector_store(acc + j + 1 * VECTOR, vector_add(vector_add(vector_left(h1, 7), l1), lift));
        vector_store(acc + j + 2 * VECTOR, vector_add(vector_add(vector_left(h2, 7), l2), lift));
        vector_store(acc + j + 3 * VECTOR, vector_add(vector_add(vector_left(h3, 7), l3), lift));

#endif
    }
#else
    for (size_t j = 0; j < count; j++) {
        const uint8_t *restrict key = keys + j / 32 * 1152 + j % 32 * 4;
        int32_t s = 0;

        for (size_t d = 0; d < 33; d++) {
            s += y[d] * (key[d / 4 * 128 + d % 4] - 128);
        }
        acc[j] = s;
    }
#endif
}

/* x[j] = (y . key j) * scale[j] for `seen` keys, `before` of a group of 32 being left out. Returns
   the largest. */
static int64_t cached_query_33(size_t before, size_t seen, const int16_t *restrict y,
    const uint8_t *restrict keys, const int64_t *restrict scale, int32_t *restrict acc,
    int64_t *restrict x)
{
    int64_t top = INT64_MIN;

    cached_dot_33(before + seen, y, keys, acc);
    for (size_t j = 0; j < seen; j++) {
        x[j] = acc[before + j] * scale[j];
        top = x[j] > top ? x[j] : top;
    }
    return top;
}
