/* y[i] = min(max(x[i], lo), hi). */
static void clip(size_t count, const int32_t *restrict x, int32_t lo, int32_t hi,
    int32_t *restrict y)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = x[i] < lo ? lo : x[i] > hi ? hi : x[i];
    }
}
