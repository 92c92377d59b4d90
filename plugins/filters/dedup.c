/* dedup: of pairs with the same question, images and answers, in whatever order, keeps one.
 * Which one does not depend on the order traces come in: the pair with the smallest id. */
#include <vj/plugin.h>

#include <string.h>

enum { BY_PAIR, BY_QUESTION };
static const char *const bys[] = {"pair", "question", NULL};

typedef struct {
  int64_t by;
  GHashTable *first; /* digest of the content -> smallest pair id */
} Dedup;

static const VjOption options[] = {
  VJ_OPTION_CHOICE (Dedup, by, "pair", bys,
                    "What makes two pairs the same: question, images and answers, or question and images alone."),
  VJ_OPTION_END
};

static gboolean
dedup_start (void *instance, VjRun *run, GError **error)
{
  Dedup *self = instance;
  (void) run, (void) error;
  self->first = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return TRUE;
}

static void
dedup_stop (void *instance)
{
  Dedup *self = instance;
  g_clear_pointer (&self->first, g_hash_table_unref);
}

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
  for (size_t i = 0; i < trace->question->n_images; i++)
    add_part (sum, vj_image_digest (trace->question->images[i]));
  if (self->by == BY_PAIR) {
    add_part (sum, ""); /* ends the list of images */
    add_part (sum, swap ? trace->rejected : trace->chosen);
    add_part (sum, swap ? trace->chosen : trace->rejected);
  }
  return g_strdup (g_checksum_get_string (sum));
}

static VjFlow
dedup_observe (void *instance, VjRun *run, const VjTrace *trace, GError **error)
{
  Dedup *self = instance;
  g_autofree char *digest = content_digest (self, trace);
  const char *first = g_hash_table_lookup (self->first, digest);
  (void) run, (void) error;
  if (!first || strcmp (trace->pair, first) < 0)
    g_hash_table_insert (self->first, g_steal_pointer (&digest), g_strdup (trace->pair));
  return VJ_FLOW_OK;
}

static VjFlow
dedup_keep (void *instance, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error)
{
  Dedup *self = instance;
  g_autofree char *digest = content_digest (self, trace);
  (void) run, (void) error;
  if (g_strcmp0 (g_hash_table_lookup (self->first, digest), trace->pair) == 0)
    return VJ_FLOW_OK;
  *ret_reason = g_strdup (self->by == BY_PAIR ? "same as another pair" : "same question as another pair");
  return VJ_FLOW_SKIP;
}

VJ_DEFINE_FILTER (Dedup, dedup_keep, dedup_observe,
                  .name = "dedup", .version = "1.0", .license = "Apache-2.0",
                  .summary = "Keeps one of several pairs that are the same.",
                  .options = options, .start = dedup_start, .stop = dedup_stop)
