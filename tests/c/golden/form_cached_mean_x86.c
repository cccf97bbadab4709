/* o = (sum of e[j] * value j) / (sum of e[j]) for e[j] = 2^-z, z = rsh(top - x[j], shift) in Q12.
   Each weight takes in its value's scale and has 14 bits; its upper and lower seven are multiplied
   apart. Weights of other keys, `before` these and behind, are zero. */
static void cached_mean_16(size_t before, size_t seen, int64_t top, int shift,
    const int8_t *restrict values, const uint32_t *restrict scale, int64_t *restrict x,
    uint8_t *restrict w, int32_t *restrict o)
{
    const int64_t high = top + (INT64_C(1) << shift >> 1);
    const size_t end = before + seen, count = (end + 3) / 4 * 4;
    uint8_t *upper = w, *lower = w + 64;
    int64_t total = 0, largest = 0;
    int32_t sum[32];

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
        upper[j] = lower[j] = 0;
    }
    for (size_t j = 0; j < seen; j++) {
        const int64_t v = (x[j] + half) >> s;
        const int32_t u = (int32_t)(v < 16383 ? v : 16383);

        upper[before + j] = (uint8_t)(u >> 7);
        lower[before + j] = (uint8_t)(u & 127);
    }
    for (size_t j = end; j < count; j++) {
        upper[j] = lower[j] = 0;
    }
    cached_sums_1_2(count / 4, 16, w, 64, values, sum);
    total *= 127;
    const int b = bit_length((uint64_t)total) + 15;
    const int64_t r = (INT64_C(1) << b) / total;

    for (size_t d = 0; d < 16; d++) {
        const int64_t v = (int64_t)sum[d] * 128 + sum[16 + d];

        o[d] = (int32_t)clip_wide(asr64(v * r + (INT64_C(1) << (b - s - 1)), b - s));
    }
}
