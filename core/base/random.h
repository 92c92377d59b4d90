/* Seeded random streams: every random choice of a run comes from one of these,
 * named by what it decides, so that threads, batches, completion order and
 * resumption cannot change the output. Not for cryptography. */
#ifndef VJ_BASE_RANDOM_H
#define VJ_BASE_RANDOM_H

#include <glib.h>
#include "vj/error.h"

/* xoshiro256** 1.0 (Blackman and Vigna, 2018), seeded through SplitMix64. Copyable. */
typedef struct {
  guint64 state[4];
} VjRandom;

/* A stream that depends on `seed` alone. */
VJ_API void vj_random_init (VjRandom *random, guint64 seed);

/* The stream named by (seed, stage, id, draw). `stage` and `id` are UTF-8; NULL reads as "". */
VJ_API void vj_random_init_named (VjRandom *random, guint64 seed, const char *stage, const char *id, guint64 draw);

/* The 64-bit seed behind vj_random_init_named. */
VJ_API guint64 vj_random_seed_named (guint64 seed, const char *stage, const char *id, guint64 draw);

VJ_API guint64 vj_random_next (VjRandom *random);                  /* uniform over 64 bits                    */
VJ_API guint32 vj_random_below (VjRandom *random, guint32 below);  /* uniform in [0, below); 0 when below is 0 */
VJ_API double vj_random_real (VjRandom *random);                   /* uniform in [0, 1), 53 bits              */
VJ_API void vj_random_shuffle (VjRandom *random, gpointer *items, guint n); /* every order alike (Fisher and Yates) */
VJ_API double vj_random_normal (VjRandom *random);                 /* mean 0, variance 1 (Box-Muller)         */

#endif
