/* Numerators e = e^(score - largest), below 2^14: x in steps of the cubic's grid, a cubic modulo
   2^32 for the eighth root, three squarings. The sum of a row is never zero. Of 32 keys those 16
   apart lie side by side. */
static void softmax_2x20_s18_ss_b(size_t rows, size_t lanes, const int32_t *restrict score,
    int32_t half, int32_t cap, int32_t up, uint32_t mul, int shift, uint32_t c0, uint32_t c1,
    uint32_t c2, int16_t *restrict e, int32_t *restrict sum)
{
#ifdef VECTOR
    const vector caps = vector_all(cap), ups = vector_all(up), ones = vector_all(0x10001);
    const vector k0 = vector_all((int32_t)c0), k1 = vector_all((int32_t)c1),
        k2 = vector_all((int32_t)c2);
    const vector muls = vector_all((int32_t)mul);

    vector most[8], total[8];
    int32_t top[8];

    /* Rows that are not there have scores too, of no use. */
    for (size_t r = 0; r < 8; r++) {
        most[r] = vector_load(score + r * lanes);
        for (size_t j = VECTOR; j < lanes; j += VECTOR) {
            most[r] = vector_max(most[r], vector_load(score + r * lanes + j));
        }
    }
    vector_largest(most, top);
    for (size_t r = 0; r < 8; r++, score += lanes, e += lanes) {
        const vector tops = vector_all(top[r] + half);

        total[r] = vector_all(0);
        for (size_t j = 0; j < lanes; j += 32) {
            for (size_t i = j; i < j + 16; i += VECTOR) {
                const vector ad = vector_min(vector_sub(tops, vector_load(score + i)), caps);
                const vector ax = vector_down(vector_high(vector_mul(ad, ups), muls), shift - 32);
                const vector as = vector_dot_halves(k1, vector_sub(ax, k2), ax);
                const vector a = vector_sub(k0, vector_mul(as, ax));
                const vector bd = vector_min(vector_sub(tops, vector_load(score + i + 16)), caps);
                const vector bx = vector_down(vector_high(vector_mul(bd, ups), muls), shift - 32);
                const vector bs = vector_dot_halves(k1, vector_sub(bx, k2), bx);
                const vector b = vector_sub(k0, vector_mul(bs, bx));

                vector v = vector_upper_halves(a, b);

                v = vector_high_halves(v, v);
                v = vector_high_halves(v, v);
                v = vector_round_halves(vector_high_halves(v, v), 1);
                vector_store((void *)(e + 2 * i - j), v);
                total[r] = vector_dot_halves(total[r], v, ones);
            }
        }
    }
    vector_totals(total, sum);
    (void)rows;
#else
    for (size_t r = 0; r < rows; r++, score += lanes, e += lanes) {
        int32_t top = score[0], total = 0;

        for (size_t j = 0; j < lanes; j++) {
            top = score[j] > top ? score[j] : top;
        }
        top += half;
        for (size_t j = 0; j < lanes; j++) {
            const int32_t below = top - score[j];
            const int32_t t = (below < cap ? below : cap) * up;
            const uint32_t x = (uint32_t)((uint64_t)(uint32_t)t * mul >> shift);
            uint32_t v = (c0 - ((x - c2) * x + c1) * x) >> 16;

            v = v * v >> 16;
            v = v * v >> 16;
            v = (v * v + 131072u) >> 18;
            e[j / 32 * 32 + j % 16 * 2 + j % 32 / 16] = (int16_t)v;
            total += (int32_t)v;
        }
        sum[r] = total;
    }
#endif
}

/* initial[j] = -64 times the sum of key j, and the least for keys from n on. */
static void starts_2x20_s18_ss_b(size_t steps, size_t n, size_t lanes, const int8_t *restrict keys,
    int32_t *restrict initial)
{
#ifdef VECTOR
    for (size_t j = 0; j < lanes; j += VECTOR) {
        const int8_t *key = keys + 4 * j;
        vector sum = vector_all(0);

        for (size_t i = 0; i < steps; i++, key += 4 * lanes) {
            sum = vector_dot_pairs(sum, vector_all(0x40404040), vector_load(key));
        }
        vector_store(initial + j, vector_sub(vector_all(0), sum));
    }
#else
    for (size_t j = 0; j < n; j++) {
        int32_t sum = 0;

        for (size_t i = 0; i < 4 * steps; i++) {
            sum += keys[i / 4 * 4 * lanes + 4 * j + i % 4];
        }
        initial[j] = -64 * sum;
    }
#endif
    for (size_t j = n; j < lanes; j++) {
        initial[j] = -1073741824;
    }
}

