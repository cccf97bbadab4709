/* Firmware that sorts letters with a language model: reads a prompt, prints its continuation. On a
   board, `take` and `say` would be its serial port; here they are files and console of the debugger. */
#include "model.h"
#include "model_sampler.h"
#include "model_tokenizer.h"

#include "mark.h"
#include "run.h"

#define TEXT_BYTES 64
#define MOST_TOKENS 8

/* All RAM that the model needs. */
MODEL_ARENA_SECTION MODEL_ALIGNED static model_state state;
static int32_t logits[MODEL_VOCABULARY];
static int32_t prompt[MODEL_MAX_CONTEXT];
static uint64_t scratch[MODEL_ENCODE_SCRATCH_BYTES(TEXT_BYTES) / 8 + 1];

static void print(int32_t token, struct model_decoder *decoder)
{
    char piece[MODEL_DECODE_BYTES + 1];
    size_t bytes = 0;

    if (model_decode(token, decoder, piece, sizeof piece - 1, &bytes) == MODEL_TOKENIZER_OK) {
        piece[bytes] = '\0';
        say(piece);
    }
}

int run(void)
{
    const model_sampler greedy = MODEL_SAMPLER_GREEDY;
    model_rng rng = {0};
    struct model_decoder decoder;
    char text[TEXT_BYTES + 1];
    uint8_t bytes;
    size_t count = 0;

    take(&bytes, 1);
    if (bytes > TEXT_BYTES) {
        return 1;
    }
    take(text, bytes);
    text[bytes] = '\0';
    say(text);

    COUNT_BEGIN();
    model_reset(&state);
    model_decode_start(&decoder, NULL, 0);
    if (model_encode(text, bytes, 1, prompt, MODEL_MAX_CONTEXT, &count, scratch, sizeof scratch) != MODEL_TOKENIZER_OK
        || model_prefill(&state, prompt, count, logits) != MODEL_OK) {
        return 2;
    }
    for (int i = 0; i < MOST_TOKENS; i++) {
        const int32_t token = model_sample(logits, MODEL_VOCABULARY, &greedy, &rng);

        if (model_ends(token)) {
            break;
        }
        print(token, &decoder);
        if (model_step(&state, token, logits) != MODEL_OK) {
            return 3;
        }
    }
    COUNT_END();
    say("\n");
    return 0;
}
