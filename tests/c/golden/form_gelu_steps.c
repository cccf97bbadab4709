/* y = relu(x) - delta(|x|) about the zero point `knee`, in bytes. The delta of a channel is 7 at
   most and rises and falls once: it is one more for each step whose part of the numbers b =
   max(knee - |x - knee|, 0), from steps[2 i] on and steps[2 i + 1] more, has b in it. */
static void gelu_steps_37_7(size_t rows, size_t width, const uint8_t *restrict knee,
    const uint8_t *restrict offset, const uint8_t *restrict steps, uint8_t *restrict y)
{
    for (size_t r = 0; r < rows; r++) {
        uint8_t *restrict out = y + r * 37;

        for (size_t j = 0; j < width; j++) {
            const uint8_t x = out[j], k = knee[j];
            const uint8_t above = x > k ? x : k, below = x > k ? k : x;
            const uint8_t away = (uint8_t)(above - below);
            const uint8_t b = (uint8_t)(k - (away < k ? away : k));
            uint8_t d = offset[j];

            d = (uint8_t)(d + ((uint8_t)(b - steps[j]) <= steps[37 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[74 + j]) <= steps[111 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[148 + j]) <= steps[185 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[222 + j]) <= steps[259 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[296 + j]) <= steps[333 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[370 + j]) <= steps[407 + j]));
            d = (uint8_t)(d + ((uint8_t)(b - steps[444 + j]) <= steps[481 + j]));
            out[j] = (uint8_t)(above - d);
        }
    }
}
