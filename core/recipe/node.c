/* Nodes: making, finding, naming, digesting. */
#include "recipe/node-private.h"

#include <string.h>

static void
origin_free (VjNodeOrigin *origin)
{
  g_free (origin->name);
  g_free (origin->directory);
  g_free (origin);
}

VjTree *
vj_tree_new (void)
{
  VjTree *tree = g_new0 (VjTree, 1);
  tree->origins = g_ptr_array_new_with_free_func ((GDestroyNotify) origin_free);
  return tree;
}

VjNodeOrigin *
vj_tree_origin (VjTree *tree, const char *name, const char *directory)
{
  VjNodeOrigin *origin = g_new0 (VjNodeOrigin, 1);
  origin->name = g_strdup (name);
  origin->directory = g_canonicalize_filename (directory != NULL ? directory : ".", NULL);
  g_ptr_array_add (tree->origins, origin);
  return origin;
}

VjNode *
vj_node_new (VjNodeKind kind, const VjNodeOrigin *origin, guint line, guint column)
{
  VjNode *node = g_new0 (VjNode, 1);
  node->kind = kind;
  node->origin = origin;
  node->line = line;
  node->column = column;
  if (kind == VJ_NODE_MAP || kind == VJ_NODE_SEQUENCE)
    node->children = g_ptr_array_new_with_free_func ((GDestroyNotify) vj_node_free);
  return node;
}

/* Recursion is bounded by VJ_NODE_DEPTH, here and below. */
void
vj_node_free (VjNode *node)
{
  if (node == NULL)
    return;
  if (node->children != NULL)
    g_ptr_array_unref (node->children);
  g_free (node->key);
  g_free (node->text);
  g_free (node);
}

void
vj_node_append (VjNode *parent, VjNode *child)
{
  child->parent = parent;
  child->index = parent->children->len;
  g_ptr_array_add (parent->children, child);
}

void
vj_node_replace (VjNode *parent, guint index, VjNode *child)
{
  VjNode *old = parent->children->pdata[index];
  child->parent = parent;
  child->index = index;
  g_free (child->key);
  child->key = g_steal_pointer (&old->key);
  if (child->key_line == 0)
    child->key_line = child->line, child->key_column = child->column;
  parent->children->pdata[index] = child;
  vj_node_free (old);
}

void
vj_node_remove (VjNode *parent, guint index)
{
  g_ptr_array_remove_index (parent->children, index);
  for (guint i = index; i < parent->children->len; i++)
    ((VjNode *) parent->children->pdata[i])->index = i;
}

VjNode *
vj_tree_root (VjTree *tree)
{
  return tree->root;
}

void
vj_tree_free (VjTree *tree)
{
  if (tree == NULL)
    return;
  vj_node_free (tree->root);
  g_ptr_array_unref (tree->origins);
  g_free (tree);
}

guint
vj_node_length (const VjNode *node)
{
  return node != NULL && node->children != NULL ? node->children->len : 0;
}

VjNode *
vj_node_at (const VjNode *node, guint index)
{
  return index < vj_node_length (node) ? node->children->pdata[index] : NULL;
}

VjNode *
vj_node_get (const VjNode *map, const char *key)
{
  if (map == NULL || map->kind != VJ_NODE_MAP)
    return NULL;
  for (guint i = 0; i < map->children->len; i++) {
    VjNode *child = map->children->pdata[i];
    if (strcmp (child->key, key) == 0)
      return child;
  }
  return NULL;
}

const char *
vj_node_kind_name (VjNodeKind kind)
{
  switch (kind) {
  case VJ_NODE_NULL:
    return "nothing";
  case VJ_NODE_BOOL:
    return "true or false";
  case VJ_NODE_INT:
    return "an integer";
  case VJ_NODE_REAL:
    return "a number";
  case VJ_NODE_STRING:
    return "text";
  case VJ_NODE_SEQUENCE:
    return "a list";
  case VJ_NODE_MAP:
    return "a map";
  }
  return "nothing";
}

static void
append_path (GString *out, const VjNode *node)
{
  if (node->parent == NULL)
    return;
  append_path (out, node->parent);
  if (out->len > 0)
    g_string_append_c (out, '.');
  if (node->key != NULL)
    g_string_append (out, node->key);
  else
    g_string_append_printf (out, "%u", node->index);
}

char *
vj_node_path (const VjNode *node)
{
  GString *out = g_string_new (NULL);
  append_path (out, node);
  return g_string_free (out, FALSE);
}

char *
vj_place (const VjNodeOrigin *origin, guint line, guint column)
{
  return line == 0 ? g_strdup (origin->name) : g_strdup_printf ("%s:%u:%u", origin->name, line, column);
}

char *
vj_node_where (const VjNode *node)
{
  g_autofree char *place = vj_place (node->origin, node->line, node->column);
  g_autofree char *path = vj_node_path (node);
  return *path == '\0' ? g_steal_pointer (&place) : g_strdup_printf ("%s: %s", place, path);
}

/* -- digest -------------------------------------------------------------------- */

static gint
by_key (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(VjNode *const *) a)->key, (*(VjNode *const *) b)->key);
}

static void
add_text (GChecksum *sum, char kind, const char *text)
{
  g_autofree char *head = g_strdup_printf ("%c%zu:", kind, strlen (text));
  g_checksum_update (sum, (const guchar *) head, -1);
  g_checksum_update (sum, (const guchar *) text, -1);
}

/* 3 and 3.0 are one number to every option that takes both. */
static void
add_number (GChecksum *sum, const VjNode *node)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  if (node->kind == VJ_NODE_INT)
    g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, node->integer);
  else if (node->real == (double) (int32_t) CLAMP (node->real, G_MININT32, G_MAXINT32))
    g_snprintf (text, sizeof text, "%d", (int32_t) node->real);
  else
    g_ascii_dtostr (text, sizeof text, node->real);
  add_text (sum, 'n', text);
}

static void
add_node (GChecksum *sum, const VjNode *node, const char *const *except)
{
  switch (node->kind) {
  case VJ_NODE_NULL:
    add_text (sum, '~', "");
    break;
  case VJ_NODE_BOOL:
    add_text (sum, 'b', node->boolean ? "true" : "false");
    break;
  case VJ_NODE_INT:
  case VJ_NODE_REAL:
    add_number (sum, node);
    break;
  case VJ_NODE_STRING:
    add_text (sum, 's', node->text);
    break;
  case VJ_NODE_SEQUENCE:
    add_text (sum, '[', "");
    for (guint i = 0; i < node->children->len; i++)
      add_node (sum, node->children->pdata[i], NULL);
    add_text (sum, ']', "");
    break;
  case VJ_NODE_MAP: {
    g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
    for (guint i = 0; i < node->children->len; i++)
      g_ptr_array_add (sorted, node->children->pdata[i]);
    g_ptr_array_sort (sorted, by_key);
    add_text (sum, '{', "");
    for (guint i = 0; i < sorted->len; i++) {
      const VjNode *child = sorted->pdata[i];
      if (except != NULL && g_strv_contains (except, child->key))
        continue;
      add_text (sum, 'k', child->key);
      add_node (sum, child, NULL);
    }
    add_text (sum, '}', "");
    break;
  }
  }
}

char *
vj_node_digest (const VjNode *node, const char *const *except)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  add_node (sum, node, except);
  return g_strdup (g_checksum_get_string (sum));
}
