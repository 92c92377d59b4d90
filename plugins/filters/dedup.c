/* dedup: of pairs with the same question, images and answers, in whatever order, keeps one; of pairs
 * that are nearly the same too, if asked (MinHash over word n-grams). Which one does not depend on the
 * order traces come in: the smallest id among those kept so far. Traces can be told apart instead of
 * pairs, by their text. */
#include "text/minhash.h"
#include <vj/plugin.h>

#include <string.h>

enum { BY_PAIR, BY_QUESTION, BY_TRACE };
static const char *const bys[] = {"pair", "question", "trace", NULL};
enum { EXACT, MINHASH };
static const char *const methods[] = {"exact", "minhash", NULL};
enum { TAG_QUESTION = 1, TAG_ANSWER, TAG_TRACE };

typedef struct {
  int64_t by, method, shingle, permutations;
  double threshold;
  gboolean images;

  guint64 seed;
  GHashTable *first; /* exact: digest of the content -> smallest id  */
  GHashTable *items; /* minhash: id -> Item                          */
  gboolean decided;
} Dedup;

/* A pair or trace, for MinHash. */
typedef struct {
  const char *id;    /* the table's key             */
  guint64 group;     /* only members are compared   */
  GArray *shingles;  /* NULL once it is decided     */
  gboolean doubles;  /* one kept is near            */
} Item;

static const VjOption options[] = {
  VJ_OPTION_CHOICE (Dedup, by, "pair", bys,
                    "What makes two the same: question, images and both answers; question and images alone; or, of single traces "
                    "of one order, question, images and the trace's text."),
  VJ_OPTION_CHOICE (Dedup, method, "exact", methods,
                    "Whether texts must be the same to the letter, or near: MinHash finds them, and their Jaccard similarity decides."),
  VJ_OPTION_INT (Dedup, shingle, "3", 1, 100, "words", "With minhash: length of the word sequences that are compared."),
  VJ_OPTION_REAL (Dedup, threshold, "0.8", 0.1, 1, "", "With minhash: least Jaccard similarity, of the sets of word sequences, that is near."),
  VJ_OPTION_INT (Dedup, permutations, "128", 1, 4096, "", "With minhash: numbers in a signature; more of them miss less and cost more."),
  VJ_OPTION_BOOL (Dedup, images, "true", "Whether the images must be the same, to the pixel, too."),
  VJ_OPTION_END
};

static void
item_free (gpointer data)
{
  Item *item = data;
  g_clear_pointer (&item->shingles, g_array_unref);
  g_free (item);
}

static gboolean
dedup_start (void *instance, VjRun *run, GError **error)
{
  Dedup *self = instance;
  (void) error;
  self->seed = vj_run_seed (run);
  self->first = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->items = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, item_free);
  return TRUE;
}

static void
dedup_stop (void *instance)
{
  Dedup *self = instance;
  g_clear_pointer (&self->first, g_hash_table_unref);
  g_clear_pointer (&self->items, g_hash_table_unref);
}

static const char *
id_of (const Dedup *self, const VjTrace *trace)
{
  return self->by == BY_TRACE ? trace->id : trace->pair;
}

/* -- exact ------------------------------------------------------------------------------ */

/* Every part is ended by a NUL, which no part holds, so parts cannot run together. */
static void
add_part (GChecksum *sum, const char *part)
{
  g_checksum_update (sum, (const guchar *) part, (gssize) strlen (part) + 1);
}

static char *
content_digest (const Dedup *self, const VjTrace *trace)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gboolean swap = strcmp (trace->chosen, trace->rejected) > 0;
  add_part (sum, trace->question->prompt);
  for (size_t i = 0; self->images && i < trace->question->n_images; i++)
    add_part (sum, vj_image_digest (trace->question->images[i]));
  if (self->by == BY_PAIR) {
    add_part (sum, ""); /* ends the list of images */
    add_part (sum, swap ? trace->rejected : trace->chosen);
    add_part (sum, swap ? trace->chosen : trace->rejected);
  } else if (self->by == BY_TRACE) {
    add_part (sum, "");
    add_part (sum, trace->chosen_is_a ? "a" : "b");
    add_part (sum, trace->text);
  }
  return g_strdup (g_checksum_get_string (sum));
}

