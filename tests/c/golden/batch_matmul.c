/* y = (a - zero) (b - 128) for `count` pairs of matrices, [rows][inner] times [inner][columns]. b
   is transposed into scratch, so that both factors are read along `inner`. */
static void batch_matmul(size_t count, size_t rows, size_t inner, size_t columns, size_t b_step,
    const uint8_t *restrict a, int32_t zero, const uint8_t *restrict b, int16_t *restrict packed,
    int16_t *restrict line, int32_t *restrict y)
{
    for (size_t c = 0; c < count; c++) {
        for (size_t k = 0; k < inner; k++) {
            for (size_t n = 0; n < columns; n++) {
                packed[n * inner + k] = (int16_t)(b[c * b_step + k * columns + n] - 128);
            }
        }
        for (size_t m = 0; m < rows; m++) {
            for (size_t k = 0; k < inner; k++) {
                line[k] = (int16_t)(a[(c * rows + m) * inner + k] - zero);
            }
            for (size_t n = 0; n < columns; n++) {
                const int16_t *restrict other = packed + n * inner;
                int32_t sum = 0;

                for (size_t k = 0; k < inner; k++) {
                    sum += line[k] * other[k];
                }
                y[(c * rows + m) * columns + n] = sum;
            }
        }
    }
}
