/* What checking a recipe carries along. */
#ifndef VJ_RECIPE_RECIPE_PRIVATE_H
#define VJ_RECIPE_RECIPE_PRIVATE_H

#include "recipe/problems.h"
#include "recipe/recipe.h"

typedef struct {
  VjRecipe *recipe;
  const VjRecipePlugins *plugins;
  VjProblems problems;
  const char *directory; /* of the recipe: paths from elsewhere count in digests */
} VjChecker;

/* Flags of an entry, by where it stands. */
typedef enum {
  VJ_ENTRY_PLAIN = 0,
  VJ_ENTRY_NO_MODEL = 1 << 0 /* a trainer that starts from pretrain.init, not from a model */
} VjEntryFlags;

/* Reads the entry at `node` (not NULL) of a role. Faults go to the checker; the entry's strings belong to the recipe. */
void vj_check_entry (VjChecker *checker, const VjNode *node, VjRole role, VjEntryFlags flags, VjRecipePlugin *ret_entry);
/* A compute: built in, or the name of a plugin. */
void vj_check_compute_name (VjChecker *checker, const VjNode *name);
/* vj_check_entry for a list; an absent list gives none. */
VjRecipePlugin *vj_check_entries (VjChecker *checker, const VjNode *list, VjRole role, VjEntryFlags flags, gsize *ret_n);
void vj_entry_done (VjRecipePlugin *entry);
void vj_entries_free (VjRecipePlugin *entries, gsize n);

/* Small steps. Each adds the fault it finds. */
void vj_check_keys (VjChecker *checker, const VjNode *map, const char *const *keys);
/* The child, if it has that kind; NULL with a fault if it has another, or if it is absent and `required` (a doc) is given. */
const VjNode *vj_check_child (VjChecker *checker, const VjNode *map, const char *key, VjNodeKind kind, const char *required);
int64_t vj_check_integer (VjChecker *checker, const VjNode *map, const char *key, int64_t least, int64_t most, int64_t preset);
const char *vj_check_choice (VjChecker *checker, const VjNode *map, const char *key, const char *const *choices);
/* The key `model` of a map: NULL, or the name of a model that exists. */
const char *vj_check_model (VjChecker *checker, const VjNode *map);

/* repeat.c: the section repeat, after the sections that it speaks of. */
void vj_check_repeat (VjChecker *checker);
/* The key `audit` of the map `iteration`; absent: *ret_audit stays as it is. */
void vj_check_audit (VjChecker *checker, const VjNode *iteration, VjRecipeAudit *ret_audit);
void vj_audit_done (VjRecipeAudit *audit);

/* Literal secrets anywhere in the tree. */
void vj_check_secrets (VjChecker *checker, const VjNode *node);

extern const char *const vj_dtype_choices[];
extern const char *const vj_order_choices[];
extern const char *const vj_label_choices[];
extern const char *const vj_gold_choices[];
extern const VjOption vj_respond_options[];
extern const VjOption vj_repeat_options[];
extern const VjOption vj_gate_options[];
extern const VjOption vj_audit_images_options[];
extern const VjOption vj_audit_shortcut_options[];

#endif
