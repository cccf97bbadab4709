/* x[j] = tanh(rsh(x[j], shift) * mul / 2^down) * gain, tanh in Q15; what lies below all scores
   stays there. Returns the largest. */
static int64_t cached_attention_capped_4x33_16_cap(size_t count, int shift, uint32_t mul, int down,
    int64_t gain, int64_t *restrict x)
{
    const int64_t half = INT64_C(1) << (shift - 1);
    int64_t top = INT64_MIN;

    for (size_t j = 0; j < count; j++) {
        if (x[j] < -(INT64_C(1) << 61)) {
            continue;
        }
        const int64_t score = asr64(x[j] + half, shift);
        const int32_t r = score < -INT32_MAX ? -INT32_MAX
                        : score > INT32_MAX  ? INT32_MAX
                                             : (int32_t)score;

        x[j] = hyperbolic(r, mul, down) * gain;
        top = x[j] > top ? x[j] : top;
    }
    return top;
}

/* Factors of the products with keys: rsh((km << kk) * mul, pre) = scale + 2^31 * above; those of
   keys beside them are zero. Returns the bits of what lies above. */
static uint32_t cached_attention_capped_4x33_16_keys(size_t lowest, size_t end,
    const uint16_t *restrict km, const uint8_t *restrict kk, uint32_t mul, int pre,
    uint32_t *restrict scale)
{
    uint32_t *above = scale + 64;
#ifdef VECTOR
    const vector half = vector_wide_all(INT64_C(1) << (pre - 1)), by = vector_all((int32_t)mul);
    vector bits = vector_all(0);

    for (size_t j = lowest - lowest % 32; j < (end + 31) / 32 * 32; j += VECTOR) {
        const vector m = vector_within(vector_load_unsigned16(km + j), j, lowest, end - lowest, 0);
        const vector v = vector_left_each(m, vector_load_unsigned8(kk + j));
        vector even = vector_wide_sum(vector_wide_product_unsigned(v, by), half);
        vector odd = vector_wide_sum(vector_wide_product_unsigned(vector_odd(v), by), half);

        even = vector_wide_down(even, pre);
        odd = vector_wide_down(odd, pre);
        vector_store((void *)(scale + j), vector_and(vector_lower_words(even, odd),
            vector_all(INT32_MAX)));
        even = vector_wide_down(even, 31);
        odd = vector_wide_down(odd, 31);
        const vector upper = vector_lower_words(even, odd);

        vector_store((void *)(above + j), upper);
        bits = vector_or(bits, upper);
    }
    return vector_bits(bits);
#else
    const uint64_t half = UINT64_C(1) << (pre - 1);

    for (size_t j = lowest; j < end; j++) {
        const uint64_t f = (((uint64_t)km[j] << kk[j]) * mul + half) >> pre;

        scale[j] = (uint32_t)(f & INT32_MAX);
        above[j] = (uint32_t)(f >> 31);
    }
    return 1;
#endif
}

/* Scales of values, multiplied by a power of two where that brings the largest to 32 bits. Returns
   its exponent. */
static int cached_attention_capped_4x33_16_values(size_t lowest, size_t end,
    const uint16_t *restrict vm, const uint8_t *restrict vk, uint32_t *restrict scale)
{
#ifdef VECTOR
    const size_t first = lowest - lowest % 32, last = (end + 31) / 32 * 32;
    vector bits = vector_all(1);

    for (size_t j = first; j < last; j += VECTOR) {
        const vector m = vector_within(vector_load_unsigned16(vm + j), j, lowest, end - lowest, 0);
        const vector v = vector_left_each(m, vector_load_unsigned8(vk + j));

        vector_store((void *)(scale + j), v);
        bits = vector_or(bits, v);
    }
    const int raised = 32 - bit_length(vector_bits(bits));
    const vector by = vector_all(raised);

    for (size_t j = first; j < last; j += VECTOR) {
        vector_store((void *)(scale + j), vector_left_each(vector_load(scale + j), by));
    }
    return raised;
#else
    for (size_t j = lowest; j < end; j++) {
        scale[j] = (uint32_t)vm[j] << vk[j];
    }
    return 0;
#endif
}

/* Causal attention of n tokens behind `position` earlier ones: 4 heads of width 33, 4 to a key
   head; a query sees the last `window` keys up to its own. Scores are capped.   What belongs to
   keys begins with the first of 32 that lie side by side. */
