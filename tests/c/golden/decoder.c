/* decoder, call by call.
   The functions are in decoder_kernels.h. Made by intcc 0.1.0. */
#include "decoder.h"

#include "decoder_kernels.h"
#include "decoder_weights.h"

/* Where a layer begins, for who wants to measure it: define it on the command line. */
#ifndef DECODER_LAYER
#define DECODER_LAYER(index) ((void)(index))
#endif

/* Arena map for 4 tokens: offset, then bytes, first and last call, type and shape.
   Regions share bytes where their lives do not meet. */
enum {
    at_embed_embedding3                   =         0, /*       640    0 .. 16   int32 [1, n, 40] */
    at_layer0_attention_split5            =       640, /*       320    1 .. 3    int32 [1, n, 20] */
    at_layer0_attention_split6            =       960, /*       320    2 .. 5    int32 [1, n, 20] */
    at_layer0_attention_dynamicquantize14 =      1280, /*       128    3 .. 4    uint8 [1, n, 2, 10] */
    at_layer0_attention_dynamicquantize15 =      1408, /*        64    3 .. 4    int32 [1, n, 2, 1] */
    at_layer0_attention_dynamicquantize16 =      1472, /*        64    3 .. 4    int32 [1, n, 2, 1] */
    at_layer0_attention_dynamicquantize22 =       640, /*       128    5 .. 6    uint8 [1, n, 2, 10] */
    at_layer0_attention_dynamicquantize23 =       768, /*        64    5 .. 6    int32 [1, n, 2, 1] */
    at_layer0_attention_dynamicquantize24 =       832, /*        64    5 .. 6    int32 [1, n, 2, 1] */
    at_layer0_attention_cachedattention37 =       640, /*       640    7 .. 8    int32 [1, n, 4, 10] */
    at_layer0_cachedattention37_score     =      1280, /*       256    7 .. 7    int64 [30], scratch */
    at_layer0_cachedattention37_weight    =      1536, /*        64    7 .. 7    int16 [30], scratch */
    at_layer1_attention_split5            =       640, /*       320    9 .. 11   int32 [1, n, 20] */
    at_layer1_attention_split6            =       960, /*       320   10 .. 13   int32 [1, n, 20] */
    at_layer1_attention_dynamicquantize14 =      1280, /*       128   11 .. 12   uint8 [1, n, 2, 10] */
    at_layer1_attention_dynamicquantize15 =      1408, /*        64   11 .. 12   int32 [1, n, 2, 1] */
    at_layer1_attention_dynamicquantize16 =      1472, /*        64   11 .. 12   int32 [1, n, 2, 1] */
    at_layer1_attention_dynamicquantize22 =       640, /*       128   13 .. 14   uint8 [1, n, 2, 10] */
    at_layer1_attention_dynamicquantize23 =       768, /*        64   13 .. 14   int32 [1, n, 2, 1] */
    at_layer1_attention_dynamicquantize24 =       832, /*        64   13 .. 14   int32 [1, n, 2, 1] */
    at_layer1_cachedattention37_score     =       640, /*       256   15 .. 15   int64 [30], scratch */
    at_layer1_attention_cachedattention37 =       896, /*       192   15 .. 16   int32 [1, 1, 4, 10] */
    at_layer1_cachedattention37_weight    =      1088  /*        64   15 .. 15   int16 [30], scratch */
};

/* Cache map for 30 tokens: offset, then bytes, type and elements. */
enum {
    in_layer0_key_codes      =         0, /*       640 int8 [600] */
    in_layer0_key_mantissa   =       640, /*       128 uint16 [60] */
    in_layer0_key_exponent   =       768, /*        64 uint8 [60] */
    in_layer0_value_codes    =       832, /*       640 int8 [600] */
    in_layer0_value_mantissa =      1472, /*       128 uint16 [60] */
    in_layer0_value_exponent =      1600, /*        64 uint8 [60] */
    in_layer1_key_codes      =      1664, /*       640 int8 [600] */
    in_layer1_key_mantissa   =      2304, /*       128 uint16 [60] */
    in_layer1_key_exponent   =      2432, /*        64 uint8 [60] */
    in_layer1_value_codes    =      2496, /*       640 int8 [600] */
    in_layer1_value_mantissa =      3136, /*       128 uint16 [60] */
    in_layer1_value_exponent =      3264  /*        64 uint8 [60] */
};

