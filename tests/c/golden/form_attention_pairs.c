/* score[j] = (q - 64) . (k[j] - 128). A product is at most 8128, so four of them fit 16 bits. */
static void scores_2x20_s18_ssh0_b(size_t lanes, const uint8_t *restrict q,
    const int16_t *restrict keys, int32_t *restrict score)
{
    int16_t c[20];

    for (size_t d = 0; d < 20; d++) {
        c[d] = (int16_t)(q[d] - 64);
    }
    for (size_t j = 0; j < lanes; j += 2) {
        dot_pair(20, c, keys + j * 20, keys + (j + 1) * 20, score + j);
    }
}

/* Numerators e = e^(score - largest), below 2^14: x in steps of the cubic's grid, a cubic modulo
   2^32 for the eighth root, three squarings. Returns their sum, which is never zero. */
static int32_t softmax_2x20_s18_ssh0_b(size_t n, const int32_t *restrict score, int32_t half,
    int32_t cap, int32_t up, uint32_t mul, uint32_t c0, uint32_t c1, uint32_t c2,
    int16_t *restrict e)
{
    int32_t top = score[0], sum = 0;

    for (size_t j = 0; j < n; j++) {
        top = score[j] > top ? score[j] : top;
    }
    top += half;
    for (size_t j = 0; j < n; j++) {
        const int32_t below = top - score[j];
        const int32_t t = (below < cap ? below : cap) * up;
        const uint32_t x = (uint32_t)high_word((uint32_t)t, mul);
        uint32_t r = (c0 - ((x - c2) * x + c1) * x) >> 16;

        r = r * r >> 16;
        r = r * r >> 16;
        r = (r * r + 131072u) >> 18;
        e[j] = (int16_t)r;
        sum += (int32_t)r;
    }
    return sum;
}

/* acc[r][d] = e[r] . values[d]. */
static void context_2x20_s18_ssh0_b(size_t lanes, const int16_t *restrict e,
    const int16_t *restrict values, int32_t *restrict acc)
{
    for (size_t r = 0; r < 4; r++) {
        for (size_t d = 0; d < 20; d += 2) {
            dot_pair(lanes, e + r * lanes, values + d * lanes, values + (d + 1) * lanes,
                acc + r * 20 + d);
        }
    }
}

/* 2 heads of width 20. Keys and values of a head are copied into scratch, keys [lanes][20] and
   values transposed, so that both products run along neighbours; lanes past n hold zeros. The
   division by a row's sum is a product with its reciprocal, exact as (reciprocal * sum - 2^down) *
   dividend < 2^down. */
static void attention_2x20_s18_ssh0_biased(size_t n, const uint8_t *restrict q,
    const uint8_t *restrict k, const uint8_t *restrict v, const int32_t *restrict bias,
    size_t bias_head, size_t bias_row, int32_t half, int32_t cap, int32_t up, uint32_t mul,
    uint32_t c0, uint32_t c1, uint32_t c2, int16_t *restrict keys, int16_t *restrict values,
    int32_t *restrict score, int16_t *restrict e, uint8_t *restrict y)
{
    const size_t lanes = (n + 15) / 16 * 16;

    for (size_t i = 0; i < 20 * lanes; i++) {
        keys[i] = 0;
        values[i] = 0;
    }
    for (size_t i = 0; i < 4 * lanes; i++) {
        e[i] = 0;
    }
    for (size_t h = 0; h < 2; h++) {
        for (size_t j = 0; j < n; j++) {
            const size_t at = j * 40 + h * 20;

            for (size_t d = 0; d < 20; d++) {
                keys[j * 20 + d] = (int16_t)(k[at + d] - 128);
                values[d * lanes + j] = (int16_t)(v[at + d] - 128);
            }
        }
        for (size_t m = 0; m < n; m += 4) {
            const size_t left = n - m < 4 ? n - m : 4;
            int32_t sum[4], acc[80];

            for (size_t r = 0; r < left; r++) {
                scores_2x20_s18_ssh0_b(lanes, q + (m + r) * 40 + h * 20, keys, score);
                for (size_t j = 0; j < n; j++) {
                    score[j] += bias[h * bias_head + (m + r) * bias_row + j];
                }
                sum[r] = softmax_2x20_s18_ssh0_b(n, score, half, cap, up, mul, c0, c1, c2,
                    e + r * lanes);
            }
            context_2x20_s18_ssh0_b(lanes, e, values, acc);
            for (size_t r = 0; r < left; r++) {
                const uint64_t s = (uint64_t)sum[r];
                const int down = bit_length(s * s * 256 - 1);
                const uint64_t reciprocal = ((UINT64_C(1) << down) + s - 1) / s;
                const int32_t middle = sum[r] * 128 + sum[r] / 2;
                uint8_t *restrict out = y + (m + r) * 40 + h * 20;

                for (size_t d = 0; d < 20; d++) {
                    const uint32_t t = (uint32_t)(acc[r * 20 + d] + middle);

                    out[d] = (uint8_t)((uint64_t)t * (uint32_t)reciprocal >> down);
                }
            }
        }
    }
}
