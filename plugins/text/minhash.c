/* MinHash over shingles of words, with banding. */
#include "text/minhash.h"
#include "text/text.h"

#include <math.h>
#include <string.h>

/* -- hashing ----------------------------------------------------------------------- */

/* A bijection of 64 bits in which each input bit reaches each output bit: two rounds of multiply and shift (the
 * finaliser of SplitMix64: Steele, Lea and Flood 2014). */
static guint64
mix (guint64 x)
{
  x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return x ^ (x >> 31);
}

guint64
vj_hash_bytes (const char *bytes, gsize length, guint64 seed)
{
  guint64 sum = mix (seed + length);
  while (length > 0) {
    guint64 chunk = 0;
    gsize n = MIN (length, sizeof chunk);
    memcpy (&chunk, bytes, n);
    sum = mix (sum ^ GUINT64_FROM_LE (chunk));
    bytes += n;
    length -= n;
  }
  return sum;
}

/* -- shingles ----------------------------------------------------------------------- */

void
vj_shingles_add (GArray *shingles, const char *text, guint n, guint64 tag)
{
  g_autoptr (GArray) words = vj_words_split (text);
  g_autofree guint64 *hashes = g_new (guint64, MAX (words->len, 1));
  for (guint i = 0; i < words->len; i++) {
    const char *key = g_array_index (words, VjWord, i).key;
    hashes[i] = vj_hash_bytes (key, strlen (key), tag);
  }
  for (guint i = 0; i < words->len && (i == 0 || i + n <= words->len); i++) {
    guint64 shingle = mix (tag);
    for (guint j = i; j < MIN (i + n, words->len); j++)
      shingle = mix (shingle + hashes[j]);
    g_array_append_val (shingles, shingle);
  }
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;
  return x < y ? -1 : x > y;
}

void
vj_shingles_finish (GArray *shingles)
{
  guint kept = 0;
  g_array_sort (shingles, by_value);
  for (guint i = 0; i < shingles->len; i++) {
    guint64 value = g_array_index (shingles, guint64, i);
    if (i == 0 || value != g_array_index (shingles, guint64, kept - 1))
      g_array_index (shingles, guint64, kept++) = value;
  }
  g_array_set_size (shingles, kept);
}

static double
jaccard (const guint64 *a, gsize n_a, const guint64 *b, gsize n_b)
{
  gsize i = 0, j = 0, shared = 0;
  while (i < n_a && j < n_b) {
    shared += a[i] == b[j];
    gboolean forth_a = a[i] <= b[j], forth_b = b[j] <= a[i];
    i += forth_a;
    j += forth_b;
  }
  gsize all = n_a + n_b - shared;
  return all > 0 ? (double) shared / (double) all : 1;
}

double
vj_shingles_jaccard (const GArray *a, const GArray *b)
{
  return jaccard ((const guint64 *) a->data, a->len, (const guint64 *) b->data, b->len);
}

/* -- the index ----------------------------------------------------------------------- */

struct VjNear {
  guint permutations, bands, rows;
  double threshold;
  guint64 compared;
  guint64 *factors, *terms; /* [permutations]: a permutation of shingles is factor * shingle + term, factor odd */
  guint64 *signature;       /* [permutations], of the set looked for   */
  GArray *shingles;         /* of guint64: all sets added, one after the other */
  GArray *ends;             /* of gsize: where each set ends in `shingles`      */
  GArray *next;             /* of guint, [sets * bands]: the set before in the same bucket, plus 1 */
  GHashTable *buckets;      /* hash of band and its values -> last set in it, plus 1. Should two meet in one, nothing
                             * is lost: what is found there is compared. */
};

/* Probability that two sets of similarity `threshold` share one of `bands` bands of `rows` numbers. */
static double
chance (double threshold, guint bands, guint rows)
{
  return 1 - pow (1 - pow (threshold, rows), bands);
}

