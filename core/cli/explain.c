/* vjrun explain: one record's whole life, from its image to its fate; of what was measured, also what it measures. */
#include "cli/lineage.h"
#include "cli/rundir.h"

#include <string.h>
#include "record/request.h"

#define DEPTH 16    /* of parents and children: a run's records are six deep */
#define CHILDREN 40 /* listed; the rest is counted */
#define CHANGES 8   /* the same                       */

static void
print_text (const char *label, const char *text)
{
  g_autofree char *inert = vj_text_inert (text, -1);
  g_auto (GStrv) lines = g_strsplit (inert, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    g_print ("    %-12s %s\n", i == 0 ? label : "", lines[i]);
}

static void
print_value (const char *key, const json_t *value)
{
  if (json_is_string (value)) {
    print_text (key, json_string_value (value));
    return;
  }
  char *text = json_dumps (value, JSON_ENCODE_ANY | JSON_COMPACT);
  if (text != NULL)
    print_text (key, text);
  free (text);
}

/* Prompts repeat the question and the answers that stand above: only who speaks, and how much, is shown. */
static void
print_messages (const json_t *messages)
{
  gsize i;
  json_t *message;
  json_array_foreach ((json_t *) messages, i, message)
    g_print ("    %-12s %s, %zu characters, %zu images\n", i == 0 ? "shown" : "",
             json_string_value (json_object_get (message, "speaker")),
             strlen (json_string_value (json_object_get (message, "text"))), json_array_size (json_object_get (message, "images")));
}

/* Where the rejected answer departs from the chosen one: "at 2: red -> blue", in characters of the chosen one. */
static void
print_changes (const json_t *changes)
{
  gsize i;
  json_t *change;
  json_array_foreach ((json_t *) changes, i, change) {
    if (i == CHANGES) {
      g_autofree char *rest = g_strdup_printf ("and %zu more", json_array_size (changes) - CHANGES);
      print_text ("", rest);
      break;
    }
    const char *before = json_string_value (json_object_get (change, "before"));
    const char *after = json_string_value (json_object_get (change, "after"));
    g_autofree char *line = g_strdup_printf ("at %" JSON_INTEGER_FORMAT ": %s -> %s", json_integer_value (json_object_get (change, "chosen")),
                                             *before ? before : "(nothing)", *after ? after : "(nothing)");
    print_text (i == 0 ? "changed" : "", line);
  }
}

static gboolean
print_fate (VjStore *store, const VjStored *stored, GError **error)
{
  g_autoptr (VjFault) fault = NULL;
  g_autofree char *reason = vj_text_inert (stored->reason ? stored->reason : "", -1);
  g_print ("    %-12s %s%s%s%s%s\n", "fate", vj_fate_name (stored->fate), stored->fate_stage ? " by " : "",
           stored->fate_stage ? stored->fate_stage : "", reason[0] != '\0' ? ": " : "", reason);
  if (!vj_store_quarantine_get (store, stored->record->id, &fault, error))
    return FALSE;
  if (fault != NULL && fault->place != NULL)
    print_text ("  place", fault->place);
  if (fault != NULL && fault->detail != NULL)
    print_text ("  detail", fault->detail);
  return TRUE;
}

static gboolean
print_images (VjStore *store, const VjRecord *record, GError **error)
{
  const char *label = record->kind == VJ_RECORD_PAIR ? "degraded" : "image", *digest;
  for (gsize i = 0; (digest = vj_record_digest (record, i)) != NULL; i++) {
    g_autoptr (VjImage) image = NULL;
    if (!vj_store_image_get (store, digest, &image, error))
      return FALSE;
    if (image != NULL)
      g_print ("    %-12s %s, %u x %u, %zu bytes of %s\n", i == 0 ? label : "", vj_image_digest (image), vj_image_width (image),
               vj_image_height (image), g_bytes_get_size (vj_image_bytes (image)), vj_image_mime (image));
  }
  return TRUE;
}

static gboolean
print_draws (VjStore *store, const char *id, GError **error)
{
  g_autoptr (GPtrArray) draws = NULL;
  if (!vj_store_draws_of (store, id, &draws, error))
    return FALSE;
  for (guint i = 0; i < draws->len; i++) {
    const VjStoredDraw *draw = draws->pdata[i];
    g_print ("    %-12s %.12s, at %s, sent %" G_GINT64_FORMAT " time%s%s\n", i == 0 ? "asked" : "", draw->key, draw->stage,
             draw->claims, draw->claims == 1 ? "" : "s", draw->answered ? "" : ", not answered yet");
    if (draw->answered)
      print_text (draw->reply.error ? "  failed" : "  reply", draw->reply.error ? draw->reply.error : draw->reply.text);
  }
  return TRUE;
}

static gboolean
print_record (VjStore *store, const VjStored *stored, GError **error)
{
  const VjRecord *record = stored->record;
  const char *key;
  json_t *value;

  g_print ("%s  (%s, made by %s, iteration %u)\n", record->id, vj_record_kind_name (record->kind), stored->stage, record->iteration);
  json_object_foreach (record->fields, key, value) {
    if (strcmp (key, "messages") == 0)
      print_messages (value);
    else if (strcmp (key, "changes") == 0)
      print_changes (value);
    else if (strcmp (key, "images") != 0 && strcmp (key, "degraded") != 0)
      print_value (key, value);
  }
  if (record->kind == VJ_RECORD_JUDGMENT && !vj_lineage_print_model (store, record->iteration, stored->stage, error))
    return FALSE;
  return print_images (store, record, error) && print_fate (store, stored, error) && print_draws (store, record->id, error);
}

/* Ancestors first, so that a life reads from its beginning; `seen` keeps a shared ancestor from being told twice. */
static gboolean
print_ancestors (VjStore *store, const VjRecord *record, GHashTable *seen, guint depth, GError **error)
{
  for (guint i = 0; record->parents[i] != NULL && depth < DEPTH; i++) {
    g_autoptr (VjStored) parent = NULL;
    if (!g_hash_table_add (seen, g_strdup (record->parents[i])))
      continue;
    if (!vj_store_record_get (store, record->parents[i], &parent, error))
      return FALSE;
    if (parent == NULL)
      continue;
    if (!print_ancestors (store, parent->record, seen, depth + 1, error) || !print_record (store, parent, error))
      return FALSE;
    g_print ("\n");
  }
  return TRUE;
}

static gboolean
print_children (VjStore *store, const char *id, GHashTable *seen, guint depth, guint *listed, GError **error)
{
  VjStoreQuery query = VJ_STORE_QUERY_ALL;
  query.parent = id;
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, &query);
  for (;;) {
    g_autoptr (VjStored) child = NULL;
    if (!vj_store_walk_next (cursor, &child, error))
      return FALSE;
    if (child == NULL)
      return TRUE;
    /* A pair is the child of its response and of its question. */
    if (!g_hash_table_add (seen, g_strdup (child->record->id)) || (*listed)++ >= CHILDREN)
      continue;
    g_autofree char *reason = g_strdelimit (vj_text_inert (child->reason ? child->reason : "", -1), "\n\t", ' ');
    g_print ("  %*s%s  %s, %s%s%s%s%s\n", (int) (2 * depth), "", child->record->id, vj_record_kind_name (child->record->kind),
             vj_fate_name (child->fate), child->fate_stage ? " by " : "", child->fate_stage ? child->fate_stage : "",
             reason[0] != '\0' ? ": " : "", reason);
    if (depth + 1 < DEPTH && !print_children (store, child->record->id, seen, depth + 1, listed, error))
      return FALSE;
  }
}

