/* What audits found out: from counts to figures. */
#include "report/audit.h"

#include <string.h>

#define LEVEL 0.05    /* of the test that the real image helps              */
#define LEAST_HELP 0.1 /* share of pairs: where it may help with more, "not seen" is not "none" */
#define KIND_LEAST 50 /* pairs: of fewer an area beyond the limit is chance */
#define NAMED 4       /* n-grams in a finding                               */

const char *
vj_picture_name (VjPicture picture)
{
  static const char *const names[] = {"real", "blank", "swapped"};
  return names[picture];
}

/* -- images ------------------------------------------------------------------------- */

static void
kind_free (gpointer data)
{
  g_free (((VjImageKind *) data)->kind);
  g_free (data);
}

static VjImageKind *
kind_of (VjImageAudit *audit, const char *kind)
{
  for (guint i = 0; i < audit->kinds->len; i++) {
    VjImageKind *row = audit->kinds->pdata[i];
    if (strcmp (row->kind, kind) == 0)
      return row;
  }
  VjImageKind *row = g_new0 (VjImageKind, 1);
  row->kind = g_strdup (kind);
  g_ptr_array_add (audit->kinds, row);
  return row;
}

void
vj_image_audit_init (VjImageAudit *audit)
{
  audit->kinds = g_ptr_array_new_with_free_func (kind_free);
  kind_of (audit, "all");
}

void
vj_image_audit_clear (VjImageAudit *audit)
{
  g_clear_pointer (&audit->kinds, g_ptr_array_unref);
}

static gboolean
strictly_right (const VjAnswer answers[2])
{
  return answers[0] == VJ_ANSWER_RIGHT && answers[1] == VJ_ANSWER_RIGHT;
}

void
vj_image_audit_add (VjImageAudit *audit, const char *kind, const VjAnswer answers[VJ_N_PICTURES][2])
{
  VjImageKind *rows[2] = {audit->kinds->pdata[0], kind_of (audit, kind)};
  gboolean real = strictly_right (answers[VJ_PICTURE_REAL]);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    for (guint picture = 0; picture < VJ_N_PICTURES; picture++) {
      gboolean other = strictly_right (answers[picture]);
      vj_pair_counts_add (&rows[i]->counts[picture], answers[picture][0], answers[picture][1]);
      rows[i]->only_real[picture] += real && !other;
      rows[i]->only_other[picture] += other && !real;
    }
}

static int
by_kind (gconstpointer a, gconstpointer b)
{
  const char *x = (*(VjImageKind *const *) a)->kind, *y = (*(VjImageKind *const *) b)->kind;
  if (strcmp (x, "all") == 0 || strcmp (y, "all") == 0)
    return strcmp (y, "all") == 0 ? strcmp (x, "all") != 0 : -1;
  return strcmp (x, y);
}

/* Both orders of a pair are one item, as in evaluations. */
static VjInterval
interval_of (const VjPairCounts *counts)
{
  return vj_statistics_wilson ((double) counts->right / 2, (double) counts->pairs, VJ_Z95);
}

static json_t *
picture_json (const VjPairCounts *counts)
{
  VjInterval interval = interval_of (counts);
  return json_pack ("{s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "accuracy", vj_pair_counts_accuracy (counts), "low",
                    interval.low, "high", interval.high, "right", (json_int_t) counts->right, "strict",
                    (json_int_t) counts->strict, "inconsistent", (json_int_t) counts->inconsistent, "unparsed",
                    (json_int_t) counts->unparsed);
}

static json_t *
test_json (const VjImageKind *row, VjPicture picture)
{
  return json_pack ("{s:I, s:I, s:f}", "only_real", (json_int_t) row->only_real[picture], "only_other",
                    (json_int_t) row->only_other[picture], "mcnemar_p",
                    vj_statistics_mcnemar (row->only_real[picture], row->only_other[picture]));
}

static gboolean
solved_blind (const VjImageKind *row)
{
  return row->counts[VJ_PICTURE_BLANK].pairs > 0 && interval_of (&row->counts[VJ_PICTURE_BLANK]).low > 0.5;
}

static json_t *
image_kind_json (const VjImageKind *row)
{
  return json_pack ("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:b}", "kind", row->kind, "pairs",
                    (json_int_t) row->counts[VJ_PICTURE_REAL].pairs, "real",
                    picture_json (&row->counts[VJ_PICTURE_REAL]), "blank",
                    picture_json (&row->counts[VJ_PICTURE_BLANK]), "swapped",
                    picture_json (&row->counts[VJ_PICTURE_SWAPPED]), "against_blank", test_json (row, VJ_PICTURE_BLANK),
                    "against_swapped", test_json (row, VJ_PICTURE_SWAPPED), "solved_blind", solved_blind (row));
}

