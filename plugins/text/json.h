/* Reading records from hostile JSON files, one at a time and in bounded memory: lines of a
 * JSONL file, or elements of a JSON array. One broken record never costs the next one. Compiled
 * into the plugins that use it; not for the host. */
#ifndef VJ_PLUGINS_JSON_H
#define VJ_PLUGINS_JSON_H

#include <jansson.h>
#include <vj/plugin.h>

typedef struct VjJson VjJson;

/* What is wrong with a record: the kind of fault, which the funnel counts by, and what is particular to this one. */
typedef struct {
  char *reason; /* owned: the same for the same cause; NULL: the draft has it already (an image's fault) */
  char *detail; /* owned; may be NULL */
} VjJsonProblem;

void vj_json_problem_clear (VjJsonProblem *problem);
/* Sets both (detail_format NULL: no detail); always FALSE. */
gboolean vj_json_problem (VjJsonProblem *ret_problem, const char *reason, const char *detail_format, ...)
  G_GNUC_PRINTF (3, 4);

/* LINES: a record per line; blank lines, CRLF, a byte order mark and a missing last newline are fine.
 * ELEMENTS: the elements of one array, or bare values one after the other. */
typedef enum { VJ_JSON_LINES, VJ_JSON_ELEMENTS } VjJsonForm;

/* Opens a regular file; `limit` is the most bytes of one record. VJ_EXIT_DATA. */
VjJson *vj_json_open (const char *path, VjJsonForm form, gsize limit, GError **error);
void vj_json_close (VjJson *json); /* NULL is fine */

/* The next record: OK with *ret_record (owned; an object), or SKIP with *ret_problem, or END. ERROR (VJ_EXIT_DATA):
 * unreadable, changed while it was read, or END without a single record. */
VjFlow vj_json_next (VjJson *json, json_t **ret_record, VjJsonProblem *ret_problem, GError **error);

/* "file:line" of the record last read. Borrowed until the next one is read. */
const char *vj_json_place (const VjJson *json);

/* A table of the ids seen so far. Free by g_hash_table_unref. */
GHashTable *vj_json_ids_new (void);

/* Fills a draft from one record, or says in *ret_problem why that cannot be. */
typedef gboolean (*VjJsonFill) (const void *self, json_t *record, VjDraft *draft, VjJsonProblem *ret_problem);

/* A whole `next` verb: the record at vj_run_index, skipping to it when earlier ones were not asked for, as a
 * draft filled by `fill`. A broken record, or one whose field `id_field` (NULL: no ids) repeats an earlier one's
 * in `seen`, is SKIP with place, reason and detail. */
VjFlow vj_json_draft (VjJson *json, VjRun *run, const char *id_field, GHashTable *seen, VjJsonFill fill,
                      const void *self, VjDraft *draft, GError **error);

/* The field `name` of a record, or NULL; "a.b" and "a.0" reach into objects and arrays where no field
 * has that very name. JSON null counts as absent. Borrowed. */
json_t *vj_json_field (json_t *record, const char *name);

/* A string, number or boolean as text, an array of these as lines; NULL for anything else. Owned. */
char *vj_json_text (const json_t *value);

/* The text of a field. FALSE and *ret_problem ("no field 'x'", "field 'x' is no text") otherwise. */
gboolean vj_json_field_text (json_t *record, const char *name, char **ret_text, VjJsonProblem *ret_problem);

/* Adds the image or images (a file name, or an array of file names) that `field` names below `root`; *ret_n of them.
 * `field` NULL or, when `optional`, absent: none. FALSE and *ret_problem otherwise. */
gboolean vj_json_images (json_t *record, const char *field, gboolean optional, const char *root, VjDraft *draft,
                         gsize *ret_n, VjJsonProblem *ret_problem);

/* `root`, or the folder of `path` when NULL. Owned. */
char *vj_json_root (const char *root, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjJson, vj_json_close)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VjJsonProblem, vj_json_problem_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_t, json_decref)

#endif