static void
observe_exact (Dedup *self, const VjTrace *trace)
{
  g_autofree char *digest = content_digest (self, trace);
  const char *id = id_of (self, trace), *first = g_hash_table_lookup (self->first, digest);
  if (!first || strcmp (id, first) < 0)
    g_hash_table_insert (self->first, g_steal_pointer (&digest), g_strdup (id));
}

static gboolean
doubles_exact (const Dedup *self, const VjTrace *trace)
{
  g_autofree char *digest = content_digest (self, trace);
  return g_strcmp0 (g_hash_table_lookup (self->first, digest), id_of (self, trace)) != 0;
}

/* -- minhash ------------------------------------------------------------------------------ */

static guint64
group_of (const Dedup *self, const VjTrace *trace)
{
  guint64 group = vj_hash_bytes ("", 0, self->by == BY_TRACE && trace->chosen_is_a ? 1 : 0);
  for (size_t i = 0; self->images && i < trace->question->n_images; i++) {
    const char *digest = vj_image_digest (trace->question->images[i]);
    group = vj_hash_bytes (digest, strlen (digest), group);
  }
  return group;
}

static void
observe_near (Dedup *self, const VjTrace *trace)
{
  if (g_hash_table_contains (self->items, id_of (self, trace)))
    return; /* another trace of the pair */
  char *id = g_strdup (id_of (self, trace));
  Item *item = g_new (Item, 1);
  guint n = (guint) self->shingle;
  *item = (Item){.id = id, .group = group_of (self, trace), .shingles = g_array_new (FALSE, FALSE, sizeof (guint64))};
  vj_shingles_add (item->shingles, trace->question->prompt, n, TAG_QUESTION);
  if (self->by == BY_PAIR) {
    vj_shingles_add (item->shingles, trace->chosen, n, TAG_ANSWER);
    vj_shingles_add (item->shingles, trace->rejected, n, TAG_ANSWER);
  } else if (self->by == BY_TRACE)
    vj_shingles_add (item->shingles, trace->text, n, TAG_TRACE);
  vj_shingles_finish (item->shingles);
  g_hash_table_insert (self->items, id, item);
}

static int
by_id (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(const Item *const *) a)->id, (*(const Item *const *) b)->id);
}

static void
collect (gpointer id, gpointer value, gpointer values)
{
  (void) id;
  g_ptr_array_add (values, value);
}

static void
decide_near (Dedup *self)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new ();
  g_autoptr (VjNear) near = vj_near_new ((guint) self->permutations, self->threshold, self->seed);
  g_hash_table_foreach (self->items, collect, items);
  g_ptr_array_sort (items, by_id);
  for (guint i = 0; i < items->len; i++) {
    Item *item = items->pdata[i];
    guint found;
    item->doubles = vj_near_find_or_add (near, item->shingles, item->group, &found);
    g_clear_pointer (&item->shingles, g_array_unref);
  }
  self->decided = TRUE;
}

/* A trace never observed is no double of anything. */
static gboolean
doubles_near (Dedup *self, const VjTrace *trace)
{
  if (!self->decided)
    decide_near (self);
  const Item *item = g_hash_table_lookup (self->items, id_of (self, trace));
  return item && item->doubles;
}

/* -- the verbs ------------------------------------------------------------------------------ */

static VjFlow
dedup_observe (void *instance, VjRun *run, const VjTrace *trace, GError **error)
{
  Dedup *self = instance;
  (void) run, (void) error;
  if (self->method == EXACT)
    observe_exact (self, trace);
  else
    observe_near (self, trace);
  return VJ_FLOW_OK;
}

static VjFlow
dedup_keep (void *instance, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  static const char *const reasons[][2] = {
    {"same as another pair", "nearly the same as another pair"},
    {"same question as another pair", "nearly the same question as another pair"},
    {"same as another trace", "nearly the same as another trace"},
  };
  Dedup *self = instance;
  (void) run, (void) error;
  if (!(self->method == EXACT ? doubles_exact (self, trace) : doubles_near (self, trace)))
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (reasons[self->by][self->method]);
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Dedup, dedup_keep, dedup_observe,
                  .name = "dedup", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps one of several pairs that are the same, or nearly the same.",
                  .options = options, .start = dedup_start, .stop = dedup_stop)