/* Behind a case, and behind what was answered to it, stands the judge that it measures. */
static gboolean
print_measured (VjStore *store, const VjStored *stored, GError **error)
{
  if (!vj_lineage_is_evaluation (stored->stage))
    return TRUE;
  g_print ("\nwhat it measures\n");
  return vj_lineage_print_model (store, stored->record->iteration, stored->stage, error)
         && vj_lineage_print_trainings (store, stored->record->iteration, stored->stage, error);
}

static gboolean
explain (VjStore *store, const char *id, GError **error)
{
  g_autoptr (VjStored) stored = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint listed = 0, uses = 0;

  if (!vj_store_record_get (store, id, &stored, error))
    return FALSE;
  if (stored == NULL)
    return vj_fail (error, VJ_EXIT_USAGE, "%s: '%s': no record has this id; ids are in the export, and look like q1.0.000007.p.a0",
                    vj_store_dir (store), id);
  if (stored->record->iteration > vj_store_last (store))
    return vj_fail (error, VJ_EXIT_USAGE, "%s: '%s': it is of iteration %u, but the run now ends with iteration %u; run the recipe with "
                    "repeat.iterations: %u to have it again", vj_store_dir (store), id, stored->record->iteration, vj_store_last (store),
                    stored->record->iteration);
  if (!print_ancestors (store, stored->record, seen, 0, error) || !print_record (store, stored, error))
    return FALSE;
  g_print ("\nwhat became of it\n");
  if (!print_children (store, id, seen, 0, &listed, error) || !vj_lineage_print_uses (store, stored, &uses, error))
    return FALSE;
  if (listed + uses == 0)
    g_print ("  nothing%s\n", stored->fate == VJ_FATE_KEPT ? " so far" : " was made of it");
  else if (listed > CHILDREN)
    g_print ("  and %u more\n", listed - CHILDREN);
  return print_measured (store, stored, error);
}

int
vj_cli_explain (VjCli *cli, int argc, char **argv)
{
  GError *error = NULL;
  int code = VJ_EXIT_DONE;

  if (!vj_cli_options (cli, NULL, "ID|EVALUATION [RUNDIR|RECIPE]", "Tells one record's whole life: its image, its parents, what was asked "
                       "for it, its fate, what became of it. Of a case or an EVALUATION, as \"iteration 2: evaluate:pairs\": which judge "
                       "it measures, and the trainings, traces and pixels behind that.", &argc, &argv, &code))
    return code;
  if (argc < 2 || argc > 3)
    return vj_cli_usage (cli, "explain", argc < 2 ? "a record's id is missing" : "one record at a time");
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, &error);
  g_autoptr (VjStore) store = registry != NULL ? vj_cli_open_run (cli, registry, argc > 2 ? argv[2] : NULL, NULL, &error) : NULL;
  if (store == NULL)
    return vj_cli_fail (cli, error);
  if (!(vj_lineage_is_evaluation (argv[1]) ? vj_lineage_print_evaluation (store, argv[1], &error) : explain (store, argv[1], &error)))
    return vj_cli_fail (cli, error);
  return VJ_EXIT_DONE;
}
