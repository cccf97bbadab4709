/* tiny, call by call.
   The functions are in tiny_kernels.h. Made by intcc 0.1.0. */
#include "tiny.h"

#include "tiny_kernels.h"
#include "tiny_weights.h"

/* Where a layer begins, for who wants to measure it: define it on the command line. */
#ifndef TINY_LAYER
#define TINY_LAYER(index) ((void)(index))
#endif

/* Arena map for 24 tokens: offset, then bytes, first and last call, type and shape.
   Regions share bytes where their lives do not meet. */
enum {
    at_embeddings_embedding3          =         0, /*      1920    0 .. 30   int32 [1, n, 20] */
    at_embeddings_quantize30          =      1920, /*       512    3 .. 7    uint8 [1, n, 20] */
    at_layer0_attention_linear6       =      3456, /*       512    5 .. 8    uint8 [1, n, 20] */
    at_layer0_attention_linear13      =      3968, /*       512    6 .. 8    uint8 [1, n, 20] */
    at_layer0_attention_linear20      =      4480, /*       512    7 .. 8    uint8 [1, n, 20] */
    at_layer0_attention33_keys        =      1920, /*       768    8 .. 8    int16 [384], scratch */
    at_layer0_attention33_values      =      2688, /*       768    8 .. 8    int16 [384], scratch */
    at_layer0_attention_attention33   =      4992, /*       512    8 .. 9    uint8 [1, n, 20] */
    at_layer0_attention33_e           =      5504, /*       256    8 .. 8    int16 [128], scratch */
    at_layer0_attention33_score       =      5760, /*       128    8 .. 8    int32 [32], scratch */
    at_layer0_attention_quantize58    =      2624, /*       512   11 .. 13   uint8 [1, n, 20] */
    at_layer0_feed_forward_gelu13     =      1920, /*       704   13 .. 14   uint8 [1, n, 28] */
    at_layer0_feed_forward_quantize38 =      1920, /*       512   16 .. 20   uint8 [1, n, 20] */
    at_layer1_attention_linear6       =      3456, /*       512   18 .. 21   uint8 [1, n, 20] */
    at_layer1_attention_linear13      =      3968, /*       512   19 .. 21   uint8 [1, n, 20] */
    at_layer1_attention_linear20      =      4480, /*       512   20 .. 21   uint8 [1, n, 20] */
    at_layer1_attention33_keys        =      1920, /*       768   21 .. 21   int16 [384], scratch */
    at_layer1_attention33_values      =      2688, /*       768   21 .. 21   int16 [384], scratch */
    at_layer1_attention_attention33   =      4992, /*       512   21 .. 22   uint8 [1, n, 20] */
    at_layer1_attention33_e           =      5504, /*       256   21 .. 21   int16 [128], scratch */
    at_layer1_attention33_score       =      5760, /*       128   21 .. 21   int32 [32], scratch */
    at_layer1_attention_quantize58    =      2624, /*       512   24 .. 26   uint8 [1, n, 20] */
    at_layer1_feed_forward_gelu13     =      1920, /*       704   26 .. 27   uint8 [1, n, 28] */
    at_head_meanpool1                 =      1920  /*       128   30 .. 31   int32 [1, 20] */
};

/* A pointer to an offset of the arena. */
#define I16(at) ((int16_t *)(void *)(base + (at)))
#define I32(at) ((int32_t *)(void *)(base + (at)))
#define U8(at) ((uint8_t *)(void *)(base + (at)))

static int all_below(const int32_t *ids, size_t count, int32_t limit)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= limit) {
            return 0;
        }
    }
    return 1;
}

