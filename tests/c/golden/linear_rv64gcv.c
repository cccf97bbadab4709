/* acc[r][j] = x[r] . w[j] for 1 row and all columns of a tile, which lie side by side. The sums are
   the same for every length of vectors. */
static void dot1x64_vk37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
#ifdef __riscv_v_intrinsic
    for (size_t j = 0, vl; j < width; j += vl) {
        const int8_t *v = w + j;

        vl = __riscv_vsetvl_e32m8(width - j);
        vint32m8_t s0 = __riscv_vmv_v_x_i32m8(0, vl);

        for (size_t k = 0; k < 37; k++) {
            const vint16m4_t c = __riscv_vsext_vf2_i16m4(__riscv_vle8_v_i8m2(v, vl), vl);

            s0 = __riscv_vwmacc_vx_i32m8(s0, x[k], c, vl);
            v += width;
        }
        __riscv_vse32_v_i32m8(acc + j, s0, vl);
    }
#else
    for (size_t r = 0; r < 1; r++) {
        for (size_t j = 0; j < width; j++) {
            int32_t s = 0;

            for (size_t k = 0; k < 37; k++) {
                s += x[r * 37 + k] * w[k * width + j];
            }
            acc[r * 64 + j] = s;
        }
    }
#endif
}

/* acc[r][j] = x[r] . w[j] for 3 rows and all columns of a tile, which lie side by side. The sums
   are the same for every length of vectors. */
static void dot3x64_vk37(size_t width, const uint8_t *x, const int8_t *w, int32_t *acc)
{
#ifdef __riscv_v_intrinsic
    for (size_t j = 0, vl; j < width; j += vl) {
        const int8_t *v = w + j;

        vl = __riscv_vsetvl_e32m8(width - j);
        vint32m8_t s0 = __riscv_vmv_v_x_i32m8(0, vl);
        vint32m8_t s1 = __riscv_vmv_v_x_i32m8(0, vl);
        vint32m8_t s2 = __riscv_vmv_v_x_i32m8(0, vl);

        for (size_t k = 0; k < 37; k++) {
            const vint16m4_t c = __riscv_vsext_vf2_i16m4(__riscv_vle8_v_i8m2(v, vl), vl);

            s0 = __riscv_vwmacc_vx_i32m8(s0, x[k], c, vl);
            s1 = __riscv_vwmacc_vx_i32m8(s1, x[37 + k], c, vl);
            s2 = __riscv_vwmacc_vx_i32m8(s2, x[74 + k], c, vl);
            v += width;
        }
        __riscv_vse32_v_i32m8(acc + j, s0, vl);
        __riscv_vse32_v_i32m8(acc + 64 + j, s1, vl);
        __riscv_vse32_v_i32m8(acc + 128 + j, s2, vl);
    }
#else
    for (size_t r = 0; r < 3; r++) {
        for (size_t j = 0; j < width; j++) {
            int32_t s = 0;

            for (size_t k = 0; k < 37; k++) {
                s += x[r * 37 + k] * w[k * width + j];
            }
            acc[r * 64 + j] = s;
        }
    }
#endif
}

/* A tile of `left` x `width` sums: blocks of 3 rows while there are as many, else row by row. */
static void tile3x64_vk37(size_t left, size_t width, const uint8_t *x, const int8_t *w,
    int32_t *acc)
{
    for (size_t j = 0; j < width; j += 64) {
        if (left == 3) {
            dot3x64_vk37(width - j, x, w + j * 37, acc + j);
            continue;
        }
        for (size_t r = 0; r < left; r++) {
            dot1x64_vk37(width - j, x + r * 37, w + j * 37, acc + r * 64 + j);
        }
    }
}

#if defined(__riscv_v_intrinsic) && __riscv_v_elen >= 64
/* out[j] = clip((acc[j] + bias[j]) / divisor[j], lo, hi). */
static void linear_37x21_vs_columns(size_t width, const int32_t *acc, const int32_t *bias,
    const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi, uint8_t *out)
{
    for (size_t j = 0, vl; j < width; j += vl) {
        vl = __riscv_vsetvl_e32m4(width - j);
        const vint32m4_t sum = __riscv_vadd_vv_i32m4(__riscv_vle32_v_i32m4(acc + j, vl),
            __riscv_vle32_v_i32m4(bias + j, vl), vl);
        const vuint32m4_t v = __riscv_vreinterpret_v_i32m4_u32m4(
            __riscv_vmax_vx_i32m4(sum, 0, vl));
        const vuint64m8_t product = __riscv_vwmulu_vv_u64m8(v, __riscv_vle32_v_u32m4(mul + j, vl),
            vl);
        vuint32m4_t t = __riscv_vnsrl_wx_u32m4(product, (size_t)shift, vl);

        t = __riscv_vmaxu_vx_u32m4(__riscv_vminu_vx_u32m4(t, (uint32_t)hi, vl), (uint32_t)lo, vl);
        __riscv_vse8_v_u8m1(out + j,
            __riscv_vncvt_x_x_w_u8m1(__riscv_vncvt_x_x_w_u16m2(t, vl), vl), vl);
    }
}
#endif

/* y[m][n] = clip((x[m] . w[n] + bias[n]) / divisor[n], lo, hi). The quotient is a product and a
   shift, exact for every sum that can occur. */
static void linear_37x21_vs(size_t rows, const uint8_t *restrict x, const int8_t *restrict w,
    const int32_t *restrict bias, const uint32_t *restrict mul, int shift, int32_t lo, int32_t hi,
    uint8_t *restrict y)
{
    for (size_t n = 0; n < 21; n += 64) {
        const size_t width = 21 - n < 64 ? 21 - n : 64;

        for (size_t m = 0; m < rows; m += 3) {
            const size_t left = rows - m < 3 ? rows - m : 3;
            int32_t acc[192];

            tile3x64_vk37(left, width, x + m * 37, w + n * 37, acc);
            for (size_t r = 0; r < left; r++) {
                uint8_t *restrict out = y + (m + r) * 21 + n;

#if defined(__riscv_v_intrinsic) && __riscv_v_elen >= 64
                const size_t done = width;

                if (done != 0) {
                    linear_37x21_vs_columns(done, acc + r * 64, bias + n, mul + n, shift, lo, hi,
                        out);
                }
#else
                const size_t done = 0;
#endif

                for (size_t j = done; j < width; j++) {
                    int32_t t = acc[r * 64 + j] + bias[n + j];

                    t = t > 0 ? t : 0;
                    t = (int32_t)((uint64_t)(uint32_t)t * mul[n + j] >> shift);
                    t = t < lo ? lo : t > hi ? hi : t;
                    out[j] = (uint8_t)t;
                }
            }
        }
    }
}