/* The sentence of a set that does not need its images, or (`unsure`) of which that cannot be told. */
static char *
say_blind (const VjImageKind *all, const VjInterval *help, gboolean unsure)
{
  const VjPairCounts *real = &all->counts[VJ_PICTURE_REAL], *blank = &all->counts[VJ_PICTURE_BLANK];
  guint64 only_real = all->only_real[VJ_PICTURE_BLANK], only_blank = all->only_other[VJ_PICTURE_BLANK];
  g_autofree char *counts = g_strdup_printf (
      "of %" G_GUINT64_FORMAT " pairs %" G_GUINT64_FORMAT " are right in both orders with the real image alone, %" G_GUINT64_FORMAT
      " with the blank one alone, exact McNemar p = %.2g, so the real image adds between %.0f and %.0f %% of right pairs",
      real->pairs, only_real, only_blank, vj_statistics_mcnemar (only_real, only_blank), 100 * help->low, 100 * help->high);
  if (unsure)
    return g_strdup_printf ("too few pairs to tell whether they need their images: %s", counts);
  return g_strdup_printf ("the judge is right as often with a blank image (%.3f) as with the real one (%.3f), by all that can be "
                          "told: %s; these pairs do not need their images, or this judge does not look at them",
                          vj_pair_counts_accuracy (blank), vj_pair_counts_accuracy (real), counts);
}

/* The sentence that names the kinds which are right without their images more often than chance; NULL: none is. */
static char *
say_kinds (const VjImageAudit *audit)
{
  g_autoptr (GString) list = g_string_new (NULL);
  for (guint i = 1; i < audit->kinds->len; i++) {
    const VjImageKind *row = audit->kinds->pdata[i];
    VjInterval interval = interval_of (&row->counts[VJ_PICTURE_BLANK]);
    if (solved_blind (row))
      g_string_append_printf (list, "%s%s (%.3f [%.3f, %.3f])", list->len > 0 ? ", " : "", row->kind,
                              vj_pair_counts_accuracy (&row->counts[VJ_PICTURE_BLANK]), interval.low, interval.high);
  }
  return list->len == 0 ? NULL
                        : g_strdup_printf ("judged right with a blank image more often than by chance: %s", list->str);
}

static VjAuditOutcome
judge_images (const VjImageAudit *audit, char **ret_finding)
{
  const VjImageKind *all = audit->kinds->pdata[0];
  guint64 gained = all->only_real[VJ_PICTURE_BLANK], lost = all->only_other[VJ_PICTURE_BLANK];
  VjInterval help = vj_statistics_net_gain (gained, lost, all->counts[VJ_PICTURE_REAL].pairs, VJ_Z95);
  g_autofree char *blind = NULL, *kinds = say_kinds (audit);

  *ret_finding = NULL;
  if (gained <= lost || vj_statistics_mcnemar (gained, lost) >= LEVEL) {
    gboolean unsure = help.high > LEAST_HELP;
    blind = say_blind (all, &help, unsure);
    *ret_finding = g_strconcat (blind, kinds != NULL ? "; " : NULL, kinds, NULL);
    return unsure ? VJ_AUDIT_UNSURE : VJ_AUDIT_FOUND;
  }
  *ret_finding = g_steal_pointer (&kinds);
  return *ret_finding != NULL ? VJ_AUDIT_PARTLY : VJ_AUDIT_CLEAN;
}

/* Takes `figures`. */
static char *
finish (json_t *figures, VjAuditOutcome outcome, const char *finding)
{
  static const char *const names[] = {"clean", "unsure", "partly", "found"};
  json_object_set_new (figures, "outcome", json_string (names[outcome]));
  json_object_set_new (figures, "finding", finding != NULL ? json_string (finding) : json_null ());
  char *text = vj_json_readable (figures);
  json_decref (figures);
  return text;
}

char *
vj_image_audit_figures (VjImageAudit *audit, guint iteration, VjAuditOutcome *ret_outcome, char **ret_finding)
{
  json_t *kinds = json_array ();

  g_ptr_array_sort (audit->kinds, by_kind);
  for (guint i = 0; i < audit->kinds->len; i++)
    json_array_append_new (kinds, image_kind_json (audit->kinds->pdata[i]));
  *ret_outcome = judge_images (audit, ret_finding);
  return finish (json_pack ("{s:s, s:I, s:o}", "audit", "images", "iteration", (json_int_t) iteration, "kinds", kinds),
                 *ret_outcome, *ret_finding);
}

/* -- shortcuts ------------------------------------------------------------------------- */

