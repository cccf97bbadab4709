/* score[j] = (q - 64) . (k[j] - 128). A product is at most 8128, so four of them fit 16 bits. */
static void scores_2x20_s18_ss_b(size_t lanes, const uint8_t *restrict q,
    const int16_t *restrict keys, int32_t *restrict score)
{
    int16_t c[20];

    for (size_t d = 0; d < 20; d++) {
        c[d] = (int16_t)(q[d] - 64);
    }
    for (size_t j = 0; j < lanes; j++) {
        const int16_t *restrict k = keys + j;
        int32_t s = 0;

        s += (int16_t)(c[0] * k[0] + c[1] * k[lanes] + c[2] * k[2 * lanes] + c[3] * k[3 * lanes]);
        s += (int16_t)(c[4] * k[4 * lanes] + c[5] * k[5 * lanes] + c[6] * k[6 * lanes]
            + c[7] * k[7 * lanes]);
        s += (int16_t)(c[8] * k[8 * lanes] + c[9] * k[9 * lanes] + c[10] * k[10 * lanes]
            + c[11] * k[11 * lanes]);
        s += (int16_t)(c[12] * k[12 * lanes] + c[13] * k[13 * lanes] + c[14] * k[14 * lanes]
            + c[15] * k[15 * lanes]);
        s += (int16_t)(c[16] * k[16 * lanes] + c[17] * k[17 * lanes] + c[18] * k[18 * lanes]
            + c[19] * k[19 * lanes]);
        score[j] = s;
    }
}

/* Numerators e = e^(score - largest), below 2^14: x in steps of the cubic's grid, a cubic modulo
   2^32 for the eighth root, three squarings. Returns their sum, which is never zero. */
static int32_t softmax_2x20_s18_ss_b(size_t n, const int32_t *restrict score, int32_t half,
    int32_t cap, int32_t up, uint32_t mul, int shift, uint32_t c0, uint32_t c1, uint32_t c2,
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
        const uint32_t x = (uint32_t)((uint64_t)(uint32_t)t * mul >> shift);
        uint32_t r = (c0 - ((x - c2) * x + c1) * x) >> 16;

        r = r * r >> 16;
        r = r * r >> 16;
        r = (r * r + 131072u) >> 18;
        e[j] = (int16_t)r;
        sum += (int32_t)r;
    }
    return sum;
}

/* acc[r][d] = e[r] . values[d], 4 x 4 sums at a time. */
static void context_2x20_s18_ss_b(size_t lanes, const int16_t *restrict e,
    const int16_t *restrict values, int32_t *restrict acc)
{
    const int16_t *restrict e1 = e + lanes;
    const int16_t *restrict e2 = e + 2 * lanes;
    const int16_t *restrict e3 = e + 3 * lanes;

    for (size_t d = 0; d < 20; d += 4) {
        const int16_t *restrict v = values + d * lanes;
        const int16_t *restrict v1 = v + lanes;
        const int16_t *restrict v2 = v + 2 * lanes;
        const int16_t *restrict v3 = v + 3 * lanes;
        int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;
        int32_t s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0;
        int32_t s30 = 0, s31 = 0, s32 = 0, s33 = 0;

        for (size_t j = 0; j < lanes; j++) {
            s00 += e[j] * v[j];
            s01 += e[j] * v1[j];
            s02 += e[j] * v2[j];
            s03 += e[j] * v3[j];
            s10 += e1[j] * v[j];
            s11 += e1[j] * v1[j];
            s12 += e1[j] * v2[j];
            s13 += e1[j] * v3[j];
            s20 += e2[j] * v[j];
            s21 += e2[j] * v1[j];
            s22 += e2[j] * v2[j];
            s23 += e2[j] * v3[j];
            s30 += e3[j] * v[j];
            s31 += e3[j] * v1[j];
            s32 += e3[j] * v2[j];
            s33 += e3[j] * v3[j];
        }
        acc[d] = s00;
        acc[d + 1] = s01;
        acc[d + 2] = s02;
        acc[d + 3] = s03;
        acc[d + 20] = s10;
        acc[d + 21] = s11;
        acc[d + 22] = s12;
        acc[d + 23] = s13;
        acc[d + 40] = s20;
        acc[d + 41] = s21;
        acc[d + 42] = s22;
        acc[d + 43] = s23;
        acc[d + 60] = s30;
        acc[d + 61] = s31;
        acc[d + 62] = s32;
        acc[d + 63] = s33;
    }
}

/* 2 heads of width 20. Keys and values of a head are transposed into scratch, [d][lanes], so that
   both products run along the keys; lanes past n hold zeros. The division by a row's sum is a
   product with its reciprocal, exact as (reciprocal * sum - 2^down) * dividend < 2^down. */
static void attention_2x20_s18_ss_biased(size_t n, const uint8_t *restrict q,
    const uint8_t *restrict k, const uint8_t *restrict v, const int32_t *restrict bias,
    size_t bias_head, size_t bias_row, int32_t half, int32_t cap, int32_t up, uint32_t mul,
    int shift, uint32_t c0, uint32_t c1, uint32_t c2, int16_t *restrict keys,
    int16_t *restrict values, int32_t *restrict score, int16_t *restrict e, uint8_t *restrict y)
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
                keys[d * lanes + j] = (int16_t)(k[at + d] - 128);
                values[d * lanes + j] = (int16_t)(v[at + d] - 128);
            }
        }
        for (size_t m = 0; m < n; m += 4) {
            const size_t left = n - m < 4 ? n - m : 4;
            int32_t sum[4], acc[80];

            for (size_t r = 0; r < left; r++) {
                scores_2x20_s18_ss_b(lanes, q + (m + r) * 40 + h * 20, keys, score);
                for (size_t j = 0; j < n; j++) {
                    score[j] += bias[h * bias_head + (m + r) * bias_row + j];
                }
                sum[r] = softmax_2x20_s18_ss_b(n, score, half, cap, up, mul, shift, c0, c1, c2,
                    e + r * lanes);
            }
            context_2x20_s18_ss_b(lanes, e, values, acc);
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
