/* Models that the run itself has trained. What is in their directories is noted when they are made, and looked at before
 * they are used: a model that was changed since, by hand or by a broken disk, would go on under the name of the one that was
 * measured. Hashing a large model takes minutes, so a file that still has its size, times and place is taken for the same;
 * where these differ, as in a copied run directory, its content decides. */
#include "pipeline/context.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"

#define MAX_DEPTH 8 /* of directories in a model */
#define SHOWN 4     /* changes that a message names */

static char *
key_of (const VjContext *context, const char *dir)
{
  g_autofree char *label = vj_context_label (context, dir);
  return g_strconcat ("made ", label, NULL);
}

/* Adds every file below `root`/`below` to `files`: name -> {"size", "stat"}. What begins with a dot is no part of a model:
 * file browsers and network file systems leave such things. */
static gboolean
look (const char *root, const char *below, guint depth, json_t *files, GError **error)
{
  g_autofree char *dir = g_build_filename (root, below, NULL), *shown = vj_quote (dir, 0);
  g_autoptr (GDir) listing = depth < MAX_DEPTH ? g_dir_open (dir, 0, NULL) : NULL;
  const char *name;

  if (listing == NULL)
    return vj_fail (error, VJ_EXIT_DATA, "'%s': the directory of a trained model cannot be read; check its permissions", shown);
  while ((name = g_dir_read_name (listing)) != NULL) {
    g_autofree char *inner = below[0] != '\0' ? g_build_filename (below, name, NULL) : g_strdup (name);
    g_autofree char *path = g_build_filename (root, inner, NULL), *place = NULL;
    struct stat info;
    if (name[0] == '.')
      continue;
    if (stat (path, &info) != 0)
      return vj_fail (error, VJ_EXIT_DATA, "'%s': '%s': a file of a trained model cannot be looked at: %s; check its permissions", shown, name,
                      g_strerror (errno));
    if (S_ISDIR (info.st_mode)) {
      if (!look (root, inner, depth + 1, files, error))
        return FALSE;
      continue;
    }
    place = g_strdup_printf ("%lld.%09ld %lld.%09ld %llu", (long long) info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                             (long long) info.st_ctim.tv_sec, info.st_ctim.tv_nsec, (unsigned long long) info.st_ino);
    if (json_object_set_new (files, inner, json_pack ("{s:I, s:s}", "size", (json_int_t) info.st_size, "stat", place)) != 0)
      return vj_fail (error, VJ_EXIT_DATA, "'%s': a file whose name is not UTF-8; take it out", shown);
  }
  return TRUE;
}

/* -- noting ----------------------------------------------------------------------- */

/* Takes `files`. */
static gboolean
put (VjContext *context, const char *dir, json_t *files, GError **error)
{
  g_autofree char *key = key_of (context, dir), *text = vj_json_canonical (files);
  json_decref (files);
  return vj_store_meta_set (context->store, key, text, error);
}

static gboolean
hash (const char *dir, const char *name, json_t *file, GError **error)
{
  g_autofree char *path = g_build_filename (dir, name, NULL), *sum = vj_sha256_file (path, error);
  if (sum == NULL)
    return FALSE;
  json_object_set_new (file, "sha256", json_string (sum));
  return TRUE;
}

gboolean
vj_made_note (VjContext *context, const char *dir, GError **error)
{
  json_t *files = json_object (), *file;
  const char *name;
  gboolean good = look (dir, "", 0, files, error);

  json_object_foreach (files, name, file)
    good = good && hash (dir, name, file, error);
  if (good)
    return put (context, dir, files, error);
  json_decref (files);
  return FALSE;
}

/* -- checking ----------------------------------------------------------------------- */

typedef struct {
  GString *text;
  guint n;
} Changes;

static void
change (Changes *changes, const char *name, const char *what)
{
  g_autofree char *shown = vj_quote (name, 0);
  if (changes->n++ < SHOWN)
    g_string_append_printf (changes->text, "%s'%s' %s", changes->text->len > 0 ? ", " : "", shown, what);
}

