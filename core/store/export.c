/* Exports: walks the records by id and writes each file into a directory that appears when all are there. */
#include <config.h>

#include "store/export.h"
#include "base/file.h"
#include "store/checkpoint.h"
#include "store/layouts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define VJ__EXPORT_NAME(name, text, doc) text,
  VJ_EXPORT_TABLE (VJ__EXPORT_NAME)
#undef VJ__EXPORT_NAME
};

const char *
vj_export_name (VjExport layout)
{
  return names[layout];
}

gboolean
vj_export_from_name (const char *name, VjExport *ret_layout)
{
  for (guint i = 0; name != NULL && i < VJ_N_EXPORTS; i++)
    if (strcmp (name, names[i]) == 0) {
      *ret_layout = (VjExport) i;
      return TRUE;
    }
  return FALSE;
}

typedef struct {
  VjStore *store;
  VjExport layout;
  int iteration;
  char *dir;          /* being filled                                   */
  GHashTable *images; /* digest -> file name, of the images written     */
  GError *error;      /* set by the image namer, which has no way to say */
  VjExportCounts counts;
} Exporting;

/* -- files ------------------------------------------------------------------------------------ */

/* One file being written: lines, or the elements of one JSON array. */
typedef struct {
  FILE *file;
  char *path;
  gboolean array;
  gint64 n;
} Out;

static gboolean
fail_file (const char *path, GError **error)
{
  g_autofree char *shown = vj_quote (path, 0);
  return vj_fail (error, VJ_EXIT_STORE, "%s: writing failed: %s; free some space or choose another place, then export again",
                  shown, g_strerror (errno));
}

static gboolean
out_open (const Exporting *e, const char *name, gboolean array, Out *ret_out, GError **error)
{
  Out out = {NULL, g_build_filename (e->dir, name, NULL), array, 0};
  out.file = fopen (out.path, "we");
  if (out.file == NULL) {
    fail_file (out.path, error);
    g_free (out.path);
    return FALSE;
  }
  *ret_out = out;
  return TRUE;
}

static gboolean
out_text (Out *out, const char *text, GError **error)
{
  const char *before = !out->array ? "" : out->n == 0 ? "[\n" : ",\n";
  out->n++;
  if (fputs (before, out->file) < 0 || fputs (text, out->file) < 0 || (!out->array && fputc ('\n', out->file) < 0))
    return fail_file (out->path, error);
  return TRUE;
}

/* Takes `json`. */
static gboolean
out_json (Out *out, json_t *json, GError **error)
{
  g_autofree char *text = vj_json_canonical (json);
  json_decref (json);
  return out_text (out, text, error);
}

/* Closes the file; with `good` it is also finished. */
static gboolean
out_close (Out *out, gboolean good, GError **error)
{
  if (good && out->array && fputs (out->n == 0 ? "[]\n" : "\n]\n", out->file) < 0)
    good = fail_file (out->path, error);
  if (fclose (out->file) != 0 && good)
    good = fail_file (out->path, error);
  g_free (out->path);
  return good;
}

/* -- images ------------------------------------------------------------------------------------- */

static gboolean
write_image (Exporting *e, const char *digest, char **ret_name, GError **error)
{
  g_autoptr (VjImage) image = NULL;
  g_autofree char *name = NULL, *path = NULL;
  gsize length;

  if (!vj_store_image_get (e->store, digest, &image, error))
    return FALSE;
  if (image == NULL)
    return vj_fail (error, VJ_EXIT_STORE, "%s: image %s is not stored; the run directory is damaged", vj_store_dir (e->store),
                    digest);
  name = g_strdup_printf ("images/%s.%s", digest, vj_image_suffix (image));
  path = g_build_filename (e->dir, name, NULL);
  const void *data = g_bytes_get_data (vj_image_bytes (image), &length);
  FILE *file = fopen (path, "we");
  gboolean good = file != NULL && fwrite (data, 1, length, file) == length;
  if (file != NULL && fclose (file) != 0)
    good = FALSE;
  if (!good)
    return fail_file (path, error);
  *ret_name = g_steal_pointer (&name);
  return TRUE;
}

/* A VjImageNamer. */
static const char *
name_image (gpointer exporting, const char *digest)
{
  Exporting *e = exporting;
  char *name = g_hash_table_lookup (e->images, digest);

  if (name != NULL)
    return name;
  if (!write_image (e, digest, &name, &e->error))
    return NULL;
  g_hash_table_insert (e->images, g_strdup (digest), name);
  e->counts.images++;
  return name;
}

