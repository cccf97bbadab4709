/* Example: continue a list of token ids. Made by intcc 0.1.0.

       main [PROMPT [TOKENS [greedy [SEED]]]]

   Without PROMPT, or where it is -, it is read from the standard input.
   TOKENS is the most tokens to add. PROMPT is ids apart by commas or spaces. */
#include "decoder.h"
#include "decoder_sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 480

/* All memory of the model; decoder_memory.h tells how to choose its RAM. */
DECODER_ARENA_SECTION DECODER_ALIGNED static union {
    decoder_state state;
    uint64_t selftest[(DECODER_SELFTEST_BYTES + 7) / 8];
} memory;
static int32_t logits[DECODER_VOCABULARY];
static int32_t prompt[DECODER_MAX_CONTEXT];
static char text[TEXT_BYTES + 1];

/* Ways to draw a token. */
static const struct {
    const char *name;
    decoder_sampler sampler;
} modes[] = {
    {"greedy", DECODER_SAMPLER_GREEDY},
};

static int fail(const char *fact)
{
    fprintf(stderr, "%s\n", fact);
    return 1;
}

static int encode(size_t bytes, size_t *count)
{
    char *at = text;

    for (*count = 0; *count < DECODER_MAX_CONTEXT; ++*count) {
        const char *const before = at + strspn(at, ", \t\n");
        const long id = strtol(before, &at, 10);

        if (at == before) {
            break;
        }
        prompt[*count] = id < 0 || id >= 50 ? -1 : (int32_t)id;
    }
    return at + strspn(at, ", \t\n") != text + bytes;
}

static void show(int32_t token)
{
    printf("%ld ", (long)token);
    fflush(stdout);
}

static void finish(void)
{
    putchar('\n');
}

/* The bytes of the prompt, in `text`; more than TEXT_BYTES where it is too long. */
static size_t read_prompt(const char *argument)
{
    size_t bytes;

    if (argument != NULL && strcmp(argument, "-") != 0) {
        bytes = strlen(argument);
        memcpy(text, argument, bytes < TEXT_BYTES ? bytes : TEXT_BYTES);
    } else {
        bytes = fread(text, 1, TEXT_BYTES + 1, stdin);
        bytes -= bytes > 0 && text[bytes - 1] == '\n';
    }
    text[bytes < TEXT_BYTES ? bytes : TEXT_BYTES] = '\0';
    return bytes;
}

static int generate(size_t count, unsigned long most, const decoder_sampler *sampler, decoder_rng rng)
{
    decoder_reset(&memory.state);
    if (decoder_prefill(&memory.state, prompt, count, logits) != DECODER_OK) {
        return fail("the prompt is empty, too long, or has a token that the model does not know");
    }
    for (size_t i = 0; i < count; i++) {
        show(prompt[i]);
    }
    for (unsigned long i = 0; i < most; i++) {
        const int32_t token = decoder_sample(logits, DECODER_VOCABULARY, sampler, &rng);

        if (token < 0 || decoder_ends(token)) {
            break;
        }
        show(token);
        if (decoder_step(&memory.state, token, logits) != DECODER_OK) {
            break; /* the context is full */
        }
    }
    finish();
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const size_t known = sizeof modes / sizeof modes[0];
    size_t bytes, count = 0, mode = 0;
    unsigned long most = 64;
    decoder_rng rng = {0};

    if (argc == 2 && strcmp(argv[1], "--selftest") == 0) {
        const int failed = decoder_selftest(&memory);

        printf("selftest: %s\n", failed == 0 ? "passed" : "failed");
        return failed != 0;
    }
    if (argc > 2) {
        most = strtoul(argv[2], &end, 10);
    }
    while (argc > 3 && mode < known && strcmp(argv[3], modes[mode].name) != 0) {
        mode++;
    }
    if (argc > 4 && (end == NULL || *end == '\0')) {
        rng.state = strtoull(argv[4], &end, 10);
    }
    if (argc > 5 || mode == known || (end != NULL && *end != '\0')) {
        return fail("usage: [PROMPT [TOKENS [greedy [SEED]]]]");
    }
    bytes = read_prompt(argc > 1 ? argv[1] : NULL);
    if (bytes > TEXT_BYTES || encode(bytes, &count) != 0) {
        return fail("the prompt is too long, or no list of ids");
    }
    if (count == 0) {
        prompt[count++] = DECODER_BEGIN_TOKEN;
    }
    return generate(count, most, &modes[mode].sampler, rng);
}