/* A pointer to an offset of the arena or of the cache. */
#define I16(at) ((int16_t *)(void *)(base + (at)))
#define I32(at) ((int32_t *)(void *)(base + (at)))
#define I64(at) ((int64_t *)(void *)(base + (at)))
#define U8(at) ((uint8_t *)(void *)(base + (at)))
#define CACHE_I8(at) ((int8_t *)(void *)(held + (at)))
#define CACHE_U16(at) ((uint16_t *)(void *)(held + (at)))
#define CACHE_U8(at) ((uint8_t *)(void *)(held + (at)))

static int all_below(const int32_t *ids, size_t count, int32_t limit)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= limit) {
            return 0;
        }
    }
    return 1;
}

int decoder_run(void *arena, void *cache, const int32_t *input_ids, size_t tokens,
    size_t position, int32_t *logits)
{
    unsigned char *const base = arena;
    unsigned char *const held = cache;
    const size_t n = tokens;

    if (arena == NULL || cache == NULL || input_ids == NULL) {
        return DECODER_NULL_POINTER;
    }
    if ((uintptr_t)base % 8 != 0 || (uintptr_t)held % 8 != 0) {
        return DECODER_MISALIGNED;
    }
    if (n < 1 || n > DECODER_MAX_TOKENS) {
        return DECODER_TOKENS;
    }
    if (position > DECODER_MAX_CONTEXT || n > DECODER_MAX_CONTEXT - position) {
        return DECODER_CONTEXT;
    }
    if (!all_below(input_ids, n, 50)) {
        return DECODER_RANGE;
    }

    /* ---- embed ---- */
    DECODER_LAYER(0);
    /* Embedding: [n, 40] */
    embedding_c40_h(n, input_ids, decoder_embed_const1[0], decoder_embedding3_mul,
        I32(at_embed_embedding3));

    /* ---- layer 0: attention ---- */
    DECODER_LAYER(1);
    /* Split: [n, 20] */
    copy_rows_int32(n, 20, I32(at_embed_embedding3), 40, I32(at_layer0_attention_split5), 20);
    /* Split: [n, 20] */
    copy_rows_int32(n, 20, I32(at_embed_embedding3) + 20, 40, I32(at_layer0_attention_split6),
        20);
    /* DynamicQuantize: [n * 2, 10] */
    dynamic_quantize(n * 2, 10, I32(at_layer0_attention_split5),
        U8(at_layer0_attention_dynamicquantize14), I32(at_layer0_attention_dynamicquantize15),
        I32(at_layer0_attention_dynamicquantize16));
    /* CacheKeys: [n, 2 x 10] to [30, 2 x 10] */
    cache_keys_2x10(n, position, U8(at_layer0_attention_dynamicquantize14),
        I32(at_layer0_attention_dynamicquantize15), I32(at_layer0_attention_dynamicquantize16),
        CACHE_I8(in_layer0_key_codes), CACHE_U16(in_layer0_key_mantissa),
        CACHE_U8(in_layer0_key_exponent));
    /* DynamicQuantize: [n * 2, 10] */
    dynamic_quantize(n * 2, 10, I32(at_layer0_attention_split6),
        U8(at_layer0_attention_dynamicquantize22), I32(at_layer0_attention_dynamicquantize23),
        I32(at_layer0_attention_dynamicquantize24));
    /* CacheValues: [n, 2 x 10] to [30, 2 x 10] */
    cache_values_2x10(n, position, U8(at_layer0_attention_dynamicquantize22),
        I32(at_layer0_attention_dynamicquantize23), I32(at_layer0_attention_dynamicquantize24),
        CACHE_I8(in_layer0_value_codes), CACHE_U16(in_layer0_value_mantissa),
        CACHE_U8(in_layer0_value_exponent));
    /* CachedAttention: [n, 4 x 10] over 2 key heads */
    cached_attention_4x10(n, position, I32(at_embed_embedding3), CACHE_I8(in_layer0_key_codes),
        CACHE_U16(in_layer0_key_mantissa), CACHE_U8(in_layer0_key_exponent),
        CACHE_I8(in_layer0_value_codes), CACHE_U16(in_layer0_value_mantissa),
        CACHE_U8(in_layer0_value_exponent), 1561279501u, 24, 27, 2147483647,
        I64(at_layer0_cachedattention37_score), I16(at_layer0_cachedattention37_weight),
        I32(at_layer0_attention_cachedattention37));
    /* SaturatingAdd: [1, n, 40] */
    saturating_add_v_inplace(1, n * 40, I32(at_layer0_attention_cachedattention37),
        I32(at_embed_embedding3));

    /* ---- layer 1: attention ---- */
    DECODER_LAYER(2);
    /* Split: [n, 20] */
    copy_rows_int32(n, 20, I32(at_embed_embedding3), 40, I32(at_layer1_attention_split5), 20);
    /* Split: [n, 20] */
    copy_rows_int32(n, 20, I32(at_embed_embedding3) + 20, 40, I32(at_layer1_attention_split6),
        20);
    /* DynamicQuantize: [n * 2, 10] */
    dynamic_quantize(n * 2, 10, I32(at_layer1_attention_split5),
        U8(at_layer1_attention_dynamicquantize14), I32(at_layer1_attention_dynamicquantize15),
        I32(at_layer1_attention_dynamicquantize16));
    /* CacheKeys: [n, 2 x 10] to [30, 2 x 10] */
    cache_keys_2x10(n, position, U8(at_layer1_attention_dynamicquantize14),
        I32(at_layer1_attention_dynamicquantize15), I32(at_layer1_attention_dynamicquantize16),
        CACHE_I8(in_layer1_key_codes), CACHE_U16(in_layer1_key_mantissa),
        CACHE_U8(in_layer1_key_exponent));
    /* DynamicQuantize: [n * 2, 10] */
    dynamic_quantize(n * 2, 10, I32(at_layer1_attention_split6),
        U8(at_layer1_attention_dynamicquantize22), I32(at_layer1_attention_dynamicquantize23),
        I32(at_layer1_attention_dynamicquantize24));
    /* CacheValues: [n, 2 x 10] to [30, 2 x 10] */
    cache_values_2x10(n, position, U8(at_layer1_attention_dynamicquantize22),
        I32(at_layer1_attention_dynamicquantize23), I32(at_layer1_attention_dynamicquantize24),
        CACHE_I8(in_layer1_value_codes), CACHE_U16(in_layer1_value_mantissa),
        CACHE_U8(in_layer1_value_exponent));
    if (logits == NULL) {
        return DECODER_OK;
    }
    /* CachedAttention: [1, 4 x 10] over 2 key heads */
    cached_attention_4x10(1, position + n - 1, I32(at_embed_embedding3) + (n - 1) * 40,
        CACHE_I8(in_layer1_key_codes), CACHE_U16(in_layer1_key_mantissa),
        CACHE_U8(in_layer1_key_exponent), CACHE_I8(in_layer1_value_codes),
        CACHE_U16(in_layer1_value_mantissa), CACHE_U8(in_layer1_value_exponent), 1561279501u,
        24, 27, 2147483647, I64(at_layer1_cachedattention37_score),
        I16(at_layer1_cachedattention37_weight), I32(at_layer1_attention_cachedattention37));
    /* SaturatingAdd: [1, 1, 40] */
    saturating_add_v(1, 40, I32(at_embed_embedding3) + (n - 1) * 40,
        I32(at_layer1_attention_cachedattention37), logits);
    return DECODER_OK;
}

