/* The gate: the decision, its record, its words. */
#include "report/gate.h"

#include <string.h>

static const char *const outcomes[] = {"promoted", "rolled back", "stopped"};

const char *
vj_gate_outcome_name (VjGateOutcome outcome)
{
  return outcomes[outcome];
}

static void
side_clear (VjGateSide *side)
{
  g_clear_pointer (&side->model, g_free);
  g_clear_pointer (&side->identity, g_free);
}

void
vj_gate_figures_clear (VjGateFigures *figures)
{
  side_clear (&figures->current);
  side_clear (&figures->candidate);
}

void
vj_gate_decision_clear (VjGateDecision *decision)
{
  g_clear_pointer (&decision->reason, g_free);
}

/* -- deciding -------------------------------------------------------------------- */

static guint
worth (const VjGateRule *rule, const VjAnswer answers[2])
{
  guint right = (guint) (answers[0] == VJ_ANSWER_RIGHT) + (guint) (answers[1] == VJ_ANSWER_RIGHT);
  return rule->accuracy ? right : right == 2;
}

void
vj_gate_figures_add (VjGateFigures *figures, const VjGateRule *rule, const VjAnswer current[2], const VjAnswer candidate[2],
                     const VjAnswer *first)
{
  guint before = worth (rule, current), after = worth (rule, candidate), start = first != NULL ? worth (rule, first) : after;
  vj_pair_counts_add (&figures->current.counts, current[0], current[1]);
  vj_pair_counts_add (&figures->candidate.counts, candidate[0], candidate[1]);
  figures->gained += after > before;
  figures->lost += after < before;
  figures->first_gained += after > start;
  figures->first_lost += after < start;
}

static const char *
metric_name (const VjGateRule *rule)
{
  return rule->accuracy ? VJ_METRIC_ACCURACY : VJ_METRIC_STRICT;
}

static double
share (guint64 part, guint64 whole)
{
  return whole == 0 ? 0.0 : (double) part / (double) whole;
}

static double
parsed_share (const VjPairCounts *counts)
{
  return share (2 * counts->pairs - counts->unparsed, 2 * counts->pairs);
}

static void
add_floor (GString *reason, const char *what, double value, const char *option, double least)
{
  if (value < least)
    g_string_append_printf (reason, "%s%s %.3f is below %s %g", reason->len > 0 ? "; " : "", what, value, option, least);
}

/* What speaks against the candidate, in `against`; in `for_it` what its test says otherwise. */
static void
weigh (const VjGateRule *rule, const VjGateFigures *figures, double p, GString *against, GString *for_it)
{
  const VjPairCounts *counts = &figures->candidate.counts;
  gboolean significant = p <= rule->alpha;
  gboolean worse = significant && figures->lost > figures->gained, better = significant && figures->gained > figures->lost;
  const char *verdict = better ? "significantly better" : worse ? "significantly worse" : "neither significantly better nor worse";

  GString *out = rule->better ? (better ? for_it : against) : (worse ? against : for_it);
  guint64 apart = figures->gained + figures->lost, least = vj_statistics_mcnemar_least (rule->alpha);

  g_string_append_printf (out, "%s at alpha %g", verdict, rule->alpha);
  if (apart < least) /* so the test had no say */
    g_string_append_printf (out, "; the judges differ on %" G_GUINT64_FORMAT " pair%s, and fewer than %" G_GUINT64_FORMAT
                            " can never be significant", apart, apart == 1 ? "" : "s", least);
  if (figures->first_lost > figures->first_gained
      && vj_statistics_mcnemar (figures->first_lost, figures->first_gained) <= rule->alpha)
    g_string_append_printf (against, "%ssignificantly worse than the first judge", against->len > 0 ? "; " : "");
  add_floor (against, "consistency", share (counts->consistent, counts->pairs), "min_consistency", rule->min_consistency);
  add_floor (against, "the share of parsed answers", parsed_share (counts), "min_parsed", rule->min_parsed);
}

void
vj_gate_decide (const VjGateRule *rule, const VjGateFigures *figures, guint refused, VjGateDecision *ret_decision)
{
  g_autoptr (GString) against = g_string_new (NULL), for_it = g_string_new (NULL);
  VjGateDecision decision = {.p = vj_statistics_mcnemar (figures->lost, figures->gained)};

  if (figures->candidate.model == NULL)
    g_string_append (against, "no trace was kept, so there is no candidate");
  else
    weigh (rule, figures, decision.p, against, for_it);
  gboolean promoted = against->len == 0;
  decision.refused = promoted ? 0 : refused + 1;
  gboolean spent = rule->patience > 0 && decision.refused >= (guint64) rule->patience;
  decision.outcome = promoted ? VJ_GATE_PROMOTED : spent ? VJ_GATE_STOPPED : VJ_GATE_ROLLED_BACK;
  if (decision.outcome == VJ_GATE_STOPPED)
    g_string_append_printf (against, "; %u in a row without promotion, patience is %" G_GINT64_FORMAT, decision.refused,
                            rule->patience);
  decision.reason = g_strdup (promoted ? for_it->str : against->str);
  *ret_decision = decision;
}

