/* Rotates the pairs (j, j + 21) of each of `heads` heads of 45 by the angles of row r, saturated to
   536870911; the tables are in Q14. */
static void rotary_45_r42_int16_inplace(size_t rows, size_t heads, const int16_t *restrict cosine,
    const int16_t *restrict sine, int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        const int16_t *restrict c = cosine + r * 21;
        const int16_t *restrict s = sine + r * 21;

        for (size_t h = 0; h < heads; h++) {
            const size_t at = (r * heads + h) * 45;

            for (size_t j = 0; j < 21; j++) {
                const int64_t first = y[at + j];
                const int64_t second = y[at + 21 + j];
                int64_t u = asr64(first * c[j] - second * s[j] + 8192, 14);
                int64_t v = asr64(second * c[j] + first * s[j] + 8192, 14);

                u = u < -536870911 ? -536870911 : u > 536870911 ? 536870911 : u;
                v = v < -536870911 ? -536870911 : v > 536870911 ? 536870911 : v;
                y[at + j] = (int32_t)u;
                y[at + 21 + j] = (int32_t)v;
            }
        }
    }
}

/* y[r][j] = x[r][j] * mul[j] + bias[j]. */
static void affine_c45_ss(size_t rows, const int32_t *restrict x, int32_t mul, int32_t bias,
    int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < 45; j++) {
            y[r * 45 + j] = x[r * 45 + j] * mul + bias;
        }
    }
}

/* y[i] = max(x[i], 0). */
static void relu(size_t count, const int32_t *restrict x, int32_t *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = x[i] > 0 ? x[i] : 0;
    }
}
