/* Near-duplicate search: sets of shingles (n-grams of words), their Jaccard similarity, and an index that
 * finds a similar set among those added before by MinHash signatures cut into bands (Broder 1997; Indyk and
 * Motwani 1998). What the index finds is checked by the sets themselves, so it never finds too much; it may
 * miss some. Compiled into each plugin that uses it; not for the host. */
#ifndef VJ_PLUGINS_MINHASH_H
#define VJ_PLUGINS_MINHASH_H

#include <glib.h>

/* -- shingles --------------------------------------------------------------------- */

/* Adds the shingles of `text` to an array of guint64: a hash of each run of `n` words as they are compared
 * (case folded, outer punctuation off), and of `tag`, so that equal words of different parts stay apart. A
 * text of fewer than `n` words gives one shingle of them all; one without words gives none. n >= 1. */
void vj_shingles_add (GArray *shingles, const char *text, guint n, guint64 tag);
/* Sorts, and takes double ones out: what was an array is a set. */
void vj_shingles_finish (GArray *shingles);
/* Shared shingles over all shingles, of two finished sets; two empty ones are alike: 1. */
double vj_shingles_jaccard (const GArray *a, const GArray *b);

/* -- the index --------------------------------------------------------------------- */

typedef struct VjNear VjNear;

/* `permutations` >= 1: numbers in a signature; more of them miss less and cost more. Sets of at least
 * `threshold` (0..1) are near. Their hash functions are drawn from `seed`. The bands are the most selective ones that
 * still let a pair of exactly `threshold` meet in one of them with probability 0.95; where no such bands exist, of one
 * number each. Memory: about eight bytes a shingle and forty bytes a band for each set added. */
VjNear *vj_near_new (guint permutations, double threshold, guint64 seed);
void vj_near_free (VjNear *near);
guint vj_near_bands (const VjNear *near);
guint vj_near_rows (const VjNear *near); /* of a band */
guint64 vj_near_compared (const VjNear *near); /* times two sets were compared so far */

/* Looks for a set near `shingles` (finished) among those added with the same `group`, the earliest added first. Found:
 * its number (from 0, in the order added) in *ret_found, and TRUE. Not found: it is added, and FALSE. The time does not
 * grow with the number of sets added, but with that of sets which share a band with it. The set is copied. */
gboolean vj_near_find_or_add (VjNear *near, const GArray *shingles, guint64 group, guint *ret_found);

/* 64 bits that depend on all of `bytes`, and on `seed`. */
guint64 vj_hash_bytes (const char *bytes, gsize length, guint64 seed);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjNear, vj_near_free)

#endif