/* 2 heads of width 20. Keys of a head are copied into scratch, [d / 4][lanes][4], and its values
   are widened, [lanes / 2][d][2], pairs of keys 16 apart; keys past n get no weight. The division
   by a row's sum is a product with its reciprocal, exact as (reciprocal * sum - 2^down) * dividend
   < 2^down. */
static void attention_2x20_s18_ss_biased(size_t start, size_t stop, size_t n,
    const uint8_t *restrict q, const uint8_t *restrict k, const uint8_t *restrict v,
    const int32_t *restrict bias, size_t bias_head, size_t bias_row, int32_t half, int32_t cap,
    int32_t up, uint32_t mul, int shift, uint32_t c0, uint32_t c1, uint32_t c2,
    int8_t *restrict keys, int16_t *restrict values, int32_t *restrict initial,
    int32_t *restrict score, int16_t *restrict e, uint8_t *restrict y)
{
    const size_t lanes = (n + 31) / 32 * 32;
    const size_t last = n % 32, pairs = n / 32 * 16 + (last < 16 ? last : 16);

    for (size_t i = 0; i < 20 * lanes; i++) {
        keys[i] = 0;
    }
    for (size_t i = 0; i < 32 * lanes; i++) {
        values[i] = 0;
    }
    for (size_t i = 0; i < 8 * lanes; i++) {
        e[i] = 0;
    }
    for (size_t h = start; h < stop; h++) {
        for (size_t j = 0; j < n; j++) {
            const uint8_t *restrict from = k + j * 40 + h * 20;
            int8_t *restrict to = keys + 4 * j;

            for (size_t d = 0; d < 20; d += 4, to += 4 * lanes) {
                for (size_t i = 0; i < 4; i++) {
                    to[i] = (int8_t)(from[d + i] - 128);
                }
            }
        }
        starts_2x20_s18_ss_b(5, n, lanes, keys, initial);
        /* A key without a partner is its own, with a numerator of zero. */
        for (size_t i = 0; i < pairs; i++) {
            const size_t j = i / 16 * 32 + i % 16;
            const uint8_t *restrict first = v + j * 40 + h * 20;
            const uint8_t *restrict second = first + (j + 16 < n ? 640 : 0);
            int16_t *restrict to = values + i * 64;

            for (size_t d = 0; d < 20; d++) {
                to[2 * d] = (int16_t)(first[d] - 128);
                to[2 * d + 1] = (int16_t)(second[d] - 128);
            }
        }
        for (size_t m = 0; m < n; m += 8) {
            const size_t left = n - m < 8 ? n - m : 8;
            uint8_t block[160] = {0};
            int32_t sum[8], acc[256];

            for (size_t r = 0; r < left; r++) {
                for (size_t d = 0; d < 20; d++) {
                    block[r * 20 + d] = q[(m + r) * 40 + h * 20 + d];
                }
            }
            scores_of_8_2_2(5, lanes, block, 20, keys, initial, score);
            for (size_t r = 0; r < left; r++) {
                for (size_t j = 0; j < n; j++) {
                    score[r * lanes + j] += bias[h * bias_head + (m + r) * bias_row + j];
                }
            }
            softmax_2x20_s18_ss_b(left, lanes, score, half, cap, up, mul, shift, c0, c1, c2, e,
                sum);
            contexts_of_8_2_2(pairs, 32, e, lanes, values, acc);
            for (size_t r = 0; r < left; r++) {
                const uint64_t s = (uint64_t)sum[r];
                const int down = bit_length(s * s * 256 - 1);
                const uint64_t reciprocal = ((UINT64_C(1) << down) + s - 1) / s;
                const int32_t middle = sum[r] * 128 + sum[r] / 2;
                uint8_t *restrict out = y + (m + r) * 40 + h * 20;
                size_t d = 0;

#ifdef VECTOR
                for (; d + VECTOR <= 20; d += VECTOR) {
                    const vector t = vector_add(vector_load(acc + r * 32 + d), vector_all(middle));

                    vector_store8(out + d, vector_down(vector_high(t,
                        vector_all((int32_t)reciprocal)), down - 32));
                }
#endif
                for (; d < 20; d++) {
                    const uint32_t t = (uint32_t)(acc[r * 32 + d] + middle);

                    out[d] = (uint8_t)((uint64_t)t * (uint32_t)reciprocal >> down);
                }
            }
        }
    }
}
