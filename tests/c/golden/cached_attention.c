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

/* Append the keys of n tokens, 1 x 64, to a cache [1][41][64] behind `position` earlier ones, each
   with its scale mantissa * 2^exponent. */
static void cache_keys_1x64(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, int8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 1; h++) {
        for (size_t i = 0; i < n; i++) {
            const size_t from = i * 1 + h;
            const size_t to = h * 41 + position + i;

            for (size_t d = 0; d < 64; d++) {
                codes[to * 64 + d] = (int8_t)(q[from * 64 + d] - 128);
            }
            mantissa[to] = (uint16_t)m[from];
            exponent[to] = (uint8_t)k[from];
        }
    }
}

/* Append the values of n tokens, 1 x 64, to a cache [1][64][41] behind `position` earlier ones,
   each with its scale mantissa * 2^exponent. */
static void cache_values_1x64(size_t n, size_t position, const uint8_t *restrict q,
    const int32_t *restrict m, const int32_t *restrict k, int8_t *restrict codes,
    uint16_t *restrict mantissa, uint8_t *restrict exponent)
{
    for (size_t h = 0; h < 1; h++) {
        for (size_t d = 0; d < 64; d++) {
            int8_t *restrict to = codes + (h * 64 + d) * 41 + position;

            for (size_t i = 0; i < n; i++) {
                to[i] = (int8_t)(q[(i * 1 + h) * 64 + d] - 128);
            }
        }
        for (size_t i = 0; i < n; i++) {
            mantissa[h * 41 + position + i] = (uint16_t)m[i * 1 + h];
            exponent[h * 41 + position + i] = (uint8_t)k[i * 1 + h];
        }
    }
}

/* Bring a query to 13 bits: y = rsh(q, e). Returns e. */
static int cached_query_64_narrow(const int32_t *restrict q, int16_t *restrict y)
{
    int32_t largest = 0;

    for (size_t d = 0; d < 64; d++) {
        const int32_t magnitude = q[d] < 0 ? -q[d] : q[d];

        largest = magnitude > largest ? magnitude : largest;
    }
    const int bits = bit_length((uint64_t)largest);
    const int e = bits > 13 ? bits - 13 : 0;
    const int32_t half = (1 << e) >> 1;

    for (size_t d = 0; d < 64; d++) {
        y[d] = (int16_t)asr32(q[d] + half, e);
    }
    return e;
}

/* y . key for four keys that share its loads. */
static void cached_dot_64(const int16_t *restrict y, const int8_t *restrict k0,
    const int8_t *restrict k1, const int8_t *restrict k2, const int8_t *restrict k3,
    int32_t *restrict acc)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;

    for (size_t d = 0; d < 64; d++) {
        s0 += y[d] * k0[d];
        s1 += y[d] * k1[d];
        s2 += y[d] * k2[d];
        s3 += y[d] * k3[d];
    }
    acc[0] = s0;
    acc[1] = s1;
    acc[2] = s2;
    acc[3] = s3;
}

/* x[j] = (y . key j) * rsh((m[j] << k[j]) * mul, pre) for `count` keys. Keys past the last one
   repeat it. Returns the largest. */
static int64_t cached_query_64(size_t count, const int16_t *restrict y, const int8_t *restrict keys,
    const uint16_t *restrict m, const uint8_t *restrict k, uint32_t mul, int pre,
    int64_t *restrict x)
{
    const uint64_t half = UINT64_C(1) << (pre - 1);
    int64_t top = INT64_MIN;

    for (size_t j = 0; j < count; j += 4) {
        const size_t left = count - j < 4 ? count - j : 4;
        const int8_t *key = keys + j * 64;
        int32_t acc[4];

        cached_dot_64(y, key, key + (left > 1 ? 64 : 0), key + (left > 2 ? 128 : 0),
            key + (left > 3 ? 192 : 0), acc);
        for (size_t i = 0; i < left; i++) {
            const uint64_t f = (((uint64_t)m[j + i] << k[j + i]) * mul + half) >> pre;

            x[j + i] = acc[i] * (int64_t)f;
            top = x[j + i] > top ? x[j + i] : top;
        }
    }
    return top;
}

