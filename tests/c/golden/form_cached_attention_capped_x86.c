/* x[j] = tanh(rsh(x[j], shift) * mul / 2^down) * gain, tanh in Q15. Returns the largest. */
static int64_t cached_attention_capped_4x33_16_cap(size_t count, int shift, uint32_t mul, int down,
    int64_t gain, int64_t *restrict x)
{
    const int64_t half = INT64_C(1) << (shift - 1);
    int64_t top = INT64_MIN;

    for (size_t j = 0; j < count; j++) {
        const int64_t score = asr64(x[j] + half, shift);
        const int32_t r = score < -INT32_MAX ? -INT32_MAX
                        : score > INT32_MAX  ? INT32_MAX
                                             : (int32_t)score;

        x[j] = hyperbolic(r, mul, down) * gain;
        top = x[j] > top ? x[j] : top;
    }
    return top;
}

/* Causal attention of n tokens behind `position` earlier ones: 4 heads of width 33, 4 to a key
   head; a query sees the last `window` keys up to its own. Scores are capped.   What belongs to
   keys begins with the first of 32 that lie side by side. */
static void cached_attention_capped_4x33_16(size_t start, size_t stop, size_t n, size_t position,
    const int32_t *restrict q, const uint8_t *restrict keys, const uint16_t *restrict km,
    const uint8_t *restrict kk, const int8_t *restrict values, const uint16_t *restrict vm,
    const uint8_t *restrict vk, uint32_t mul, int pre, int shift, size_t window, uint32_t tanh_mul,
    int tanh_shift, int64_t gain, int gain_shift, int64_t *restrict x, uint8_t *restrict w,
    int32_t *restrict dots, int64_t *restrict key_scale, uint32_t *restrict value_scale,
    int32_t *restrict o)
{
    const uint64_t half = UINT64_C(1) << (pre - 1);
    const size_t lowest = position + 1 > window ? position + 1 - window : 0;

    for (size_t g = start / 4; g < (stop + 3) / 4; g++) {
        const size_t head = g * 64;
        const size_t begin = g * 4 > start ? g * 4 : start;
        const size_t behind = (g + 1) * 4 < stop ? (g + 1) * 4 : stop;
        for (size_t j = lowest; j < position + n; j++) {
            key_scale[j] = (int64_t)((((uint64_t)km[head + j] << kk[head + j]) * mul
                + half) >> pre);
            value_scale[j] = (uint32_t)vm[head + j] << vk[head + j];
        }
        for (size_t i = 0; i < n; i++) {
            const size_t end = position + i + 1;
            const size_t oldest = end > window ? end - window : 0, before = oldest % 32;
            const size_t from = oldest - before, seen = end - oldest;

            for (size_t h = begin; h < behind; h++) {
                const size_t row = i * 4 + h;
                int16_t y[33];
                const int e = cached_query_33_narrow(q + row * 33, y);
                int64_t top = cached_query_33(before, seen, y, keys + (head + from) * 36,
                    key_scale + oldest, dots, x);

                top = cached_attention_capped_4x33_16_cap(seen, shift - e, tanh_mul, tanh_shift,
                    gain, x);
                cached_mean_16(before, seen, top, gain_shift,
                    values + (head + from) * 16, value_scale + oldest, x, w, o + row * 16);
            }
        }
    }
}
