/* y = factor * relu(x) - delta(|x|) about the zero point `knee`, in bytes. The delta of a channel
   is 13 at most and rises and falls once: it is one more for each step whose part of the numbers b
   = max(knee - |x - knee|, 0), from steps[2 i] on and steps[2 i + 1] more, has b in it. */
static void gelu_steps_37_13(size_t rows, size_t width, const uint8_t *restrict knee,
    const uint8_t *restrict factor, const uint8_t *restrict zero, const uint8_t *restrict steps,
    uint8_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        uint8_t *restrict out = y + r * 37;

        for (size_t j = 0; j < width; j++) {
            const uint8_t x = out[j], k = knee[j];
            const uint8_t relu = x > k ? (uint8_t)(x - k) : 0;
            const uint8_t above = relu < k ? (uint8_t)(k - relu) : 0;
            const uint8_t b = x < above ? x : above;
            uint8_t d = 0;

            d = (uint8_t)(d + ((uint8_t)(b - steps[j]) <= steps[37 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[74 + j]) <= steps[111 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[148 + j]) <= steps[185 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[222 + j]) <= steps[259 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[296 + j]) <= steps[333 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[370 + j]) <= steps[407 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[444 + j]) <= steps[481 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[518 + j]) <= steps[555 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[592 + j]) <= steps[629 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[666 + j]) <= steps[703 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[740 + j]) <= steps[777 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[814 + j]) <= steps[851 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[888 + j]) <= steps[925 + j]));
            out[j] = (uint8_t)(relu * factor[j] + zero[j] - d);
        }
    }
}