static gboolean
take_error (Exporting *e, GError **error)
{
  g_propagate_error (error, g_steal_pointer (&e->error));
  return FALSE;
}

/* -- records -------------------------------------------------------------------------------------- */

/* The nearest ancestor of `kind`; *ret_record is NULL when there is none. */
static gboolean
find_ancestor (VjStore *store, const VjRecord *record, VjRecordKind kind, guint depth, VjRecord **ret_record, GError **error)
{
  for (guint i = 0; record->parents[i] != NULL && depth < 16; i++) {
    g_autoptr (VjStored) parent = NULL;
    VjRecord *found = NULL;
    if (!vj_store_record_get (store, record->parents[i], &parent, error))
      return FALSE;
    if (parent == NULL)
      continue;
    if (parent->record->kind == kind)
      found = g_steal_pointer (&parent->record);
    else if (!find_ancestor (store, parent->record, kind, depth + 1, &found, error))
      return FALSE;
    if (found != NULL) {
      *ret_record = found;
      return TRUE;
    }
  }
  *ret_record = NULL;
  return TRUE;
}

/* Writes one record to `out`, or leaves it out. */
typedef gboolean (*Write) (Exporting *e, const VjRecord *record, Out *out, GError **error);

static gboolean
write_line (Exporting *e, const VjRecord *record, Out *out, GError **error)
{
  g_autofree char *text = vj_record_to_text (record);
  const char *digest;
  for (gsize i = 0; (digest = vj_record_digest (record, i)) != NULL; i++)
    if (name_image (e, digest) == NULL)
      return take_error (e, error);
  return out_text (out, text, error);
}

/* Judgments of an evaluator's cases and of audits measure; they are never trained on, nor exported. */
static gboolean
write_judgment_line (Exporting *e, const VjRecord *record, Out *out, GError **error)
{
  g_autoptr (VjRecord) pair = NULL;
  if (vj_record_text (record, "picture") != NULL)
    return TRUE;
  if (!find_ancestor (e->store, record, VJ_RECORD_PAIR, 0, &pair, error))
    return FALSE;
  return pair == NULL ? TRUE : write_line (e, record, out, error);
}

static gboolean
write_sft (Exporting *e, const VjRecord *record, Out *out, GError **error)
{
  g_autoptr (VjRecord) pair = NULL;
  json_t *json;

  if (!find_ancestor (e->store, record, VJ_RECORD_PAIR, 0, &pair, error))
    return FALSE;
  if (pair == NULL)
    return TRUE;
  if (json_object_get (record->fields, "messages") == NULL)
    return vj_fail (error, VJ_EXIT_STORE, "%s: judgment '%s' does not tell what the judge was shown; export as jsonl instead",
                    vj_store_dir (e->store), record->id);
  json = e->layout == VJ_EXPORT_TRL ? vj_layout_trl_sft (record, name_image, e) : vj_layout_llamafactory_sft (record, name_image, e);
  return json != NULL ? out_json (out, json, error) : take_error (e, error);
}

static gboolean
write_preference (Exporting *e, const VjRecord *pair, Out *out, GError **error)
{
  g_autoptr (VjRecord) question = NULL;
  json_t *json;

  if (!find_ancestor (e->store, pair, VJ_RECORD_QUESTION, 0, &question, error))
    return FALSE;
  if (question == NULL)
    return vj_fail (error, VJ_EXIT_STORE, "%s: pair '%s' descends from no question; the run directory is damaged",
                    vj_store_dir (e->store), pair->id);
  json = e->layout == VJ_EXPORT_TRL ? vj_layout_trl_preference (question, pair, name_image, e)
                                    : vj_layout_llamafactory_preference (question, pair, name_image, e);
  return json != NULL ? out_json (out, json, error) : take_error (e, error);
}

/* The files of each layout. `dropped`: records that were dropped are written too. */
typedef struct {
  VjExport layout;
  const char *name;
  gboolean array;
  VjRecordKind kind;
  gboolean kept, dropped; /* only kept ones; also dropped ones */
  Write write;
} FileRow;

