/* acc[r][j] = x[r] . w[j] for 2 rows, `stride` apart, and columns by the 16: a step is 4 numbers of
   a row, and the same 4 of each column lie side by side. */
static void cached_sums_1_2(size_t steps, size_t width, const uint8_t *x, size_t stride,
    const int8_t *w, int32_t *restrict acc)
{
#ifdef VECTOR
#if VECTOR == 16
    for (size_t r = 0; r < 2; r += 2) {
        for (size_t j = 0; j < width; j += VECTOR) {
            const uint8_t *from = x + r * stride;
            const int8_t *at = w + 4 * j;
            vector s00 = vector_all(0);
            vector s10 = s00;

            for (size_t i = 0; i < steps; i++) {
                const vector w0 = vector_load(at);
                vector v = vector_quad((const void *)(from));

                s00 = vector_dot_pairs(s00, v, w0);
                v = vector_quad((const void *)(from + 1 * stride));

                s10 = vector_dot_pairs(s10, v, w0);
                from += 4;
                at += 4 * width;
            }
            vector_store(acc + r * width + j, s00);
            vector_store(acc + (r + 1) * width + j, s10);
        }

    }
#else
    for (size_t r = 0; r < 2; r += 2) {
        for (size_t j = 0; j < width; j += 2 * VECTOR) {
            const uint8_t *from = x + r * stride;
            const int8_t *at = w + 4 * j;
            vector s00 = vector_all(0);
            vector s01 = vector_all(0);
            vector s10 = s00, s11 = s01;

            for (size_t i = 0; i < steps; i++) {
                const vector w0 = vector_load(at);
                const vector w1 = vector_load(at + 4 * VECTOR);
                vector v = vector_quad((const void *)(from));

                s00 = vector_dot_pairs(s00, v, w0);
                s01 = vector_dot_pairs(s01, v, w1);
                v = vector_quad((const void *)(from + 1 * stride));

                s10 = vector_dot_pairs(s10, v, w0);
                s11 = vector_dot_pairs(s11, v, w1);
                from += 4;
                at += 4 * width;
            }
            vector_store(acc + r * width + j, s00);
            vector_store(acc + r * width + j + 1 * VECTOR, s01);
            vector_store(acc + (r + 1) * width + j, s10);
            vector_store(acc + (r + 1) * width + j + 1 * VECTOR, s11);
        }

    }
#endif
#else
    for (size_t r = 0; r < 2; r++) {
        const uint8_t *u = x + r * stride;
        int32_t *restrict sum = acc + r * width;

        for (size_t j = 0; j < width; j++) {
            sum[j] = 0;
        }
        for (size_t i = 0; i < steps; i++) {
            const int8_t *b = w + 4 * i * width;

            for (size_t j = 0; j < width; j++) {
                sum[j] += u[4 * i] * b[4 * j] + u[4 * i + 1] * b[4 * j + 1] + u[4 * i + 2] * b[4 * j
                    + 2] + u[4 * i + 3] * b[4 * j + 3];
            }
        }
    }
#endif
}
