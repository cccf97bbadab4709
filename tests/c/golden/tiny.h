/* tiny: integers only. No floating point, no heap, no globals; C99 and nothing else.
 *
 *   made by    intcc 0.1.0, task test
 *   flash      11096 bytes of constant data
 *   arena      5888 bytes, the caller's (lower bound 5888)
 *   stack      about 2560 bytes
 *
 *   operator                calls   multiply-accumulates for 24 tokens
 *
 *   Add                         1              0
 *   Affine                      5              0
 *   Attention                   2          46080
 *   Embedding                   1              0
 *   L2Normalize                 1              0
 *   LayerNorm                   5              0
 *   Linear                      6          57600
 *   Linear+Gelu                 2          26880
 *   LinearWide+Add              4          46080
 *   MeanPool                    1              0
 *   Quantize                    4              0
 */
#ifndef TINY_H
#define TINY_H

#include <stddef.h>
#include <stdint.h>

#include "tiny_memory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Working memory, aligned to 8 bytes; 64 is faster. One arena per concurrent call. */
#define TINY_ARENA_BYTES 5888
/* A sequence has 1 to this many tokens. Work and time grow with the actual number. */
#define TINY_MAX_TOKENS 24

/* input_ids: int32_t [1, n], each from 0 to 49 */
#define TINY_INPUT_IDS_ELEMENTS(n) (n)

/* sentence_embedding: int32_t [1, 20] */
#define TINY_SENTENCE_EMBEDDING_ELEMENTS (20)
/* real value = (q - ZERO) * MUL / 2^SHIFT */
#define TINY_SENTENCE_EMBEDDING_MUL 1
#define TINY_SENTENCE_EMBEDDING_SHIFT 20
#define TINY_SENTENCE_EMBEDDING_ZERO 0

enum tiny_status {
    TINY_OK = 0,
    TINY_NULL_POINTER = 1, /* an argument is NULL */
    TINY_MISALIGNED = 2,   /* the arena is not aligned to 8 bytes */
    TINY_TOKENS = 3,       /* the token count is 0 or above the maximum */
    TINY_RANGE = 4         /* an id lies outside its table */
};

/* Run the model. Returns TINY_OK, or another status before anything is written. */
int tiny_run(void *arena, const int32_t *input_ids, size_t tokens, int32_t *sentence_embedding);

/* Run a recorded input and compare with its recorded output: 0, or 1 + the index of the first
   output that differs, or minus the status of the run. The arena has TINY_SELFTEST_BYTES. */
#define TINY_SELFTEST_BYTES 6080
int tiny_selftest(void *arena);

#ifdef __cplusplus
}
#endif

#endif