VjNear *
vj_near_new (guint permutations, double threshold, guint64 seed)
{
  VjNear *near = g_new0 (VjNear, 1);
  near->permutations = permutations;
  near->threshold = threshold;
  near->rows = permutations;
  while (near->rows > 1 && chance (threshold, permutations / near->rows, near->rows) < 0.95)
    near->rows--;
  near->bands = permutations / near->rows;
  near->factors = g_new (guint64, permutations);
  near->terms = g_new (guint64, permutations);
  near->signature = g_new (guint64, permutations);
  for (guint i = 0; i < permutations; i++) {
    near->factors[i] = mix (seed + 2 * i + 1) | 1;
    near->terms[i] = mix (seed + 2 * i + 2);
  }
  near->shingles = g_array_new (FALSE, FALSE, sizeof (guint64));
  near->ends = g_array_new (FALSE, FALSE, sizeof (gsize));
  near->next = g_array_new (FALSE, FALSE, sizeof (guint));
  near->buckets = g_hash_table_new (NULL, NULL);
  return near;
}

void
vj_near_free (VjNear *near)
{
  if (!near)
    return;
  g_free (near->factors);
  g_free (near->terms);
  g_free (near->signature);
  g_array_unref (near->shingles);
  g_array_unref (near->ends);
  g_array_unref (near->next);
  g_hash_table_unref (near->buckets);
  g_free (near);
}

guint
vj_near_bands (const VjNear *near)
{
  return near->bands;
}

guint
vj_near_rows (const VjNear *near)
{
  return near->rows;
}

guint64
vj_near_compared (const VjNear *near)
{
  return near->compared;
}

/* The smallest image of the set under each permutation; shingles are hashes already, so a linear map does. */
static void
sign (VjNear *near, const GArray *shingles)
{
  for (guint i = 0; i < near->permutations; i++) {
    guint64 factor = near->factors[i], term = near->terms[i], least = G_MAXUINT64;
    for (guint j = 0; j < shingles->len; j++) {
      guint64 image = factor * g_array_index (shingles, guint64, j) + term;
      least = MIN (least, image);
    }
    near->signature[i] = least;
  }
}

static gsize
bucket_of (const VjNear *near, guint band, guint64 group)
{
  guint64 sum = mix (group + band);
  for (guint i = 0; i < near->rows; i++)
    sum = mix (sum ^ near->signature[band * near->rows + i]);
  return (gsize) sum;
}

static gboolean
is_near (VjNear *near, const GArray *shingles, guint set)
{
  near->compared++;
  gsize from = set > 0 ? g_array_index (near->ends, gsize, set - 1) : 0, end = g_array_index (near->ends, gsize, set);
  const guint64 *other = (const guint64 *) near->shingles->data + from;
  return jaccard ((const guint64 *) shingles->data, shingles->len, other, end - from) >= near->threshold;
}

static void
add (VjNear *near, const GArray *shingles, const gsize *buckets)
{
  guint number = near->ends->len;
  if (shingles->len > 0)
    g_array_append_vals (near->shingles, shingles->data, shingles->len);
  gsize end = near->shingles->len;
  g_array_append_val (near->ends, end);
  for (guint band = 0; band < near->bands; band++) {
    guint before = GPOINTER_TO_UINT (g_hash_table_lookup (near->buckets, GSIZE_TO_POINTER (buckets[band])));
    g_array_append_val (near->next, before);
    g_hash_table_insert (near->buckets, GSIZE_TO_POINTER (buckets[band]), GUINT_TO_POINTER (number + 1));
  }
}

gboolean
vj_near_find_or_add (VjNear *near, const GArray *shingles, guint64 group, guint *ret_found)
{
  g_autofree gsize *buckets = g_new (gsize, near->bands);
  guint best = G_MAXUINT;
  sign (near, shingles);
  for (guint band = 0; band < near->bands; band++) {
    buckets[band] = bucket_of (near, band, group);
    guint set = GPOINTER_TO_UINT (g_hash_table_lookup (near->buckets, GSIZE_TO_POINTER (buckets[band])));
    for (; set > 0; set = g_array_index (near->next, guint, (gsize) (set - 1) * near->bands + band))
      if (set - 1 < best && is_near (near, shingles, set - 1))
        best = set - 1;
  }
  if (best == G_MAXUINT) {
    add (near, shingles, buckets);
    return FALSE;
  }
  *ret_found = best;
  return TRUE;
}