static const FileRow files[] = {
  {VJ_EXPORT_JSONL, "questions.jsonl", FALSE, VJ_RECORD_QUESTION, FALSE, TRUE, write_line},
  {VJ_EXPORT_JSONL, "pairs.jsonl", FALSE, VJ_RECORD_PAIR, FALSE, FALSE, write_line},
  {VJ_EXPORT_JSONL, "judgments.jsonl", FALSE, VJ_RECORD_JUDGMENT, FALSE, TRUE, write_judgment_line},
  {VJ_EXPORT_JSONL, "traces.jsonl", FALSE, VJ_RECORD_JUDGMENT, TRUE, FALSE, write_judgment_line},
  {VJ_EXPORT_LLAMAFACTORY, "sft.json", TRUE, VJ_RECORD_JUDGMENT, TRUE, FALSE, write_sft},
  {VJ_EXPORT_LLAMAFACTORY, "preference.json", TRUE, VJ_RECORD_PAIR, FALSE, FALSE, write_preference},
  {VJ_EXPORT_TRL, "sft.jsonl", FALSE, VJ_RECORD_JUDGMENT, TRUE, FALSE, write_sft},
  {VJ_EXPORT_TRL, "preference.jsonl", FALSE, VJ_RECORD_PAIR, FALSE, FALSE, write_preference},
};

/* What a gate chooses by is no training data; nor, where all iterations are exported, is a copy of a pair a second
 * preference. */
static gboolean
is_left_out (const Exporting *e, const VjStored *stored)
{
  gboolean judgment = stored->record->kind == VJ_RECORD_JUDGMENT;
  gboolean held_out = judgment ? strcmp (stored->stage, VJ_STORE_STAGE_GATE) == 0 : stored->record->iteration == 0;
  gboolean copy = stored->record->kind == VJ_RECORD_PAIR && strcmp (stored->stage, VJ_STORE_STAGE_REUSE) == 0;
  return held_out || (copy && e->layout != VJ_EXPORT_JSONL && e->iteration == VJ_ANY);
}

static gboolean
write_records (Exporting *e, const FileRow *row, Out *out, GError **error)
{
  VjStoreQuery query = {e->iteration, (int) row->kind, row->kept ? VJ_FATE_KEPT : VJ_ANY, NULL, NULL};
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (e->store, &query);

  for (;;) {
    g_autoptr (VjStored) stored = NULL;
    if (!vj_store_walk_next (cursor, &stored, error))
      return FALSE;
    if (stored == NULL)
      return TRUE;
    if (!is_left_out (e, stored) && (stored->fate != VJ_FATE_DROPPED || row->dropped) && !row->write (e, stored->record, out, error))
      return FALSE;
  }
}

static gboolean
write_file (Exporting *e, const FileRow *row, GError **error)
{
  Out out;

  if (!out_open (e, row->name, row->array, &out, error) || !out_close (&out, write_records (e, row, &out, error), error))
    return FALSE;
  if (row->kind == VJ_RECORD_PAIR)
    e->counts.pairs = out.n;
  else if (row->kind == VJ_RECORD_JUDGMENT && row->kept)
    e->counts.traces = out.n;
  return TRUE;
}

static gboolean
write_info (Exporting *e, GError **error)
{
  Out out;
  return out_open (e, "dataset_info.json", FALSE, &out, error)
         && out_close (&out, out_json (&out, vj_layout_llamafactory_info (), error), error);
}

/* One line for each record that failed: which, where, for which reason, in which words. */
static gboolean
write_quarantined (Exporting *e, const VjStored *stored, Out *out, GError **error)
{
  g_autoptr (VjFault) fault = NULL;
  if (!vj_store_quarantine_get (e->store, stored->record->id, &fault, error))
    return FALSE;
  if (fault == NULL)
    return TRUE;
  json_t *line = json_pack ("{s:s, s:i, s:s, s:s, s:s?, s:s?}", "id", stored->record->id, "iteration",
                            (int) stored->record->iteration, "stage", stored->fate_stage, "reason", stored->reason, "place",
                            fault->place, "detail", fault->detail);
  return line != NULL ? out_json (out, line, error)
                      : vj_fail (error, VJ_EXIT_STORE, "%s: record '%s': its fault is no UTF-8; the run directory is damaged",
                                 vj_store_dir (e->store), stored->record->id);
}

static gboolean
write_quarantine (Exporting *e, GError **error)
{
  VjStoreQuery query = {e->iteration, VJ_ANY, VJ_FATE_DROPPED, NULL, NULL};
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (e->store, &query);
  gboolean good = TRUE, end = FALSE;
  Out out;

  if (!out_open (e, "quarantine.jsonl", FALSE, &out, error))
    return FALSE;
  while (good && !end) {
    g_autoptr (VjStored) stored = NULL;
    good = vj_store_walk_next (cursor, &stored, error);
    end = stored == NULL;
    good = good && (end || write_quarantined (e, stored, &out, error));
  }
  e->counts.quarantined = out.n;
  return out_close (&out, good, error);
}