/* 2^-(z mod 4096 / 4096) in Q16, a quartic of at most 65535; the whole part of z is z >> 12. */
static inline uint32_t power_of_half(uint32_t z)
{
    const int32_t f = (int32_t)(z & 4095u);
    int32_t h = 449;

    h = asr32(h * f + 2048, 12) - 3489;
    h = asr32(h * f + 2048, 12) + 15692;
    h = asr32(h * f + 2048, 12) - 45420;
    h = asr32(h * f + 2048, 12) + 65536;
    return h < 65535 ? (uint32_t)h : 65535u;
}

/* o = (sum of e[j] * value j) / (sum of e[j]) for e[j] = 2^-z, z = rsh(top - x[j], shift) in Q12.
   Each weight takes in its value's scale and has 14 bits; sums of 1024 products fit 32 bits. */
static void cached_mean_64(size_t count, int64_t top, int shift, const int8_t *restrict values,
    const uint16_t *restrict m, const uint8_t *restrict k, int64_t *restrict x, int16_t *restrict w,
    int32_t *restrict o)
{
    const int64_t high = top + (INT64_C(1) << shift >> 1);
    int64_t total = 0, largest = 0, sum[64] = {0};

    for (size_t j = 0; j < count; j++) {
        const uint64_t d = (uint64_t)(high - x[j]) >> shift;
        const uint32_t z = d < 94208u ? (uint32_t)d : 94208u;
        const int64_t e = (int64_t)(power_of_half(z) << 7 >> (z >> 12));

        total += e;
        x[j] = e * ((int64_t)m[j] << k[j]);
        largest = x[j] > largest ? x[j] : largest;
    }
    const int bits = bit_length((uint64_t)largest);
    const int s = bits > 14 ? bits - 14 : 0;
    const int64_t half = (INT64_C(1) << s) >> 1;

    for (size_t j = 0; j < count; j++) {
        const int64_t v = (x[j] + half) >> s;

        w[j] = (int16_t)(v < 16383 ? v : 16383);
    }
    for (size_t from = 0; from < count; from += 1024) {
        const size_t length = count - from < 1024 ? count - from : 1024;

        for (size_t d = 0; d < 64; d++) {
            const int8_t *restrict v = values + d * 41 + from;
            const int16_t *restrict u = w + from;
            int32_t part = 0;

            for (size_t j = 0; j < length; j++) {
                part += u[j] * v[j];
            }
            sum[d] += part;
        }
    }
    total *= 127;
    const int b = bit_length((uint64_t)total) + 15;
    const int64_t r = (INT64_C(1) << b) / total;

    for (size_t d = 0; d < 64; d++) {
        o[d] = (int32_t)clip_wide(asr64(sum[d] * r + (INT64_C(1) << (b - s - 1)), b - s));
    }
}

/* Causal attention of n tokens behind `position` earlier ones: 3 heads of width 64, 3 to a key
   head; a query sees the last `window` keys up to its own. */
static void cached_attention_3x64(size_t n, size_t position, const int32_t *restrict q,
    const int8_t *restrict keys, const uint16_t *restrict km, const uint8_t *restrict kk,
    const int8_t *restrict values, const uint16_t *restrict vm, const uint8_t *restrict vk,
    uint32_t mul, int pre, int shift, size_t window, int64_t *restrict x, int16_t *restrict w,
    int32_t *restrict o)
{
    for (size_t h = 0; h < 3; h++) {
        const size_t head = h / 3 * 41;

        for (size_t i = 0; i < n; i++) {
            const size_t end = position + i + 1;
            const size_t first = end > window ? end - window : 0;
            const size_t from = head + first, row = i * 3 + h;
            int16_t y[64];
            const int e = cached_query_64_narrow(q + row * 64, y);
            int64_t top = cached_query_64(end - first, y, keys + from * 64, km + from, kk + from,
                mul, pre, x);

            cached_mean_64(end - first, top, shift - e,
                values + head * 64 + first, vm + from, vk + from, x, w,
                o + row * 64);
        }
    }
}
