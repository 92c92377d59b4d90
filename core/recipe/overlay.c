/* Files into trees; a recipe over the one that it extends; and what is laid over both: a deployment file, then --set. */
#include "base/log.h"
#include "recipe/node-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a regular file of at most VJ_NODE_BYTES; gives its descriptor and size, or -1. */
static int
open_file (const char *file, gsize *ret_size, GError **error)
{
  int fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
  struct stat st;
  if (fd < 0 || fstat (fd, &st) != 0)
    vj_fail (error, VJ_EXIT_RECIPE, "%s: cannot be opened: %s; give the path of a recipe", file, g_strerror (errno));
  else if (!S_ISREG (st.st_mode))
    vj_fail (error, VJ_EXIT_RECIPE, "%s: is %s, not a file; give the path of a recipe", file,
             S_ISDIR (st.st_mode) ? "a directory" : "a device, pipe or socket");
  else if (st.st_size > VJ_NODE_BYTES)
    vj_fail (error, VJ_EXIT_RECIPE, "%s: the file has %" G_GINT64_FORMAT " bytes; expected at most %d; is this a recipe?", file,
             (gint64) st.st_size, VJ_NODE_BYTES);
  else {
    *ret_size = (gsize) st.st_size;
    return fd;
  }
  if (fd >= 0)
    close (fd);
  return -1;
}

static char *
read_file (const char *file, gsize *ret_length, GError **error)
{
  gsize room = 0, length = 0;
  int fd = open_file (file, &room, error);
  if (fd < 0)
    return NULL;
  g_autofree char *bytes = g_malloc (room + 1);
  ssize_t got = 1;
  while (length < room && got != 0) {
    got = read (fd, bytes + length, room - length);
    if (got < 0 && errno == EINTR)
      got = 1;
    else if (got < 0)
      break;
    else
      length += (gsize) got;
  }
  if (got < 0)
    vj_fail (error, VJ_EXIT_RECIPE, "%s: cannot be read: %s; check the disk", file, g_strerror (errno));
  close (fd);
  bytes[length] = '\0';
  *ret_length = length;
  return got < 0 ? NULL : g_steal_pointer (&bytes);
}

VjTree *
vj_tree_load (const char *file, GError **error)
{
  gsize length = 0;
  g_autofree char *bytes = read_file (file, &length, error);
  if (bytes == NULL)
    return NULL;
  g_autofree char *directory = g_path_get_dirname (file);
  return vj_tree_parse (bytes, length, file, directory, error);
}

/* -- merging -------------------------------------------------------------------- */

static gboolean
names_another_plugin (const VjNode *base, const VjNode *over)
{
  const VjNode *a = vj_node_get (base, "use"), *b = vj_node_get (over, "use");
  return a != NULL && b != NULL && g_strcmp0 (a->text, b->text) != 0;
}

/* Takes the child out of its parent, which must be thrown away afterwards. */
static VjNode *
steal_child (VjNode *parent, guint index)
{
  VjNode *child = parent->children->pdata[index];
  parent->children->pdata[index] = NULL;
  child->parent = NULL;
  return child;
}

static void
merge (VjNode *base, VjNode *over)
{
  for (guint i = 0; i < over->children->len; i++) {
    VjNode *child = over->children->pdata[i];
    if (child == NULL) /* taken out */
      continue;
    VjNode *old = vj_node_get (base, child->key);
    if (old != NULL && child->kind == VJ_NODE_NULL)
      vj_node_remove (base, old->index);
    else if (old != NULL && old->kind == VJ_NODE_MAP && child->kind == VJ_NODE_MAP && !names_another_plugin (old, child))
      merge (old, child);
    else if (old != NULL)
      vj_node_replace (base, old->index, steal_child (over, i));
    else
      vj_node_append (base, steal_child (over, i));
  }
}

/* -- extends -------------------------------------------------------------------- */

#define EXTENDS_DEPTH 8