/* gate.jsonl, of a run that has passed gates: one line for each decision, as it was kept. */
static gboolean
write_gates (Exporting *e, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  gboolean good = vj_store_stages (e->store, &stages, error), open = FALSE;
  Out out;

  for (guint i = 0; good && i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    g_autofree char *key = g_strdup_printf (VJ_STORE_META_GATE, stage->iteration), *text = NULL;
    if (strcmp (stage->name, VJ_STORE_STAGE_GATE) != 0 || stage->state != VJ_STAGE_DONE
        || (e->iteration != VJ_ANY && (guint) e->iteration != stage->iteration))
      continue;
    good = vj_store_meta_get (e->store, key, &text, error);
    if (good && text != NULL && !open)
      good = open = out_open (e, "gate.jsonl", FALSE, &out, error);
    good = good && (text == NULL || out_text (&out, text, error));
  }
  return open ? out_close (&out, good, error) : good;
}

/* One line for each audit. No audit, no file: then the export is what it was before there were any. */
static gboolean
write_audits (Exporting *e, GError **error)
{
  g_autoptr (GPtrArray) figures = NULL;
  gboolean good = TRUE;
  Out out;

  if (!vj_store_audits (e->store, e->iteration, &figures, error))
    return FALSE;
  if (figures->len == 0)
    return TRUE;
  if (!out_open (e, "audits.jsonl", FALSE, &out, error))
    return FALSE;
  for (guint i = 0; good && i < figures->len; i++)
    good = out_text (&out, figures->pdata[i], error);
  return out_close (&out, good, error);
}

/* Of a control, and of no other run: its files go where no summary goes with them. */
static gboolean
write_ablation (Exporting *e, GError **error)
{
  json_t *marks = NULL;
  Out out;

  if (!vj_store_ablation_get (e->store, &marks, error))
    return FALSE;
  e->counts.ablation = marks != NULL;
  if (marks == NULL)
    return TRUE;
  json_object_set_new (marks, "note", json_string ("an ablation: labels drawn by a coin, or pairs chosen by gold, made this data; it "
                                                   "does not show what the method does without labels"));
  if (!out_open (e, VJ_EXPORT_ABLATION, FALSE, &out, error)) {
    json_decref (marks);
    return FALSE;
  }
  return out_close (&out, out_json (&out, marks, error), error);
}

static gboolean
write_all (Exporting *e, GError **error)
{
  g_autofree char *images = g_build_filename (e->dir, "images", NULL);

  if (!vj_dir_make (images, error) || !write_ablation (e, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    if (files[i].layout == e->layout && !write_file (e, &files[i], error))
      return FALSE;
  return e->layout == VJ_EXPORT_JSONL ? write_quarantine (e, error) && write_gates (e, error) && write_audits (e, error)
                                      : e->layout != VJ_EXPORT_LLAMAFACTORY || write_info (e, error);
}

/* An empty export of an iteration that is not there would look like a result, and take the place of one. */
static gboolean
check_iteration (VjStore *store, int iteration, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  guint last = 0;

  if (iteration == VJ_ANY)
    return TRUE;
  if (!vj_store_stages (store, &stages, error))
    return FALSE;
  for (guint i = 0; i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    if (strcmp (stage->name, VJ_STORE_STAGE_COURSE) == 0)
      return vj_fail (error, VJ_EXIT_USAGE, "%s: iteration %d: the run pretrains and has no iterations, so there is nothing to "
                      "export of one", vj_store_dir (store), iteration);
    last = stage->iteration;
  }
  if (iteration > 0 && (guint) iteration <= last)
    return TRUE;
  return last == 0 ? vj_fail (error, VJ_EXIT_USAGE, "%s: iteration %d: the run has begun no iteration yet; go on with it first",
                              vj_store_dir (store), iteration)
                   : vj_fail (error, VJ_EXIT_USAGE, "%s: iteration %d: the run has none of this number; choose one from 1 to %u, or "
                              "leave --iteration out for all", vj_store_dir (store), iteration, last);
}

gboolean
vj_export (VjStore *store, VjExport layout, int iteration, const char *out, VjExportCounts *ret_counts, GError **error)
{
  Exporting e = {.store = store, .layout = layout, .iteration = iteration};
  gboolean good;

  if (!check_iteration (store, iteration, error))
    return FALSE;
  e.dir = vj_checkpoint_begin (out, error);
  if (e.dir == NULL)
    return FALSE;
  e.images = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  good = write_all (&e, error) && vj_checkpoint_replace (e.dir, out, error);
  if (!good)
    vj_dir_remove (e.dir, NULL);
  else if (ret_counts != NULL)
    *ret_counts = e.counts;
  g_hash_table_unref (e.images);
  g_free (e.dir);
  return good;
}
