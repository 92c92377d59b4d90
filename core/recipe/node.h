/* The tree of a recipe: what the YAML says, each value with its place.
 *
 * Read by libyaml events under limits (depth 64, 1 MiB, 100,000 nodes), YAML 1.2
 * core types, one document; aliases, tags, duplicate keys, tabs in indentation,
 * control characters and bad UTF-8 are refused. `${VAR}` in a string is replaced
 * by the environment's value. Knows nothing of what the keys mean. */
#ifndef VJ_RECIPE_NODE_H
#define VJ_RECIPE_NODE_H

#include <stdint.h>
#include "vj/error.h"

#define VJ_NODE_DEPTH 64
#define VJ_NODE_BYTES (1024 * 1024)
#define VJ_NODE_COUNT 100000

typedef enum {
  VJ_NODE_NULL,
  VJ_NODE_BOOL,
  VJ_NODE_INT,
  VJ_NODE_REAL,
  VJ_NODE_STRING,
  VJ_NODE_SEQUENCE,
  VJ_NODE_MAP
} VjNodeKind;

/* Where values come from: a file, or the command line. Shared by its nodes. */
typedef struct {
  char *name;      /* as messages print it: "recipe.yaml", "--set" */
  char *directory; /* absolute; relative paths start here          */
} VjNodeOrigin;

typedef struct VjNode VjNode;
struct VjNode {
  VjNodeKind kind;
  VjNode *parent;            /* NULL: the root                                    */
  const VjNodeOrigin *origin;
  guint line, column;        /* from 1; 0: no place (--set)                       */
  guint key_line, key_column; /* of the key, when the parent is a map             */
  char *key;                 /* NULL unless the parent is a map                   */
  guint index;               /* position in the parent                            */
  GPtrArray *children;       /* of VjNode *, owned; maps and sequences            */
  char *text;                /* scalars: as written, variables replaced           */
  gboolean expanded;         /* the text holds the value of a variable            */
  gboolean boolean;          /* VJ_NODE_BOOL                                      */
  int64_t integer;           /* VJ_NODE_INT                                       */
  double real;               /* VJ_NODE_INT, VJ_NODE_REAL                         */
};

/* A document, with the origins its nodes point to. */
typedef struct VjTree VjTree;

/* Reads `length` bytes. `name` is what messages call it, `directory` where relative paths start.
 * Linear in the input. Every fault is VJ_EXIT_RECIPE with "name:line:column: ...". */
VJ_API VjTree *vj_tree_parse (const char *bytes, gsize length, const char *name, const char *directory, GError **error);
VJ_API VjTree *vj_tree_load (const char *file, GError **error);
VJ_API void vj_tree_free (VjTree *tree);
VJ_API VjNode *vj_tree_root (VjTree *tree);

/* Lays the tree over the recipe that its top-level key `extends` names (a path, relative to the file that says it), and so
 * on, at most eight deep: maps are merged as by vj_tree_deploy, lists and scalars replaced, and a null takes away what the other
 * recipe has. The key is gone afterwards; each
 * value keeps its own place and directory. A tree without the key stays as it is; on error it must be freed. */
VJ_API gboolean vj_tree_extend (VjTree *tree, GError **error);

/* Puts the sections `models` and `compute` of the YAML file `file` over those of `tree`: maps are merged key by
 * key, but an entry that names another plugin (`use`) replaces the whole entry. Any other section is an error. */
VJ_API gboolean vj_tree_deploy (VjTree *tree, const char *file, GError **error);

/* Applies "a.b.0.c=value"; the value is read as YAML. Missing maps on the way are made, a sequence may be
 * extended by one; `directory` is where a relative path in it starts. */
VJ_API gboolean vj_tree_set (VjTree *tree, const char *assignment, const char *directory, GError **error);

/* The child of a map by key; NULL when there is none or `map` is NULL or no map. Borrowed. */
VJ_API VjNode *vj_node_get (const VjNode *map, const char *key);
VJ_API guint vj_node_length (const VjNode *node); /* children; 0 for NULL and scalars */
VJ_API VjNode *vj_node_at (const VjNode *node, guint index);

/* "recipe.yaml:12:7: iteration.judge.orders", the head of every message about a node. Owned. */
VJ_API char *vj_node_where (const VjNode *node);
VJ_API char *vj_node_path (const VjNode *node); /* "iteration.questions.0.count"; "" for the root. Owned. */
VJ_API const char *vj_node_kind_name (VjNodeKind kind); /* "a map", "a number", ... Static. */

/* Lower-case SHA-256 over kinds, keys (sorted) and values of the subtree, without places and without the
 * top-level keys in `except` (NULL-terminated, may be NULL). Owned. */
VJ_API char *vj_node_digest (const VjNode *node, const char *const *except);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjTree, vj_tree_free)

#endif
