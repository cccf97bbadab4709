/* score[j] = (q - 64) . (k[j] - 128). A product is at most 8128, so four of them fit 16 bits. */
static void scores_1x70_s16_p(size_t lanes, const uint8_t *restrict q, const int16_t *restrict keys,
    int32_t *restrict score)
{
#if defined(__riscv_v_intrinsic) && __riscv_v_elen >= 64
    for (size_t j = 0, vl; j < lanes; j += vl) {
        const int16_t *k = keys + j;

        vl = __riscv_vsetvl_e32m8(lanes - j);
        vint32m8_t s = __riscv_vmv_v_x_i32m8(0, vl);

        for (size_t d = 0; d < 70; d++) {
            s = __riscv_vwmacc_vx_i32m8(s, (int16_t)(q[d] - 64), __riscv_vle16_v_i16m4(k, vl), vl);
            k += lanes;
        }
        __riscv_vse32_v_i32m8(score + j, s, vl);
    }
#else
    int16_t c[70];

    for (size_t d = 0; d < 70; d++) {
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
        s += (int16_t)(c[20] * k[20 * lanes] + c[21] * k[21 * lanes] + c[22] * k[22 * lanes]
            + c[23] * k[23 * lanes]);
        s += (int16_t)(c[24] * k[24 * lanes] + c[25] * k[25 * lanes] + c[26] * k[26 * lanes]
            + c[27] * k[27 * lanes]);
        s += (int16_t)(c[28] * k[28 * lanes] + c[29] * k[29 * lanes] + c[30] * k[30 * lanes]
            + c[31] * k[31 * lanes]);
        s += (int16_t)(c[32] * k[32 * lanes] + c[33] * k[33 * lanes] + c[34] * k[34 * lanes]
            + c[35] * k[35 * lanes]);
        s += (int16_t)(c[36] * k[36 * lanes] + c[37] * k[37 * lanes] + c[38] * k[38 * lanes]
            + c[39] * k[39 * lanes]);
        s += (int16_t)(c[40] * k[40 * lanes] + c[41] * k[41 * lanes] + c[42] * k[42 * lanes]
            + c[43] * k[43 * lanes]);
        s += (int16_t)(c[44] * k[44 * lanes] + c[45] * k[45 * lanes] + c[46] * k[46 * lanes]
            + c[47] * k[47 * lanes]);
        s += (int16_t)(c[48] * k[48 * lanes] + c[49] * k[49 * lanes] + c[50] * k[50 * lanes]
            + c[51] * k[51 * lanes]);
        s += (int16_t)(c[52] * k[52 * lanes] + c[53] * k[53 * lanes] + c[54] * k[54 * lanes]
            + c[55] * k[55 * lanes]);
        s += (int16_t)(c[56] * k[56 * lanes] + c[57] * k[57 * lanes] + c[58] * k[58 * lanes]
            + c[59] * k[59 * lanes]);
        s += (int16_t)(c[60] * k[60 * lanes] + c[61] * k[61 * lanes] + c[62] * k[62 * lanes]
            + c[63] * k[63 * lanes]);
        s += (int16_t)(c[64] * k[64 * lanes] + c[65] * k[65 * lanes] + c[66] * k[66 * lanes]
            + c[67] * k[67 * lanes]);
        s += (int16_t)(c[68] * k[68 * lanes] + c[69] * k[69 * lanes]);
        score[j] = s;
    }
#endif
}

/* Numerators e = e^(score - largest), below 2^14: x in steps of the cubic's grid, a cubic modulo
   2^32 for the eighth root, three squarings. Returns their sum, which is never zero. */
static int32_t softmax_1x70_s16_p(size_t n, const int32_t *restrict score, int32_t half,
    int32_t cap, int32_t up, int shift, uint32_t c0, uint32_t c1, uint32_t c2, int16_t *restrict e)
{
    int32_t top = score[0], sum = 0;

#if defined(__riscv_v_intrinsic) && __riscv_v_elen >= 64
    vint32m1_t highest = __riscv_vmv_s_x_i32m1(top, 1);
    vuint32m1_t total = __riscv_vmv_s_x_u32m1(0, 1);

    for (size_t j = 0, vl; j < n; j += vl) {
        vl = __riscv_vsetvl_e32m8(n - j);
        highest = __riscv_vredmax_vs_i32m8_i32m1(
            __riscv_vle32_v_i32m8(score + j, vl), highest, vl);
    }
    top = __riscv_vmv_x_s_i32m1_i32(highest) + half;
    for (size_t j = 0, vl; j < n; j += vl) {
        vl = __riscv_vsetvl_e32m4(n - j);
        const vint32m4_t below = __riscv_vrsub_vx_i32m4(
            __riscv_vle32_v_i32m4(score + j, vl), top, vl);
        const vuint32m4_t t = __riscv_vreinterpret_v_i32m4_u32m4(
            __riscv_vmul_vx_i32m4(__riscv_vmin_vx_i32m4(below, cap, vl), up, vl));
        const vuint32m4_t x = __riscv_vsrl_vx_u32m4(t, (size_t)shift, vl);
        vuint32m4_t r = __riscv_vmul_vv_u32m4(__riscv_vsub_vx_u32m4(x, c2, vl), x, vl);

        r = __riscv_vmul_vv_u32m4(__riscv_vadd_vx_u32m4(r, c1, vl), x, vl);
        r = __riscv_vsrl_vx_u32m4(__riscv_vrsub_vx_u32m4(r, c0, vl), 16, vl);
        r = __riscv_vsrl_vx_u32m4(__riscv_vmul_vv_u32m4(r, r, vl), 16, vl);
        r = __riscv_vsrl_vx_u32m4(__riscv_vmul_vv_u32m4(r, r, vl), 16, vl);
        r = __riscv_vmul_vv_u32m4(r, r, vl);
        r = __riscv_vsrl_vx_u32m4(__riscv_vadd_vx_u32m4(r, 32768u, vl), 16, vl);
        __riscv_vse16_v_i16m2(e + j, __riscv_vreinterpret_v_u16m2_i16m2(
            __riscv_vncvt_x_x_w_u16m2(r, vl)), vl);
        total = __riscv_vredsum_vs_u32m4_u32m1(r, total, vl);
    }
    sum = (int32_t)__riscv_vmv_x_s_u32m1_u32(total);
#else
    for (size_t j = 0; j < n; j++) {
        top = score[j] > top ? score[j] : top;
    }
    top += half;
    for (size_t j = 0; j < n; j++) {
        const int32_t below = top - score[j];
        const int32_t t = (below < cap ? below : cap) * up;
        const uint32_t x = (uint32_t)(t >> shift);
        uint32_t r = (c0 - ((x - c2) * x + c1) * x) >> 16;

        r = r * r >> 16;
        r = r * r >> 16;
        r = (r * r + 32768u) >> 16;
        e[j] = (int16_t)r;
        sum += (int32_t)r;
    }
#endif
    return sum;
}

