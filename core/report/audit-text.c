/* Figures of audits as text, out of the store. */
#include "report/audit.h"

#include <string.h>
#include "report/cells.h"

#define NAME 24 /* columns of a kind's name */
#define LINE 96 /* columns of running text  */

static double
number (const json_t *object, const char *key)
{
  return json_number_value (json_object_get (object, key));
}

static gint64
count (const json_t *object, const char *key)
{
  return json_integer_value (json_object_get (object, key));
}

static void
append_share (GString *out, const json_t *object, const char *key)
{
  g_string_append_printf (out, "  %.3f [%.3f, %.3f]", number (object, key), number (object, "low"),
                          number (object, "high"));
}

static void
append_kind (GString *out, const json_t *row)
{
  g_string_append (out, "  ");
  vj_cells_padded (out, json_string_value (json_object_get (row, "kind")), NAME);
  g_string_append_printf (out, "%6" G_GINT64_FORMAT, count (row, "pairs"));
}

/* Breaks a sentence into lines; what is longer than a line stays whole. */
static void
append_sentence (GString *out, const char *head, const char *text)
{
  g_autoptr (GString) inert = g_string_new (NULL);
  g_auto (GStrv) words = NULL;
  glong column = g_utf8_strlen (head, -1);

  vj_cells_inert (inert, text);
  words = g_strsplit (inert->str, " ", -1);
  g_string_append (out, head);
  for (guint i = 0; words[i] != NULL; i++) {
    glong width = g_utf8_strlen (words[i], -1);
    if (i > 0 && column + 1 + width > LINE) {
      g_string_append (out, "\n    ");
      column = 4;
    } else if (i > 0) {
      g_string_append_c (out, ' ');
      column++;
    }
    g_string_append (out, words[i]);
    column += width;
  }
  g_string_append_c (out, '\n');
}

static void
append_images (GString *out, const json_t *figures)
{
  const json_t *kinds = json_object_get (figures, "kinds"), *row;
  gsize i;

  g_string_append (out, "  accuracy with the image   pairs  real                  blank                 swapped\n");
  json_array_foreach (kinds, i, row) {
    append_kind (out, row);
    for (guint picture = 0; picture < VJ_N_PICTURES; picture++)
      append_share (out, json_object_get (row, vj_picture_name ((VjPicture) picture)), "accuracy");
    g_string_append_c (out, '\n');
  }
  g_string_append (out,
                   "  right in both orders      only with real, only with blank   only with real, only with swapped\n");
  json_array_foreach (kinds, i, row) {
    static const char *const tests[] = {"against_blank", "against_swapped"};
    g_string_append (out, "  ");
    vj_cells_padded (out, json_string_value (json_object_get (row, "kind")), NAME);
    for (guint t = 0; t < G_N_ELEMENTS (tests); t++) {
      const json_t *test = json_object_get (row, tests[t]);
      g_string_append_printf (out,
                              t == 0 ? "  %5" G_GINT64_FORMAT " %5" G_GINT64_FORMAT "  p = %-11.2g  "
                                     : "  %5" G_GINT64_FORMAT " %5" G_GINT64_FORMAT "  p = %.2g\n",
                              count (test, "only_real"), count (test, "only_other"), number (test, "mcnemar_p"));
    }
  }
}

static void
append_signs (GString *out, const json_t *figures, gboolean chosen)
{
  g_autoptr (GString) line = g_string_new (NULL);
  const json_t *sign;
  gsize i;

  json_array_foreach (json_object_get (figures, "signs"), i, sign)
    if ((number (sign, "weight") > 0) == chosen)
      g_string_append_printf (line, "%s%s", line->len > 0 ? ", " : "",
                              json_string_value (json_object_get (sign, "text")));
  if (line->len > 0)
    append_sentence (out, chosen ? "  most like a chosen answer: " : "  most like a rejected answer: ", line->str);
}

static void
append_shortcut (GString *out, const json_t *figures)
{
  const json_t *row;
  gsize i;

  if (json_array_size (json_object_get (figures, "kinds")) == 0)
    return;
  g_string_append_printf (out,
                          "  AUC, %2" G_GINT64_FORMAT
                          " folds             pairs  of the text alone     of length alone (over .5: "
                          "chosen is longer)\n",
                          count (figures, "folds"));
  json_array_foreach (json_object_get (figures, "kinds"), i, row) {
    append_kind (out, row);
    append_share (out, json_object_get (row, "text"), "auc");
    append_share (out, json_object_get (row, "length"), "auc");
    g_string_append_c (out, '\n');
  }
  append_signs (out, figures, TRUE);
  append_signs (out, figures, FALSE);
}

gboolean
vj_audits_json (VjStore *store, json_t *array, GError **error)
{
  g_autoptr (GPtrArray) texts = NULL;

  if (!vj_store_audits (store, VJ_ANY, &texts, error))
    return FALSE;
  for (guint i = 0; i < texts->len; i++) {
    const char *text = texts->pdata[i];
    json_t *figures = vj_json_parse (text, strlen (text), "figures of an audit", error);
    if (figures == NULL)
      return FALSE;
    json_array_append_new (array, figures);
  }
  return TRUE;
}

static void
append_all (GString *out, const json_t *audits)
{
  gint64 iteration = -1;
  const json_t *figures;
  gsize i;

  json_array_foreach (audits, i, figures) {
    const char *name = json_string_value (json_object_get (figures, "audit"));
    const char *finding = json_string_value (json_object_get (figures, "finding"));
    if (count (figures, "iteration") != iteration) {
      iteration = count (figures, "iteration");
      g_string_append_printf (
          out, "\naudits of the pairs of iteration %" G_GINT64_FORMAT ": figures [95 %% interval]\n", iteration);
    }
    if (g_strcmp0 (name, "images") == 0)
      append_images (out, figures);
    else
      append_shortcut (out, figures);
    if (finding != NULL)
      append_sentence (out, "  ! ", finding);
  }
}

gboolean
vj_audits_append (GString *out, VjStore *store, GError **error)
{
  json_t *audits = json_array ();
  gboolean good = vj_audits_json (store, audits, error);
  if (good)
    append_all (out, audits);
  json_decref (audits);
  return good;
}
