/* Faults of a recipe, gathered so that one look at the messages mends them all. */
#ifndef VJ_RECIPE_PROBLEMS_H
#define VJ_RECIPE_PROBLEMS_H

#include "recipe/node.h"

#define VJ_PROBLEMS_MAX 20 /* more are counted, not printed */

typedef struct {
  GString *lines; /* NULL: none yet */
  guint count;
  VjExit exit; /* of the first */
} VjProblems;

/* At the value, or at the key, of a node: "file:line:column: path: text". */
void vj_problem_at (VjProblems *problems, const VjNode *node, const char *format, ...) G_GNUC_PRINTF (3, 4);
void vj_problem_at_key (VjProblems *problems, const VjNode *node, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* At `map`, about its absent child `key`. */
void vj_problem_missing (VjProblems *problems, const VjNode *map, const char *key, const char *format, ...)
  G_GNUC_PRINTF (4, 5);
/* Takes over an error, whole. */
void vj_problem_error (VjProblems *problems, GError *error);
/* TRUE: there were none. Frees what was gathered, either way. */
gboolean vj_problems_done (VjProblems *problems, GError **error);

/* A scalar as messages may show it: quoted, shortened, and never the value of a variable. Owned. */
char *vj_problem_value (const VjNode *node);

#endif