/* -- its record ---------------------------------------------------------------------- */

static char *
key_of (guint iteration)
{
  return g_strdup_printf (VJ_STORE_META_GATE, iteration);
}

static json_t *
side_json (const VjGateSide *side)
{
  const VjPairCounts *counts = &side->counts;
  return json_pack ("{s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model", side->model, "identity", side->identity, "right",
                    (json_int_t) counts->right, "strict", (json_int_t) counts->strict, "consistent",
                    (json_int_t) counts->consistent, "inconsistent", (json_int_t) counts->inconsistent, "unparsed",
                    (json_int_t) counts->unparsed, "unanswered", (json_int_t) side->unanswered, "said_a",
                    (json_int_t) counts->said_a);
}

gboolean
vj_gate_put (VjStore *store, guint iteration, const VjGateRule *rule, const VjGateFigures *figures,
             const VjGateDecision *decision, const char *judge, GError **error)
{
  json_t *record = json_pack (
    "{s:I, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f}", "iteration", (json_int_t) iteration,
    "outcome", vj_gate_outcome_name (decision->outcome), "reason", decision->reason, "refused", (json_int_t) decision->refused,
    "judge", judge, "metric", metric_name (rule), "promote", rule->better ? "better" : "not-worse", "answers",
    rule->sampled ? "sampled" : "greedy", "alpha", rule->alpha, "min_consistency", rule->min_consistency, "min_parsed",
    rule->min_parsed, "patience", (json_int_t) rule->patience, "pairs", (json_int_t) figures->candidate.counts.pairs, "gained",
    (json_int_t) figures->gained, "lost", (json_int_t) figures->lost, "p", decision->p);
  if (figures->candidate.model != NULL) {
    json_object_set_new (record, "current", side_json (&figures->current));
    json_object_set_new (record, "candidate", side_json (&figures->candidate));
    json_object_set_new (record, "first", json_pack ("{s:I, s:I, s:f}", "gained", (json_int_t) figures->first_gained, "lost",
                                                     (json_int_t) figures->first_lost, "p",
                                                     vj_statistics_mcnemar (figures->first_lost, figures->first_gained)));
  }
  g_autofree char *key = key_of (iteration), *text = vj_json_readable (record);
  json_decref (record);
  return vj_store_meta_set (store, key, text, error);
}

gboolean
vj_gate_get (VjStore *store, guint iteration, json_t **ret_record, GError **error)
{
  g_autofree char *key = key_of (iteration), *text = NULL;
  json_t *record = NULL;

  if (!vj_store_meta_get (store, key, &text, error))
    return FALSE;
  if (text != NULL && (record = vj_json_parse (text, strlen (text), key, error)) == NULL)
    return FALSE;
  *ret_record = record;
  return TRUE;
}

static const char *
text_of (const json_t *record, const char *name)
{
  const char *text = json_string_value (json_object_get (record, name));
  return text != NULL ? text : "";
}

static gint64
count_of (const json_t *record, const char *name)
{
  return json_integer_value (json_object_get (record, name));
}

gboolean
vj_gate_outcome (VjStore *store, guint iteration, gboolean *ret_known, VjGateOutcome *ret_outcome, guint *ret_refused,
                 GError **error)
{
  json_t *record = NULL;

  if (!vj_gate_get (store, iteration, &record, error))
    return FALSE;
  *ret_known = FALSE;
  for (guint i = 0; record != NULL && i < G_N_ELEMENTS (outcomes); i++)
    if (strcmp (text_of (record, "outcome"), outcomes[i]) == 0) {
      *ret_known = TRUE;
      *ret_outcome = (VjGateOutcome) i;
      *ret_refused = (guint) count_of (record, "refused");
    }
  json_decref (record);
  return TRUE;
}

