/* y[r] = table[ids[r]] * mul[ids[r]]; the ids were checked on entry. */
static void embedding_c60_v(size_t rows, const int32_t *restrict ids, const int8_t *restrict table,
    const int32_t *restrict mul, int32_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        const size_t id = (size_t)ids[r];
        const int32_t scale = mul[id];
        const int8_t *restrict row = table + id * 60;

        for (size_t j = 0; j < 60; j++) {
            y[r * 60 + j] = row[j] * scale;
        }
    }
}