/* Reads the recipe that `named`, the value of `extends`, names. */
static VjNode *
read_base (VjTree *tree, const VjNode *named, GError **error)
{
  g_autofree char *where = vj_node_where (named);
  if (named->kind != VJ_NODE_STRING || *named->text == '\0') {
    vj_fail (error, VJ_EXIT_RECIPE, "%s: this is %s; expected the path of a recipe, relative to this one", where,
             named->kind == VJ_NODE_STRING ? "empty" : vj_node_kind_name (named->kind));
    return NULL;
  }
  g_autofree char *file = g_path_is_absolute (named->text) ? g_strdup (named->text)
                                                           : g_build_filename (named->origin->directory, named->text, NULL);
  gsize length = 0;
  g_autofree char *bytes = read_file (file, &length, error);
  if (bytes == NULL) {
    g_prefix_error (error, "%s: ", where);
    return NULL;
  }
  g_autofree char *directory = g_path_get_dirname (file);
  g_autoptr (GError) fault = NULL;
  VjNode *base = vj_parse_document (bytes, length, vj_tree_origin (tree, file, directory), FALSE, &fault);
  if (fault != NULL)
    g_propagate_error (error, g_steal_pointer (&fault));
  else if (base != NULL && base->kind == VJ_NODE_MAP)
    return base;
  else
    vj_fail (error, VJ_EXIT_RECIPE, "%s: '%s' is %s; expected a recipe", where, file,
             base != NULL ? vj_node_kind_name (base->kind) : "empty");
  vj_node_free (base);
  return NULL;
}

/* `root` over what it extends, and that over what it extends itself. Takes `root`; NULL on error. */
static VjNode *
extend (VjTree *tree, VjNode *root, guint depth, GError **error)
{
  VjNode *named = vj_node_get (root, "extends");
  if (named == NULL)
    return root;
  VjNode *base = NULL;
  if (depth < EXTENDS_DEPTH)
    base = read_base (tree, named, error);
  else {
    g_autofree char *where = vj_node_where (named);
    vj_fail (error, VJ_EXIT_RECIPE, "%s: more than %d recipes extend one another; is there a circle?", where, EXTENDS_DEPTH);
  }
  if (base != NULL)
    base = extend (tree, base, depth + 1, error);
  if (base != NULL) {
    vj_node_free (steal_child (root, named->index));
    merge (base, root);
  }
  vj_node_free (root);
  return base;
}

gboolean
vj_tree_extend (VjTree *tree, GError **error)
{
  if (tree->root == NULL || tree->root->kind != VJ_NODE_MAP)
    return TRUE; /* whoever reads it will say so */
  tree->root = extend (tree, tree->root, 0, error);
  return tree->root != NULL;
}

/* -- --deploy ------------------------------------------------------------------ */

gboolean
vj_tree_deploy (VjTree *tree, const char *file, GError **error)
{
  static const char *const sections[] = {"models", "compute", NULL};
  gsize length = 0;
  g_autofree char *bytes = read_file (file, &length, error);
  if (bytes == NULL)
    return FALSE;
  g_autofree char *directory = g_path_get_dirname (file);
  VjNode *over = vj_parse_document (bytes, length, vj_tree_origin (tree, file, directory), FALSE, error);
  if (over == NULL)
    return FALSE;
  gboolean ok = TRUE;
  if (over->kind != VJ_NODE_MAP)
    ok = vj_fail (error, VJ_EXIT_RECIPE, "%s:%u:%u: this is %s; expected a map with models or compute", file, over->line,
                  over->column, vj_node_kind_name (over->kind));
  for (guint i = 0; ok && i < vj_node_length (over); i++) {
    const VjNode *child = vj_node_at (over, i);
    if (!g_strv_contains (sections, child->key))
      ok = vj_fail (error, VJ_EXIT_RECIPE,
                    "%s:%u:%u: %s: a deployment file holds only models and compute; put this into the recipe", file,
                    child->key_line, child->key_column, child->key);
  }
  if (ok)
    merge (tree->root, over);
  vj_node_free (over);
  return ok;
}

/* -- --set --------------------------------------------------------------------- */

