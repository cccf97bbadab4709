/* Causal attention of n tokens behind `position` earlier ones: 3 heads of width 64, 3 to a key
   head; a query sees the last `window` keys up to its own.   What belongs to keys begins with the
   first of 32 that lie side by side. */
static void cached_attention_3x64(size_t start, size_t stop, size_t n, size_t position,
    const int32_t *restrict q, const uint8_t *restrict keys, const uint16_t *restrict km,
    const uint8_t *restrict kk, const int8_t *restrict values, const uint16_t *restrict vm,
    const uint8_t *restrict vk, uint32_t mul, int pre, int shift, size_t window,
    int64_t *restrict x, uint8_t *restrict w, int32_t *restrict dots, int64_t *restrict key_scale,
    uint32_t *restrict value_scale, int32_t *restrict o)
{
    const uint64_t half = UINT64_C(1) << (pre - 1);
    const size_t lowest = position + 1 > window ? position + 1 - window : 0;

    for (size_t g = start / 3; g < (stop + 2) / 3; g++) {
        const size_t head = g * 64;
        const size_t begin = g * 3 > start ? g * 3 : start;
        const size_t behind = (g + 1) * 3 < stop ? (g + 1) * 3 : stop;
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
                const size_t row = i * 3 + h;
                int16_t y[64];
                const int e = cached_query_64_narrow(q + row * 64, y);
                int64_t top = cached_query_64(before, seen, y, keys + (head + from) * 64,
                    key_scale + oldest, dots, x);

                cached_mean_64(before, seen, top, shift - e,
                    values + (head + from) * 64, value_scale + oldest, x, w, o + row * 64);
            }
        }
    }
}