static void cached_attention_capped_4x33_16(size_t start, size_t stop, size_t n, size_t position,
    const int32_t *restrict q, const uint8_t *restrict keys, const uint16_t *restrict km,
    const uint8_t *restrict kk, const int8_t *restrict values, const uint16_t *restrict vm,
    const uint8_t *restrict vk, uint32_t mul, int pre, int shift, size_t window, uint32_t tanh_mul,
    int tanh_shift, int64_t gain, int gain_shift, int64_t *restrict x, uint8_t *restrict w,
    int32_t *restrict dots, int32_t *restrict terms, uint32_t *restrict key_scale,
    uint32_t *restrict value_scale, int32_t *restrict o)
{
    const size_t lowest = position + 1 > window ? position + 1 - window : 0;
    const size_t most = position + n < window + 31 ? position + n : window + 31;
    const size_t stride = (most + 31) / 32 * 32;
    const size_t block = 1024 / stride < 4 ? 1024 / stride : 4;

    for (size_t g = start / 4; g < (stop + 3) / 4; g++) {
        const size_t head = g * 64;
        const size_t begin = g * 4 > start ? g * 4 : start;
        const size_t behind = (g + 1) * 4 < stop ? (g + 1) * 4 : stop, each = behind - begin;
        const uint32_t large = cached_attention_capped_4x33_16_keys(lowest, position + n,
            km + head, kk + head, mul, pre, key_scale);
        const int raised = cached_attention_capped_4x33_16_values(lowest, position + n,
            vm + head, vk + head, value_scale);

        for (size_t m = 0; m < n * each; m += block) {
            const size_t left = n * each - m < block ? n * each - m : block;
            uint8_t y[288];
            size_t before[4], seen[4], row[4], from[4];
            int32_t lift[4], sum[128];
            int64_t top[4], total[4];
            int down[4], s[4];
            uint32_t above[4];

            for (size_t r = 0; r < left; r++) {
                const size_t i = (m + r) / each, end = position + i + 1;
                const size_t oldest = end > window ? end - window : 0;

                before[r] = oldest % 32;
                seen[r] = end - oldest;
                from[r] = oldest - before[r];
                row[r] = i * 4 + begin + (m + r) % each;
                down[r] = shift - cached_query_33_halves(q + row[r] * 33, y + r * 72, lift + r);
            }
#ifdef VECTOR
            /* Rows of the next block lie whole rows of heads apart, which no processor foresees. */
            for (size_t r = m + block; r < m + 2 * block && r < n * each; r++) {
                const size_t soon = r / each * 4 + begin + r % each;

                vector_await(q + soon * 33, 132);
                vector_await(o + soon * 16, 64);
            }
#endif
            for (size_t r = 0; r < left; r++) {
                top[r] = cached_query_33(before[r], seen[r], y + r * 72, lift[r],
                    keys + (head + from[r]) * 36, key_scale + from[r], large,
                    dots + r * stride, x + r * stride);
            }
            for (size_t r = 0; r < left; r++) {
#ifdef VECTOR
                const size_t first = 0, count = (before[r] + seen[r]
                    + 2 * VECTOR - 1) / (2 * VECTOR) * (2 * VECTOR);
#else
                const size_t first = before[r], count = seen[r];
#endif
                top[r] = cached_attention_capped_4x33_16_cap(count, down[r], tanh_mul, tanh_shift,
                    gain, x + r * stride + first);
                down[r] = gain_shift;
            }
            /* Each step for all rows: none of it waits for what another row has yet to do. */
            for (size_t r = 0; r < left; r++) {
                above[r] = cached_mean_16_numerators(before[r], seen[r], top[r], down[r],
                    value_scale + from[r], x + r * stride, dots + r * stride,
                    terms + r * stride, total + r);
            }
            for (size_t r = 0; r < left; r++) {
                s[r] = cached_mean_16_weights(before[r], seen[r], value_scale + from[r], raised,
                    dots + r * stride, terms + r * stride, above[r], w + 2 * r * stride, stride);
            }
            for (size_t r = 0; r < left; r++) {
                cached_sums_1_2((before[r] + seen[r] + 3) / 4, 16, w + 2 * r * stride, stride,
                    values + (head + from[r]) * 16, sum + r * 32);
            }
            for (size_t r = 0; r < left; r++) {
                cached_mean_16(seen[r], sum + r * 32, total[r], s[r], o + row[r] * 16);
            }
        }
    }
}
