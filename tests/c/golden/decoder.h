/* decoder: integers only. No floating point, no heap, no globals; C99 and nothing else.
 *
 *   made by    intcc 0.1.0, task text-generation
 *   flash      2100 bytes of constant data
 *   arena      1600 bytes, the caller's (lower bound 1600)
 *   cache      3328 bytes, the caller's, for 30 tokens
 *   stack      about 2148 bytes
 *
 *   operator                calls   multiply-accumulates for 4 tokens
 *
 *   CacheKeys                   2              0
 *   CacheValues                 2              0
 *   CachedAttention             2          12000
 *   DynamicQuantize             4              0
 *   Embedding                   1              0
 *   SaturatingAdd               2              0
 *   Split                       4              0
 */
#ifndef DECODER_H
#define DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "decoder_memory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Working memory, aligned to 8 bytes; 64 is faster. One arena per concurrent call. */
#define DECODER_ARENA_BYTES 1600
/* A call has 1 to this many tokens. Work and time grow with the actual number. */
#define DECODER_MAX_TOKENS 4

/* What the model keeps from call to call, aligned to 8 bytes: the keys and values of all tokens so
   far, up to MAX_CONTEXT. One cache per text; it needs no initial value. A call reads what lies
   before `position` and writes its own tokens from there on, so a text is continued by passing the
   number of tokens so far, and cut short by passing fewer. */
#define DECODER_CACHE_BYTES 3328
#define DECODER_MAX_CONTEXT 30

/* input_ids: int32_t [1, n], each from 0 to 49 */
#define DECODER_INPUT_IDS_ELEMENTS(n) (n)

/* logits: int32_t [1, 1, 40] */
#define DECODER_LOGITS_ELEMENTS (40)

enum decoder_status {
    DECODER_OK = 0,
    DECODER_NULL_POINTER = 1, /* an argument is NULL */
    DECODER_MISALIGNED = 2,   /* the arena or the cache is not aligned to 8 bytes */
    DECODER_TOKENS = 3,       /* the token count is 0 or above the maximum */
    DECODER_RANGE = 4,        /* an id lies outside its table */
    DECODER_CONTEXT = 5       /* position + tokens is above the context */
};

/* A text in the making. All of it is private but `position`, the number of tokens so far, which may
   be read. Lay it where you like, aligned to 8 bytes; 64 is faster. It holds no pointers. */
#define DECODER_STATE_BYTES 4936
typedef struct decoder_state {
    uint64_t cache[DECODER_CACHE_BYTES / 8];
    uint64_t arena[DECODER_ARENA_BYTES / 8];
    uint32_t position;
    uint32_t unused;
} decoder_state;

/* Number of logits. Tokens are 0 to 49. */
#define DECODER_VOCABULARY 40
/* What a text begins with. */
#define DECODER_BEGIN_TOKEN 1

/* Begin a text. Nothing else of the state needs a value. */
void decoder_reset(decoder_state *state);

/* Take in `count` tokens, as many as the context still holds, in calls of MAX_TOKENS: how tokens
   are cut into calls changes no bit. Writes the logits that follow the last one, int32
   [VOCABULARY]; none if `logits` is NULL. Returns DECODER_OK, or another status before anything is
   written: DECODER_TOKENS for a count of 0, DECODER_CONTEXT where the context ends. */
int decoder_prefill(decoder_state *state, const int32_t *tokens, size_t count, int32_t *logits);

/* Take in one token and write the logits that follow it. The status is as above. */
int decoder_step(decoder_state *state, int32_t token, int32_t *logits);

/* 1 for a token that ends a text, else 0. */
int decoder_ends(int32_t token);

/* What the functions above call: run the model on 1 to MAX_TOKENS tokens behind `position` earlier
   ones, with memory of your own: several texts, a cache each, may take turns in one arena. The
   logits are those that follow the last token; without them (NULL) only the cache is written.
   Returns DECODER_OK, or another status before anything is written. */
int decoder_run(void *arena, void *cache, const int32_t *input_ids, size_t tokens,
    size_t position, int32_t *logits);

/* Run a recorded input and compare with its recorded output: 0, or 1 + the index of the first
   output that differs, or minus the status of the run. The arena has DECODER_SELFTEST_BYTES. */
#define DECODER_SELFTEST_BYTES 5248
int decoder_selftest(void *arena);

#ifdef __cplusplus
}
#endif

#endif