/* acc[r][d] = e[r] . values[d], where values are [lanes][d]. */
static void context_1x70_s16_p(size_t lanes, const int16_t *restrict e,
    const int16_t *restrict values, int32_t *restrict acc)
{
#if defined(__riscv_v_intrinsic) && __riscv_v_elen >= 64
    for (size_t d = 0, vl; d < 72; d += vl) {
        const int16_t *v = values + d;

        vl = __riscv_vsetvl_e32m8(72 - d);
        vint32m8_t s0 = __riscv_vmv_v_x_i32m8(0, vl);
        vint32m8_t s1 = __riscv_vmv_v_x_i32m8(0, vl);
        vint32m8_t s2 = __riscv_vmv_v_x_i32m8(0, vl);

        for (size_t j = 0; j < lanes; j++) {
            const vint16m4_t line = __riscv_vle16_v_i16m4(v, vl);

            s0 = __riscv_vwmacc_vx_i32m8(s0, e[j], line, vl);
            s1 = __riscv_vwmacc_vx_i32m8(s1, e[lanes + j], line, vl);
            s2 = __riscv_vwmacc_vx_i32m8(s2, e[2 * lanes + j], line, vl);
            v += 72;
        }
        __riscv_vse32_v_i32m8(acc + d, s0, vl);
        __riscv_vse32_v_i32m8(acc + 72 + d, s1, vl);
        __riscv_vse32_v_i32m8(acc + 144 + d, s2, vl);
    }
#else
    for (size_t r = 0; r < 3; r++) {
        for (size_t d = 0; d < 72; d++) {
            int32_t s = 0;

            for (size_t j = 0; j < lanes; j++) {
                s += e[r * lanes + j] * values[j * 72 + d];
            }
            acc[r * 72 + d] = s;
        }
    }
#endif
}

/* 1 heads of width 70. The keys of a head are transposed into scratch, [d][lanes], and its values
   are widened, [lanes][d], so that both products run along a row; lanes past n hold zeros. The
   division by a row's sum is a product with its reciprocal, exact as (reciprocal * sum - 2^down) *
   dividend < 2^down. */
static void attention_1x70_s16_p(size_t n, const uint8_t *restrict q, const uint8_t *restrict k,
    const uint8_t *restrict v, int32_t half, int32_t cap, int32_t up, int shift, uint32_t c0,
    uint32_t c1, uint32_t c2, int16_t *restrict keys, int16_t *restrict values,
    int32_t *restrict score, int16_t *restrict e, uint8_t *restrict y)
{
    const size_t lanes = (n + 15) / 16 * 16;

    for (size_t i = 0; i < 72 * lanes; i++) {
        keys[i] = 0;
        values[i] = 0;
    }
    for (size_t i = 0; i < 3 * lanes; i++) {
        e[i] = 0;
    }
    for (size_t h = 0; h < 1; h++) {
        for (size_t j = 0; j < n; j++) {
            const size_t at = j * 70 + h * 70;

            for (size_t d = 0; d < 70; d++) {
                keys[d * lanes + j] = (int16_t)(k[at + d] - 128);
                values[j * 72 + d] = (int16_t)(v[at + d] - 128);
            }
        }
        for (size_t m = 0; m < n; m += 3) {
            const size_t left = n - m < 3 ? n - m : 3;
            int32_t sum[3], acc[216];

            for (size_t r = 0; r < left; r++) {
                scores_1x70_s16_p(lanes, q + (m + r) * 70 + h * 70, keys, score);
                sum[r] = softmax_1x70_s16_p(n, score, half, cap, up, shift, c0, c1, c2,
                    e + r * lanes);
            }
            context_1x70_s16_p(lanes, e, values, acc);
            for (size_t r = 0; r < left; r++) {
                const uint64_t s = (uint64_t)sum[r];
                const int down = bit_length(s * s * 256 - 1);
                const uint64_t reciprocal = ((UINT64_C(1) << down) + s - 1) / s;
                const int32_t middle = sum[r] * 128 + sum[r] / 2;
                uint8_t *restrict out = y + (m + r) * 70 + h * 70;

                for (size_t d = 0; d < 70; d++) {
                    const uint32_t t = (uint32_t)(acc[r * 72 + d] + middle);

                    out[d] = (uint8_t)((uint64_t)t * (uint32_t)reciprocal >> down);
                }
            }
        }
    }
}
