/* y[r][j] = clip((y[r][j] * b[j] + 2^(shift-1)) >> shift, lo, hi), products in 64 bits. */
static void product_inplace(size_t rows, size_t columns, const int32_t *restrict b, int shift,
    int32_t lo, int32_t hi, int32_t *restrict y)
{
    const int64_t half = INT64_C(1) << shift >> 1;

    for (size_t r = 0; r < rows; r++) {
#if defined(VECTOR) && VECTOR == 16
        const size_t done = shift > 0 ? columns - columns % VECTOR : 0;

        for (size_t j = 0; j < done; j += VECTOR) {
            const vector a = vector_load(y + r * columns + j);

            vector_store(y + r * columns + j, vector_clip(vector_scaled(a, vector_load(b + j),
                shift), lo, hi));
        }
#else
        const size_t done = 0;
#endif

        for (size_t j = done; j < columns; j++) {
            const int64_t a = y[r * columns + j];
            int64_t v = asr64(a * b[j] + half, shift);

            v = v < lo ? lo : v > hi ? hi : v;
            y[r * columns + j] = (int32_t)v;
        }
    }
}