int tiny_run(void *arena, const int32_t *input_ids, size_t tokens, int32_t *sentence_embedding)
{
    unsigned char *const base = arena;
    const size_t n = tokens;

    if (arena == NULL || input_ids == NULL || sentence_embedding == NULL) {
        return TINY_NULL_POINTER;
    }
    if ((uintptr_t)base % 8 != 0) {
        return TINY_MISALIGNED;
    }
    if (n < 1 || n > TINY_MAX_TOKENS) {
        return TINY_TOKENS;
    }
    if (!all_below(input_ids, n, 50)) {
        return TINY_RANGE;
    }

    /* ---- embeddings ---- */
    TINY_LAYER(0);
    /* Embedding: [n, 20] */
    embedding_c20_h(n, input_ids, tiny_embeddings_const1[0], tiny_embedding3_mul,
        I32(at_embeddings_embedding3));
    /* Add: [1, n, 20] */
    add_v_inplace(1, n * 20, tiny_embeddings_const7, I32(at_embeddings_embedding3));
    /* LayerNorm: [1, n, 20] */
    layer_norm_c20_inplace(n, 210, 600239927, 16, tiny_reciprocal_roots,
        I32(at_embeddings_embedding3));
    /* Quantize: [1, n, 20] */
    quantize_c20_ssp(n, I32(at_embeddings_embedding3), 40, 524288, 12, 0, 255,
        U8(at_embeddings_quantize30));
    /* Affine: [1, n, 20] */
    affine_c20_hs_inplace(n, tiny_affine34_mul, 0, I32(at_embeddings_embedding3));

    /* ---- layer 0: attention ---- */
    TINY_LAYER(1);
    /* Linear: [n, 20] x [20, 20] */
    linear_20x20_vs(n, U8(at_embeddings_quantize30), tiny_layer0_attention_const1,
        tiny_layer0_attention_linear6_bias, tiny_layer0_attention_linear6_inverse, 32, 0, 127,
        U8(at_layer0_attention_linear6));
    /* Linear: [n, 20] x [20, 20] */
    linear_20x20_vs(n, U8(at_embeddings_quantize30), tiny_layer0_attention_const8,
        tiny_layer0_linear13_bias, tiny_layer0_linear13_inverse, 32, 1, 255,
        U8(at_layer0_attention_linear13));
    /* Linear: [n, 20] x [20, 20] */
    linear_20x20_vs(n, U8(at_embeddings_quantize30), tiny_layer0_attention_const15,
        tiny_layer0_linear20_bias, tiny_layer0_linear20_inverse, 32, 1, 255,
        U8(at_layer0_attention_linear20));
    /* Attention: [n, 2 x 10] */
    attention_2x10_s16_p(n, U8(at_layer0_attention_linear6), U8(at_layer0_attention_linear13),
        U8(at_layer0_attention_linear20), 0, 1095, 7, 3, 3506124468u, 4963960u, 3271u,
        I16(at_layer0_attention33_keys), I16(at_layer0_attention33_values),
        I32(at_layer0_attention33_score), I16(at_layer0_attention33_e),
        U8(at_layer0_attention_attention33));
    /* LinearWide+Add: [n, 20] x [20, 20] */
    linear_wide_20x20_sh_onto(n, U8(at_layer0_attention_attention33),
        tiny_layer0_attention_const35, 3, tiny_layer0_linearwide38_bias,
        I32(at_embeddings_embedding3));
    /* LayerNorm: [1, n, 20] */
    layer_norm_c20_inplace(n, 210, 600239927, 16, tiny_reciprocal_roots,
        I32(at_embeddings_embedding3));
    /* Quantize: [1, n, 20] */
    quantize_c20_ssp(n, I32(at_embeddings_embedding3), 40, 524288, 12, 0, 255,
        U8(at_layer0_attention_quantize58));
    /* Affine: [1, n, 20] */
    affine_c20_hs_inplace(n, tiny_affine34_mul, 0, I32(at_embeddings_embedding3));

    /* ---- layer 0: feed_forward ---- */
    TINY_LAYER(2);
    /* Linear+Gelu: [n, 20] x [20, 28] */
    linear_20x28_vs_gelu_vhvvssv(n, U8(at_layer0_attention_quantize58),
        tiny_layer0_feed_forward_const1[0], tiny_layer0_feed_forward_linear6_bias,
        tiny_2_layer0_feed_forward_linear6_inverse, 32, 0, 255, tiny_layer0_gelu13_knee,
        tiny_layer0_gelu13_lift, tiny_layer0_gelu13_half, tiny_layer0_gelu13_inverse, 44, 1,
        tiny_layer0_gelu13_zero, U8(at_layer0_feed_forward_gelu13));
    /* LinearWide+Add: [n, 28] x [28, 20] */
    linear_wide_28x20_ss_onto(n, U8(at_layer0_feed_forward_gelu13),
        tiny_2_layer0_feed_forward_const15[0], 2, 0, I32(at_embeddings_embedding3));
    /* LayerNorm: [1, n, 20] */
    layer_norm_c20_inplace(n, 210, 600239927, 16, tiny_reciprocal_roots,
        I32(at_embeddings_embedding3));
    /* Quantize: [1, n, 20] */
    quantize_c20_ssp(n, I32(at_embeddings_embedding3), 40, 524288, 12, 0, 255,
        U8(at_layer0_feed_forward_quantize38));
    /* Affine: [1, n, 20] */
    affine_c20_hs_inplace(n, tiny_affine34_mul, 0, I32(at_embeddings_embedding3));

    /* ---- layer 1: attention ---- */
    TINY_LAYER(3);
    /* Linear: [n, 20] x [20, 20] */
    linear_20x20_vs(n, U8(at_layer0_feed_forward_quantize38), tiny_layer1_attention_const1,
        tiny_layer1_attention_linear6_bias, tiny_layer1_attention_linear6_inverse, 32, 0, 127,
        U8(at_layer1_attention_linear6));
    /* Linear: [n, 20] x [20, 20] */
    linear_20x20_vs(n, U8(at_layer0_feed_forward_quantize38), tiny_layer1_attention_const8,
        tiny_layer1_linear13_bias, tiny_layer1_linear13_inverse, 32, 1, 255,
        U8(at_layer1_attention_linear13));
    /* Linear: [n, 20] x [20, 20] */
    linear_20x20_vs(n, U8(at_layer0_feed_forward_quantize38), tiny_layer1_attention_const15,
        tiny_layer1_linear20_bias, tiny_layer1_linear20_inverse, 32, 1, 255,
        U8(at_layer1_attention_linear20));
    /* Attention: [n, 2 x 10] */
    attention_2x10_s16_p(n, U8(at_layer1_attention_linear6), U8(at_layer1_attention_linear13),
        U8(at_layer1_attention_linear20), 0, 1095, 7, 3, 3506124468u, 4963960u, 3271u,
        I16(at_layer1_attention33_keys), I16(at_layer1_attention33_values),
        I32(at_layer1_attention33_score), I16(at_layer1_attention33_e),
        U8(at_layer1_attention_attention33));
    /* LinearWide+Add: [n, 20] x [20, 20] */
    linear_wide_20x20_sh_onto(n, U8(at_layer1_attention_attention33),
        tiny_layer1_attention_const35, 3, tiny_layer1_linearwide38_bias,
        I32(at_embeddings_embedding3));
    /* LayerNorm: [1, n, 20] */
    layer_norm_c20_inplace(n, 210, 600239927, 16, tiny_reciprocal_roots,
        I32(at_embeddings_embedding3));
    /* Quantize: [1, n, 20] */
    quantize_c20_ssp(n, I32(at_embeddings_embedding3), 40, 524288, 12, 0, 255,
        U8(at_layer1_attention_quantize58));
    /* Affine: [1, n, 20] */
    affine_c20_hs_inplace(n, tiny_affine34_mul, 0, I32(at_embeddings_embedding3));

    /* ---- layer 1: feed_forward ---- */
    TINY_LAYER(4);
    /* Linear+Gelu: [n, 20] x [20, 28] */
    linear_20x28_vs_gelu_vhvvssv(n, U8(at_layer1_attention_quantize58),
        tiny_layer1_feed_forward_const1[0], tiny_layer1_feed_forward_linear6_bias,
        tiny_2_layer1_feed_forward_linear6_inverse, 32, 0, 255, tiny_layer0_gelu13_knee,
        tiny_layer0_gelu13_lift, tiny_layer0_gelu13_half, tiny_layer0_gelu13_inverse, 44, 1,
        tiny_layer0_gelu13_zero, U8(at_layer1_feed_forward_gelu13));
    /* LinearWide+Add: [n, 28] x [28, 20] */
    linear_wide_28x20_ss_onto(n, U8(at_layer1_feed_forward_gelu13),
        tiny_2_layer1_feed_forward_const15[0], 2, 0, I32(at_embeddings_embedding3));
    /* LayerNorm: [1, n, 20] */
    layer_norm_c20_inplace(n, 210, 600239927, 16, tiny_reciprocal_roots,
        I32(at_embeddings_embedding3));
    /* Affine: [1, n, 20] */
    affine_c20_hs_inplace(n, tiny_affine34_mul, 0, I32(at_embeddings_embedding3));

    /* ---- head ---- */
    TINY_LAYER(5);
    /* MeanPool: [n, 20] -> [20] */
    mean_pool_c20(n, I32(at_embeddings_embedding3), I32(at_head_meanpool1));
    /* L2Normalize: [1, 20] */
    l2_normalize_c20(1, I32(at_head_meanpool1), 0, 536870912, 9, tiny_reciprocal_roots,
        sentence_embedding);
    return TINY_OK;
}