json_t *
vj_gate_records (VjStore *store, GError **error)
{
  g_autoptr (GPtrArray) stages = NULL;
  json_t *all = json_array ();
  gboolean good = vj_store_stages (store, &stages, error);

  for (guint i = 0; good && i < stages->len; i++) {
    const VjStage *stage = stages->pdata[i];
    json_t *record = NULL;
    if (strcmp (stage->name, VJ_STORE_STAGE_GATE) != 0 || stage->state != VJ_STAGE_DONE)
      continue;
    good = vj_gate_get (store, stage->iteration, &record, error);
    if (record != NULL)
      json_array_append_new (all, record);
  }
  if (good)
    return all;
  json_decref (all);
  return NULL;
}

/* -- its words ------------------------------------------------------------------------- */

static double
shown_metric (const json_t *record, const json_t *side)
{
  gboolean accuracy = strcmp (text_of (record, "metric"), VJ_METRIC_ACCURACY) == 0;
  guint64 pairs = (guint64) count_of (record, "pairs");
  return accuracy ? share ((guint64) count_of (side, "right"), 2 * pairs) : share ((guint64) count_of (side, "strict"), pairs);
}

#define INDENT "               "

static void
append_sides (GString *out, const json_t *record)
{
  const json_t *sides[] = {json_object_get (record, "current"), json_object_get (record, "candidate")};
  guint64 pairs = (guint64) count_of (record, "pairs");
  double consistent[2], parsed[2];

  if (sides[1] == NULL)
    return;
  for (guint i = 0; i < 2; i++) {
    consistent[i] = share ((guint64) count_of (sides[i], "consistent"), pairs);
    parsed[i] = share (2 * pairs - (guint64) count_of (sides[i], "unparsed"), 2 * pairs);
  }
  g_string_append_printf (out, INDENT "%s %.3f -> %.3f; %" G_GINT64_FORMAT " pairs gained, %" G_GINT64_FORMAT " lost of %"
                          G_GUINT64_FORMAT "; exact McNemar p = %.3g\n", text_of (record, "metric"),
                          shown_metric (record, sides[0]), shown_metric (record, sides[1]), count_of (record, "gained"),
                          count_of (record, "lost"), pairs, json_real_value (json_object_get (record, "p")));
  g_string_append_printf (out, INDENT "consistent %.3f -> %.3f, parsed %.3f -> %.3f\n", consistent[0], consistent[1], parsed[0],
                          parsed[1]);
  const json_t *first = json_object_get (record, "first");
  if (count_of (first, "gained") + count_of (first, "lost") > 0)
    g_string_append_printf (out, INDENT "against the first judge: %" G_GINT64_FORMAT " pairs gained, %" G_GINT64_FORMAT
                            " lost; exact McNemar p = %.3g\n", count_of (first, "gained"), count_of (first, "lost"),
                            json_real_value (json_object_get (first, "p")));
  if (count_of (sides[0], "unanswered") + count_of (sides[1], "unanswered") > 0)
    g_string_append_printf (out, INDENT "never answered, and counted as unparsed: %" G_GINT64_FORMAT " -> %" G_GINT64_FORMAT "\n",
                            count_of (sides[0], "unanswered"), count_of (sides[1], "unanswered"));
}

static void
append_record (GString *out, const json_t *record)
{
  g_autofree char *label = g_strdup_printf ("iteration %" G_GINT64_FORMAT, count_of (record, "iteration"));
  const char *outcome = text_of (record, "outcome");

  g_string_append_printf (out, "  %-12s %s\n", label, outcome);
  append_sides (out, record);
  g_auto (GStrv) reasons = g_strsplit (text_of (record, "reason"), "; ", -1);
  for (guint i = 0; reasons[i] != NULL; i++)
    g_string_append_printf (out, INDENT "%s\n", reasons[i]);
  if (strcmp (outcome, outcomes[VJ_GATE_PROMOTED]) != 0)
    g_string_append_printf (out, INDENT "the judge stays %s; evaluations of this iteration measure it\n", text_of (record, "judge"));
  if (strcmp (outcome, outcomes[VJ_GATE_STOPPED]) == 0)
    g_string_append (out, INDENT "the run stops here; later iterations are not run\n");
}

char *
vj_gate_text (VjStore *store, GError **error)
{
  json_t *records = vj_gate_records (store, error), *record;
  g_autoptr (GString) out = g_string_new (NULL);
  gsize i;

  if (records == NULL)
    return NULL;
  if (json_array_size (records) > 0)
    g_string_append (out, "gate: each candidate against the judge, on held-out synthetic pairs made without gold; no\n"
                          "evaluation below has a say\n");
  json_array_foreach (records, i, record)
    append_record (out, record);
  json_decref (records);
  return g_string_free (g_steal_pointer (&out), FALSE);
}