static json_t *
auc_json (const VjAuc *auc)
{
  return json_pack ("{s:f, s:f, s:f}", "auc", auc->area, "low", auc->low, "high", auc->high);
}

/* Length may tell in either direction. */
static gboolean
length_leaks (const VjShortcutKind *row, double max_auc)
{
  VjAuc shorter = {1 - row->length.area, 1 - row->length.high, 1 - row->length.low};
  return vj_shortcut_leaks (&row->length, max_auc) || vj_shortcut_leaks (&shorter, max_auc);
}

static gboolean
kind_leaks (const VjShortcutKind *row, gboolean all, double max_auc)
{
  return (all || row->pairs >= KIND_LEAST) && (vj_shortcut_leaks (&row->text, max_auc) || length_leaks (row, max_auc));
}

static void
list_signs (GString *out, const VjShortcut *shortcut, gboolean chosen)
{
  guint named = 0;
  for (guint i = 0; i < shortcut->signs->len && named < NAMED; i++) {
    const VjShortcutSign *sign = shortcut->signs->pdata[i];
    if ((sign->weight > 0) != chosen)
      continue;
    g_string_append_printf (out, "%s%s (%.2f, %zu pair%s)",
                            named > 0 ? ", "
                            : chosen  ? "; over all pairs chosen answers are known by "
                                      : "; over all pairs rejected answers are known by ",
                            sign->text, ABS (sign->weight), sign->pairs, sign->pairs == 1 ? "" : "s");
    named++;
  }
}

static VjAuditOutcome
judge_text (const VjShortcut *shortcut, double max_auc, char **ret_finding)
{
  g_autoptr (GString) out = g_string_new (NULL);

  *ret_finding = NULL;
  if (!shortcut->enough) {
    gboolean folds = shortcut->groups >= VJ_SHORTCUT_LEAST_GROUPS;
    g_autofree char *parts = folds ? g_strdup_printf (" in %u folds", shortcut->folds) : g_strdup ("");
    *ret_finding = g_strdup_printf (
        "%zu pairs of %zu different questions or images are too few to tell%s whether their text gives the "
        "better answer away",
        shortcut->pairs, shortcut->groups, parts);
    return VJ_AUDIT_UNSURE;
  }
  for (guint i = 0; i < shortcut->kinds->len; i++) {
    const VjShortcutKind *row = shortcut->kinds->pdata[i];
    if (kind_leaks (row, i == 0, max_auc))
      g_string_append_printf (out, "%s%s: AUC %.3f [%.3f, %.3f], of length alone %.3f [%.3f, %.3f]",
                              out->len > 0 ? "; " : "", row->kind, row->text.area, row->text.low, row->text.high,
                              row->length.area, row->length.low, row->length.high);
  }
  if (out->len == 0)
    return VJ_AUDIT_CLEAN;
  list_signs (out, shortcut, TRUE);
  list_signs (out, shortcut, FALSE);
  *ret_finding = g_strdup_printf (
      "the text alone tells chosen from rejected answers better than max_auc = %g allows: %s", max_auc, out->str);
  return VJ_AUDIT_FOUND;
}

char *
vj_shortcut_figures (const VjShortcut *shortcut, guint iteration, double max_auc, VjAuditOutcome *ret_outcome,
                     char **ret_finding)
{
  json_t *kinds = json_array (), *signs = json_array ();

  for (guint i = 0; i < shortcut->kinds->len; i++) {
    const VjShortcutKind *row = shortcut->kinds->pdata[i];
    json_array_append_new (kinds, json_pack ("{s:s, s:I, s:o, s:o, s:b}", "kind", row->kind, "pairs",
                                             (json_int_t) row->pairs, "text", auc_json (&row->text), "length",
                                             auc_json (&row->length), "leaks", kind_leaks (row, i == 0, max_auc)));
  }
  for (guint i = 0; i < shortcut->signs->len; i++) {
    const VjShortcutSign *sign = shortcut->signs->pdata[i];
    json_array_append_new (signs, json_pack ("{s:s, s:f, s:I}", "text", sign->text, "weight", sign->weight, "pairs",
                                             (json_int_t) sign->pairs));
  }
  *ret_outcome = judge_text (shortcut, max_auc, ret_finding);
  return finish (json_pack ("{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o}", "audit", "shortcut", "iteration",
                            (json_int_t) iteration, "pairs", (json_int_t) shortcut->pairs, "groups",
                            (json_int_t) shortcut->groups, "folds", (json_int_t) shortcut->folds, "ngrams",
                            (json_int_t) shortcut->columns, "max_auc", max_auc, "kinds", kinds, "signs", signs),
                 *ret_outcome, *ret_finding);
}
