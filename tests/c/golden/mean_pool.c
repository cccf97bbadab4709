/* y[c] = the mean of x[.][c] over all tokens, rounded half up; 2^31 keeps the dividend positive. */
static void mean_pool_c32(size_t tokens, const int32_t *restrict x, int32_t *restrict y)
{
    const int64_t count = (int64_t)tokens;

    for (size_t c = 0; c < 32; c += 16) {
        const size_t width = 32 - c < 16 ? 32 - c : 16;
        int64_t sum[16] = {0};

        for (size_t t = 0; t < tokens; t++) {
            for (size_t j = 0; j < width; j++) {
                sum[j] += x[t * 32 + c + j];
            }
        }
        for (size_t j = 0; j < width; j++) {
            const int64_t lifted = sum[j] + count / 2 + count * INT64_C(2147483648);

            y[c + j] = (int32_t)(lifted / count - INT64_C(2147483648));
        }
    }
}
