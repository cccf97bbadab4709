/* y[i] = max(x[i], 0). */
static void relu(size_t count, const int32_t *restrict x, int32_t *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = x[i] > 0 ? x[i] : 0;
    }
}