/* One file as it was noted beside what is there now (NULL: nothing). A new place of the same content is taken over. */
static gboolean
compare (const char *dir, const char *name, json_t *noted, json_t *now, Changes *changes, gboolean *moved, GError **error)
{
  if (now == NULL) {
    change (changes, name, "is missing");
    return TRUE;
  }
  if (json_equal (json_object_get (noted, "size"), json_object_get (now, "size"))
      && json_equal (json_object_get (noted, "stat"), json_object_get (now, "stat")))
    return TRUE;
  if (!hash (dir, name, now, error))
    return FALSE;
  if (!json_equal (json_object_get (noted, "sha256"), json_object_get (now, "sha256")))
    change (changes, name, "has changed");
  json_object_set (noted, "stat", json_object_get (now, "stat"));
  *moved = TRUE;
  return TRUE;
}

static gboolean
compare_all (const char *dir, json_t *noted, Changes *changes, gboolean *moved, GError **error)
{
  json_t *now = json_object (), *file;
  const char *name;
  gboolean good = look (dir, "", 0, now, error);

  json_object_foreach (noted, name, file)
    good = good && compare (dir, name, file, json_object_get (now, name), changes, moved, error);
  json_object_foreach (now, name, file)
    if (json_object_get (noted, name) == NULL)
      change (changes, name, "was added");
  json_decref (now);
  return good;
}

static gboolean
fail_changed (const char *dir, const Changes *changes, GError **error)
{
  g_autofree char *shown = vj_quote (dir, 0), *more = changes->n > SHOWN ? g_strdup_printf (", and %u more", changes->n - SHOWN) : g_strdup ("");
  return vj_fail (error, VJ_EXIT_DATA, "'%s': it is not the model that this run has trained: %s%s; put back what was there, or start a new "
                  "run with --run-dir; a model changed on purpose belongs elsewhere, named by a `path` in `models`", shown, changes->text->str,
                  more);
}

/* Names and contents, without places: the same for the same model wherever it lies. */
static char *
digest_of (const json_t *files)
{
  json_t *plain = json_deep_copy (files), *file;
  const char *name;

  json_object_foreach (plain, name, file)
    json_object_del (file, "stat");
  g_autofree char *text = vj_json_canonical (plain);
  json_decref (plain);
  return vj_sha256 (text, strlen (text));
}

/* Takes `noted`. */
static gboolean
check_noted (VjContext *context, const char *dir, json_t *noted, char **ret_digest, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Changes changes = {.text = text};
  gboolean moved = FALSE, good = compare_all (dir, noted, &changes, &moved, error);

  if (good && changes.n > 0)
    good = fail_changed (dir, &changes, error);
  g_autofree char *digest = good ? digest_of (noted) : NULL;
  if (good && moved)
    good = put (context, dir, json_incref (noted), error);
  json_decref (noted);
  if (good && ret_digest != NULL)
    *ret_digest = g_steal_pointer (&digest);
  return good;
}

gboolean
vj_made_check (VjContext *context, const char *dir, char **ret_digest, GError **error)
{
  g_autofree char *key = key_of (context, dir), *text = NULL;

  if (!vj_store_meta_get (context->store, key, &text, error))
    return FALSE;
  if (text == NULL) {
    /* Trained by a vjrun that noted nothing: from now on it is this one. */
    if (!vj_made_note (context, dir, error) || !vj_store_meta_get (context->store, key, &text, error))
      return FALSE;
  }
  json_t *noted = vj_json_parse (text, strlen (text), key, error);
  return noted != NULL && check_noted (context, dir, noted, ret_digest, error);
}

gboolean
vj_made_any (VjStore *store, guint iteration, gboolean *ret_made, GError **error)
{
  g_autoptr (VjStage) stage = NULL;
  if (!vj_store_stage_get (store, iteration, "train", &stage, error))
    return FALSE;
  *ret_made = stage != NULL && stage->state == VJ_STAGE_DONE && stage->n_kept > 0;
  return TRUE;
}
