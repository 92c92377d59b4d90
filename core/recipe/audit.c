/* The section iteration.audit: what is looked at before a set of pairs is trained on. */
#include "recipe/recipe-private.h"

static const char *const on_finding[] = {"warn", "fail", NULL};

const VjOption vj_audit_images_options[] = {
  VJ_OPTION_INT (VjRecipeAuditImages, sample, "200", 6, 1000000, "pairs", /* of fewer nothing can be told: report/audit.h */
                 "How many pairs are judged again with their own, a blank and another pair's image."),
  VJ_OPTION_CHOICE (VjRecipeAuditImages, on_blind, "warn", on_finding,
                    "What follows when the judge does as well with a blank image: a warning, or the end of the run."),
  VJ_OPTION_END
};

const VjOption vj_audit_shortcut_options[] = {
  VJ_OPTION_REAL (VjRecipeAuditShortcut, max_auc, "0.7", 0.5, 1, "",
                  "Largest area under the ROC curve that a guess from the text alone may reach."),
  VJ_OPTION_CHOICE (VjRecipeAuditShortcut, on_leak, "warn", on_finding,
                    "What follows when it reaches more: a warning, or the end of the run."),
  VJ_OPTION_INT (VjRecipeAuditShortcut, folds, "5", 2, 100, "folds", "Parts of the cross-validation."),
  VJ_OPTION_INT (VjRecipeAuditShortcut, sample, "10000", 10, 1000000, "pairs", "How many pairs are looked at, at most."),
  VJ_OPTION_END
};

/* Digest of a map; what is left out is as good as an empty one. */
static char *
digest_of (const VjNode *node)
{
  return node != NULL ? vj_node_digest (node, NULL) : g_strdup ("presets");
}

static void
fill (VjChecker *checker, const VjOption *options, const VjNode *node, void *instance)
{
  static const char *const host[] = {NULL};
  GError *error = NULL;
  if (!vj_options_fill (options, node, host, NULL, instance, &error))
    vj_problem_error (&checker->problems, error);
}

void
vj_check_audit (VjChecker *checker, const VjNode *iteration, VjRecipeAudit *ret_audit)
{
  static const char *const keys[] = {"images", "shortcut", NULL};
  const VjNode *node = vj_check_child (checker, iteration, "audit", VJ_NODE_MAP, NULL);
  if (node == NULL)
    return;
  vj_check_keys (checker, node, keys);
  const VjNode *images = vj_check_child (checker, node, "images", VJ_NODE_MAP, NULL);
  const VjNode *shortcut = vj_check_child (checker, node, "shortcut", VJ_NODE_MAP, NULL);
  if (images != NULL) {
    fill (checker, vj_audit_images_options, images, &ret_audit->images);
    ret_audit->images_digest = digest_of (images);
    if (vj_node_get (iteration, "judge") == NULL)
      vj_problem_at_key (&checker->problems, images,
                         "these pairs are judged by iteration.judge, which is not given; add it");
  }
  fill (checker, vj_audit_shortcut_options, shortcut, &ret_audit->shortcut);
  ret_audit->shortcut_digest = digest_of (shortcut);
  if (shortcut != NULL && ret_audit->shortcut.folds > ret_audit->shortcut.sample)
    vj_problem_at (&checker->problems, shortcut, "folds (%" G_GINT64_FORMAT ") are parts of the sample (%" G_GINT64_FORMAT " pairs), and "
                   "none may be empty; lower folds, or raise sample", ret_audit->shortcut.folds, ret_audit->shortcut.sample);
}

void
vj_audit_done (VjRecipeAudit *audit)
{
  g_free (audit->images_digest);
  g_free (audit->shortcut_digest);
}