static gboolean
fail_set (const char *assignment, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
fail_set (const char *assignment, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *shown = vj_text_excerpt (assignment, 80);
  return vj_fail (error, VJ_EXIT_RECIPE, "--set: '%s': %s", shown, text);
}

/* The child that `word` names, or NULL where one may be put at the end; FALSE when neither. */
static gboolean
step (VjNode *at, const char *word, const char *assignment, VjNode **ret_child, GError **error)
{
  if (at->kind == VJ_NODE_MAP) {
    *ret_child = vj_node_get (at, word);
    return TRUE;
  }
  g_autofree char *path = vj_node_path (at);
  if (at->kind != VJ_NODE_SEQUENCE)
    return fail_set (assignment, error, "'%s' is %s and has nothing below it; name a key of a map", path,
                     vj_node_kind_name (at->kind));
  guint64 index = 0;
  if (!g_ascii_string_to_unsigned (word, 10, 0, at->children->len, &index, NULL))
    return fail_set (assignment, error, "'%s' is no place in the list '%s'; expected 0 to %u (the last adds one)", word, path,
                     at->children->len);
  *ret_child = vj_node_at (at, (guint) index);
  return TRUE;
}

/* As in a recipe over another, a null takes a key away: one that is written, not the nothing of a shell's empty variable. */
static void
put (VjNode *at, VjNode *child, const char *word, VjNode *value)
{
  if (child != NULL && at->kind == VJ_NODE_MAP && value->kind == VJ_NODE_NULL && *value->text != '\0') {
    vj_node_remove (at, child->index);
    vj_node_free (value);
    return;
  }
  if (child != NULL) {
    vj_node_replace (at, child->index, value);
    return;
  }
  if (at->kind == VJ_NODE_MAP)
    value->key = g_strdup (word);
  vj_node_append (at, value);
}

/* Walks to the place and puts the value there; takes the value only on success. */
static gboolean
assign (VjTree *tree, char **words, const char *assignment, VjNode *value, GError **error)
{
  VjNode *at = tree->root;
  for (guint i = 0;; i++) {
    VjNode *child = NULL;
    if (!step (at, words[i], assignment, &child, error))
      return FALSE;
    if (words[i + 1] == NULL) {
      put (at, child, words[i], value);
      return TRUE;
    }
    if (child == NULL || child->kind == VJ_NODE_NULL) {
      VjNode *map = vj_node_new (VJ_NODE_MAP, value->origin, 0, 0);
      put (at, child, words[i], map);
      child = map;
    }
    at = child;
  }
}

gboolean
vj_tree_set (VjTree *tree, const char *assignment, const char *directory, GError **error)
{
  if (!g_utf8_validate (assignment, -1, NULL))
    return fail_set (assignment, error, "not UTF-8; type it in a UTF-8 locale");
  const char *equals = strchr (assignment, '=');
  if (equals == NULL || equals == assignment)
    return fail_set (assignment, error, "expected KEY.KEY=VALUE, e.g. repeat.iterations=2");
  g_autofree char *path = g_strndup (assignment, (gsize) (equals - assignment));
  g_auto (GStrv) words = g_strsplit (path, ".", -1);
  if (g_strv_length (words) >= VJ_NODE_DEPTH / 2 || g_strv_contains ((const char *const *) words, ""))
    return fail_set (assignment, error, "'%s' is no key path; expected KEY.KEY=VALUE, e.g. repeat.iterations=2", path);
  const char *text = equals[1] == '\0' ? "~" : equals + 1;
  g_autoptr (GError) why = NULL;
  VjNode *value = vj_parse_document (text, strlen (text), vj_tree_origin (tree, "--set", directory), TRUE, &why);
  if (value == NULL)
    return fail_set (assignment, error, "%s", strchr (why->message, ' ') + 1);
  if (equals[1] == '\0') /* nothing is written: this is what a key without a value has */
    *value->text = '\0';
  if (assign (tree, words, assignment, value, error))
    return TRUE;
  vj_node_free (value);
  return FALSE;
}