void decoder_reset(decoder_state *state)
{
    if (state != NULL) {
        state->position = 0;
    }
}

int decoder_prefill(decoder_state *state, const int32_t *tokens, size_t count, int32_t *logits)
{
    int status = DECODER_OK;

    if (state == NULL || tokens == NULL) {
        return DECODER_NULL_POINTER;
    }
    if ((uintptr_t)state % 8 != 0) {
        return DECODER_MISALIGNED;
    }
    if (count < 1) {
        return DECODER_TOKENS;
    }
    if (state->position > DECODER_MAX_CONTEXT || count > DECODER_MAX_CONTEXT - state->position) {
        return DECODER_CONTEXT;
    }
    if (!all_below(tokens, count, 50)) {
        return DECODER_RANGE;
    }
    while (status == DECODER_OK && count > 0) {
        const size_t n = count < DECODER_MAX_TOKENS ? count : DECODER_MAX_TOKENS;
        int32_t *const wanted = n == count ? logits : NULL;

        status = decoder_run(state->arena, state->cache, tokens, n, state->position, wanted);
        state->position += (uint32_t)n;
        tokens += n;
        count -= n;
    }
    return status;
}

int decoder_step(decoder_state *state, int32_t token, int32_t *logits)
{
    return logits == NULL ? DECODER_NULL_POINTER : decoder_prefill(state, &token, 1, logits);
}

int decoder_ends(int32_t token)
{
    return token == 2 || token == 3;
}
