/* What the files that build and change trees share. */
#ifndef VJ_RECIPE_NODE_PRIVATE_H
#define VJ_RECIPE_NODE_PRIVATE_H

#include "recipe/node.h"

struct VjTree {
  VjNode *root;
  GPtrArray *origins; /* of VjNodeOrigin *, owned */
};

VjTree *vj_tree_new (void);
VjNodeOrigin *vj_tree_origin (VjTree *tree, const char *name, const char *directory);

VjNode *vj_node_new (VjNodeKind kind, const VjNodeOrigin *origin, guint line, guint column);
void vj_node_free (VjNode *node);
void vj_node_append (VjNode *parent, VjNode *child);                 /* takes the child */
void vj_node_replace (VjNode *parent, guint index, VjNode *child);   /* takes the child, keeps the key's place */
void vj_node_remove (VjNode *parent, guint index);                   /* frees the child */

/* Gives a scalar its kind by the YAML 1.2 core schema, after replacing variables. `plain`: not quoted.
 * The node's text, origin and place are set. */
gboolean vj_scalar_resolve (VjNode *node, gboolean plain, GError **error);

/* Parses into the tree's root from an origin; `placeless` leaves lines 0. The root is NULL for an empty document. */
VjNode *vj_parse_document (const char *bytes, gsize length, const VjNodeOrigin *origin, gboolean placeless, GError **error);

/* "name:line:column" or "name". Owned. */
char *vj_place (const VjNodeOrigin *origin, guint line, guint column);

#endif
