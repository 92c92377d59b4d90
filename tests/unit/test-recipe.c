/* recipe/: every fault is refused with its place and its remedy; what is right is read as YAML 1.2 says. */
#include "plugin/registry.h"
#include "stub-plugins.h"

#include <glib/gstdio.h>
#include <string.h>

/* -- reading ------------------------------------------------------------------- */

#define HEAD "recipe: 1\nname: t\n"                                                         /* lines 1, 2 */
#define MODELS "models:\n  base: { use: native }\n"                                         /* lines 3, 4 */
#define QUESTIONS "iteration:\n  questions:\n    - { use: scenes, count: 6 }\n"             /* lines 5 to 7 */
#define PAIRS "  closed_form: { sample: { use: majority, model: base } }\n"                 /* line 8 */
#define JUDGE "  judge: { use: pairwise, model: base }\n"                                   /* line 9 */
#define TRAIN "  train: { use: sft, model: base }\n"                                        /* line 10 */
#define RIGHT HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN

static VjRecipe *
parse_set (const char *text, gsize length, const char *const *sets, const char *deploy, GError **error)
{
  g_autoptr (VjRegistry) registry = vj_registry_new (NULL, builtin, NULL);
  const VjRecipeSource source = {.file = "r.yaml", .deploy = deploy, .sets = sets, .plugins = vj_registry_plugins (registry)};
  return vj_recipe_parse (text, length, "/data", &source, error);
}

static VjRecipe *
parse (const char *text, GError **error)
{
  return parse_set (text, strlen (text), NULL, NULL, error);
}

/* What is wrong, where it must be told, and what the message must say besides. */
static const struct {
  const char *fault, *text, *place, *says;
} faults[] = {
  {"tab indentation", "recipe: 1\nmodels:\n\tbase: 1\n", "r.yaml:3:1", "indent by spaces"},
  {"duplicate key", HEAD "seed: 1\nseed: 2\n", "r.yaml:4:1", "first at line 3, column 1"},
  {"unknown key", RIGHT "sed: 2\n", "r.yaml:11:1: sed", "did you mean 'seed'?"},
  {"unknown key in a section", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  judges: 1\n", "r.yaml:11:3: iteration.judges", "did you mean 'judge'?"},
  {"unknown option", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, nmber: 3 } ]\n", "r.yaml:11:30: iteration.filters.0.nmber",
   "did you mean 'number'? Expected one of use, number, share, flag"},
  {"wrong type: text for a number", RIGHT "seed: many\n", "r.yaml:11:7: seed: 'many'", "expected an integer"},
  {"wrong type: option", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, number: \"3\" } ]\n", "r.yaml:11:38: iteration.filters.0.number",
   "without quotes"},
  {"wrong type: map for a list", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: { use: verdict }\n", "r.yaml:11:12: iteration.filters", "expected a list; begin the entry with '- '"},
  {"wrong type: list for a map", HEAD "models: [1]\n" QUESTIONS, "r.yaml:3:9: models", "expected a map"},
  {"number where text is due", "recipe: 1\nname: 12\n", "r.yaml:2:7: name: '12'", "expected text; quote it"},
  {"text option given a number", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, text: 3 } ]\n", "r.yaml:11:36: iteration.filters.0.text", "quote it"},
  {"NO where true or false is due", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, flag: NO } ]\n", "r.yaml:11:36: iteration.filters.0.flag: 'NO'",
   "YAML 1.2 reads 'NO' as text: write false"},
  {"out of range", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, number: 12 } ]\n", "r.yaml:11:38: iteration.filters.0.number: '12'",
   "expected an integer from 1 to 9 units"},
  {"choice", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, kind: coumt } ]\n", "r.yaml:11:36: iteration.filters.0.kind: 'coumt'", "did you mean 'count'?"},
  {"choice in a list", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, kinds: [size] } ]\n", "r.yaml:11:37: iteration.filters.0.kinds: 'size'",
   "expected one of attribute, count, position"},
  {"text for a list that must be quoted", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, kinds: ']]' } ]\n", "r.yaml:11:37: iteration.filters.0.kinds", "write [']]']"},
  {"text for a list", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: verdict, kinds: count } ]\n", "r.yaml:11:37: iteration.filters.0.kinds", "write [count]"},
  {"required option left out", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ { use: needy } ]\n", "r.yaml:11:14: iteration.filters.0.must", "must be given: A number that must be given; expected an integer"},
  {"required section left out", HEAD MODELS QUESTIONS PAIRS TRAIN, "r.yaml:6:3: iteration.judge", "must be given"},
  {"unknown audit", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  audit: { image: {} }\n", "r.yaml:11:12: iteration.audit.image", "did you mean 'images'?"},
  {"unknown option of an audit", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  audit: { shortcut: { auc: 1 } }\n", "r.yaml:11:24: iteration.audit.shortcut.auc",
   "max_auc"},
  {"audit out of range", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  audit: { shortcut: { max_auc: 0.4 } }\n", "r.yaml:11:33: iteration.audit.shortcut.max_auc", "0.5 to 1"},
  {"audit that does something else", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  audit: { images: { on_blind: stop } }\n", "r.yaml:11:32: iteration.audit.images.on_blind",
   "warn"},
  {"alias bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "r.yaml:1:4", "anchors and aliases are not read"},
  {"self-alias", "a: &a [*a]\n", "r.yaml:1:4", "write the values out"},
  {"alias", "a: *x\n", "r.yaml:1:4", "'*x'"},
  {"merge key", "a: {<<: {b: 1}}\n", "r.yaml:1:5", "merge keys are not read"},
  {"unknown tag", "recipe: !!python/object 1\n", "r.yaml:1:9", "this tag is not known; remove it"},
  {"local tag", "recipe: !secret x\n", "r.yaml:1:9", "remove it"},
  {"wrong tag", "recipe: !!int x\n", "r.yaml:1:9", "this is text, but its tag says !!int"},
  {"bad UTF-8", "recipe: 1\nname: \"caf\xe9\"\n", "r.yaml:2:11", "save the file as UTF-8"},
  {"NUL escape", "recipe: 1\nname: \"a\\0b\"\n", "r.yaml:2:7", "control character \\x00"},
  {"two documents", "recipe: 1\n---\nrecipe: 1\n", "r.yaml:2:1", "a second document begins here"},
  {"empty file", "", "r.yaml:1:1", "the recipe is empty; expected a map"},
  {"only a comment", "# nothing\n", "r.yaml:1:1", "the recipe is empty"},
  {"a list instead of sections", "- recipe\n", "r.yaml:1:1", "this is a list; expected a map"},
  {"unclosed bracket", "recipe: [1\n", "r.yaml:2:1", "not YAML"},
  {"absent model", HEAD MODELS QUESTIONS PAIRS "  judge: { use: pairwise, model: bse }\n" TRAIN, "r.yaml:9:34: iteration.judge.model: 'bse'",
   "no model of this recipe; did you mean 'base'?"},
  {"model left out", HEAD MODELS QUESTIONS PAIRS "  judge: { use: pairwise }\n" TRAIN, "r.yaml:9:10: iteration.judge.model", "'pairwise' asks a model"},
  {"model of a plugin that asks none", HEAD MODELS QUESTIONS "  open_ended: { respond: { model: base }, inject: [ { use: swap-words, model: base } ] }\n" JUDGE TRAIN, "r.yaml:8:72", "asks no model; remove this key"},
  {"unknown plugin", HEAD MODELS QUESTIONS PAIRS "  judge: { use: pairwyse, model: base }\n" TRAIN, "r.yaml:9:17: iteration.judge.use", "no judge plugin is called 'pairwyse'; did you mean 'pairwise'?"},
  {"plugin of another role", HEAD MODELS QUESTIONS PAIRS "  judge: { use: verdict, model: base }\n" TRAIN, "r.yaml:9:17: iteration.judge.use", "'verdict' is a filter, not a judge"},
  {"plugin name with a path", HEAD MODELS QUESTIONS PAIRS "  judge: { use: ../verdict, model: base }\n" TRAIN, "r.yaml:9:17: iteration.judge.use", "no judge plugin is called '../verdict'"},
  {"use left out", HEAD MODELS QUESTIONS PAIRS "  judge: { model: base }\n" TRAIN, "r.yaml:9:10: iteration.judge.use", "must be given: the name of a judge plugin"},
  {"plain name for an entry", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  filters: [ verdict ]\n", "r.yaml:11:14: iteration.filters.0: 'verdict'", "write { use: NAME, ... }"},
  {"integer too large", HEAD "seed: 9223372036854775808\n", "r.yaml:3:7: seed: '9223372036854775808'", "does not fit 64 bits"},
  {"hexadecimal too large", HEAD "seed: 0xffffffffffffffff\n", "r.yaml:3:7", "does not fit 64 bits"},
  {"real too large", HEAD "seed: 1e999\n", "r.yaml:3:7", "too large for a number"},
  {"NaN", HEAD "seed: .nan\n", "r.yaml:3:7: seed: '.nan'", "not a finite number"},
  {"infinity", HEAD "seed: -.inf\n", "r.yaml:3:7", "not a finite number"},
  {"literal secret by key", HEAD "models:\n  base: { use: native, api_key: abcdef }\n", "r.yaml:4:33: models.base.api_key", "write ${NAME} here"},
  {"literal secret without a digit", HEAD "models:\n  base: { use: native, text: hf_AbcdefghijKlmnopqrstUvwxyzAbcdefgh }\n", "r.yaml:4:30: models.base.text", "a secret stands in the recipe"},
  {"literal secret by shape", HEAD "models:\n  base: { use: native, text: sk-proj-abcdefghij0123456789 }\n", "r.yaml:4:30: models.base.text", "a secret stands in the recipe"},
  {"unset variable", HEAD "models:\n  base: { use: native, path: \"${VJ_NOT_SET}/x\" }\n", "r.yaml:4:30: path", "variable 'VJ_NOT_SET' is not set"},
  {"broken variable", HEAD "models:\n  base: { use: native, path: \"${VJ\" }\n", "r.yaml:4:30", "expected ${NAME}"},
  {"format of the future", "recipe: 2\nname: t\n", "r.yaml:1:9: recipe", "reads recipe format 1"},
  {"no format", "name: t\n", "r.yaml:1:1: recipe", "must be given"},
  {"name that is a path", "recipe: 1\nname: ../up\n", "r.yaml:2:7: name", "letters, digits"},
  {"nothing to do", HEAD MODELS, "r.yaml:1:1", "the recipe does nothing"},
  {"no pairs", HEAD MODELS QUESTIONS JUDGE TRAIN, "r.yaml:6:3: iteration", "neither open_ended nor closed_form"},
  {"empty list", HEAD MODELS "iteration:\n  questions: []\n" PAIRS JUDGE TRAIN, "r.yaml:6:14: iteration.questions", "the list is empty"},
  {"replay of a course", HEAD "pretrain:\n  init: m\n  courses:\n    - { lessons: [ { use: scenes } ], train: { use: sft, replay: 1 } }\n", "r.yaml:6:58: pretrain.courses.0.train.replay", "a course has no answers"},
  {"replay below zero", HEAD MODELS QUESTIONS PAIRS JUDGE "  train: { use: sft, model: base, replay: -1 }\n", "r.yaml:10:43: iteration.train.replay: '-1'", "expected a number from 0 to 100"},
  {"replay as text", HEAD MODELS QUESTIONS PAIRS JUDGE "  train: { use: sft, model: base, replay: much }\n", "r.yaml:10:43: iteration.train.replay: 'much'", "expected a number from 0 to 100"},
  {"shares of replay above one", HEAD MODELS QUESTIONS PAIRS JUDGE "  train: { use: sft, model: base, replay: 1, replay_rewrites: 0.6 }\n", "r.yaml:10:10: iteration.train", "make more than 1"},
  {"unknown use of gold", HEAD MODELS QUESTIONS "  closed_form: { gold: filte, sample: { use: majority, model: base } }\n" JUDGE TRAIN, "r.yaml:8:24: iteration.closed_form.gold: 'filte'", "did you mean 'filter'?"},
  {"weight of zero", HEAD MODELS QUESTIONS "  open_ended: { respond: { model: base }, inject: [ { use: swap-words, weight: 0 } ] }\n" JUDGE TRAIN, "r.yaml:8:80", "above 0"},
  {"both kinds of run", RIGHT "pretrain: { init: x }\n", "r.yaml:11:1: pretrain", "not both"},
  {"compute that is not there", RIGHT "compute: { use: cublaz }\n", "r.yaml:11:17: compute.use", "no compute plugin is called 'cublaz'"},
  {"unknown key of repeat", RIGHT "repeat: { itrations: 2 }\n", "r.yaml:11:11: repeat.itrations", "did you mean 'iterations'?"},
  {"iterations out of range", RIGHT "repeat: { iterations: 0 }\n", "r.yaml:11:23: repeat.iterations: '0'", "from 1 to 1000"},
  {"choice of repeat", RIGHT "repeat: { pairs: reused }\n", "r.yaml:11:18: repeat.pairs: 'reused'", "did you mean 'reuse'?"},
  {"unknown key of the gate", RIGHT "repeat: { gate: { metrics: strict } }\n", "r.yaml:11:19: repeat.gate.metrics", "did you mean 'metric'?"},
  {"metric that no gate knows", RIGHT "repeat: { gate: { metric: loss } }\n", "r.yaml:11:27: repeat.gate.metric: 'loss'", "strict, accuracy"},
  {"level of the gate", RIGHT "repeat: { gate: { alpha: 5 } }\n", "r.yaml:11:26: repeat.gate.alpha: '5'", "to 0.5"},
  {"level at which nothing is ever significant", RIGHT "repeat: { gate: { alpha: 0 } }\n", "r.yaml:11:26: repeat.gate.alpha: '0'", "from 1e-12"},
  {"generator of pairs that are reused", HEAD "models: { base: { use: native, path: m }, judge: { use: native, path: m } }\n" QUESTIONS PAIRS
   "  judge: { use: pairwise, model: judge }\n  train: { use: sft, model: judge }\nrepeat: { pairs: reuse, generator: judge }\n", "r.yaml:10:36: repeat.generator",
   "set pairs: fresh"},
  {"audit of fewer pairs than can tell", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  audit: { images: { sample: 5 } }\n", "r.yaml:11:30: iteration.audit.images.sample: '5'", "from 6"},
  {"more folds than pairs", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  audit: { shortcut: { folds: 20, sample: 19 } }\n", "r.yaml:11:22: iteration.audit.shortcut", "lower folds"},
  {"gate without questions", RIGHT "repeat: { gate: { questions: [] } }\n", "r.yaml:11:30: repeat.gate.questions", "the list is empty"},
  {"gate without an iteration", HEAD MODELS "judge: { use: pairwise, model: base }\nevaluate: [ { use: pairs } ]\nrepeat: { gate: {} }\n", "r.yaml:7:11: repeat.gate",
   "there is no candidate; remove this key"},
  {"gate of another model", HEAD "models: { base: { use: native }, other: { use: native } }\n" QUESTIONS PAIRS JUDGE "  train: { use: sft, model: other }\nrepeat: { gate: {} }\n",
   "r.yaml:10:11: repeat.gate", "name one model in both"},
  {"generator that nothing follows", RIGHT "repeat: { generator: judge }\n", "r.yaml:11:22: repeat.generator", "nothing would follow the judge"},
  {"labels", HEAD MODELS QUESTIONS PAIRS JUDGE TRAIN "  labels: shuffled\n", "r.yaml:11:11: iteration.labels: 'shuffled'", "construction, shuffled-presentations, shuffled-pairs"},
  {"pairs without a judge", HEAD MODELS "evaluate: [ { use: pairs } ]\n", "r.yaml:5:13: evaluate.0", "add a section judge"},
};

static void
test_faults_are_told_with_place_and_remedy (void)
{
  g_unsetenv ("VJ_NOT_SET");
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (VjRecipe) recipe = parse (faults[i].text, &error);
    g_test_message ("%s: %s", faults[i].fault, error != NULL ? error->message : "accepted");
    g_assert_null (recipe);
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_RECIPE);
    /* place and remedy stand in one line of the message */
    g_auto (GStrv) lines = g_strsplit (error->message, "\n", -1);
    gboolean found = FALSE;
    for (guint j = 0; lines[j] != NULL; j++)
      found = found || (g_str_has_prefix (lines[j], faults[i].place) && strstr (lines[j], faults[i].says) != NULL);
    g_assert_true (found);
  }
}

static void
test_all_faults_are_told_at_once (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (parse (HEAD MODELS QUESTIONS PAIRS "  judge: { use: pairwise, model: bse, nmber: 3 }\n" TRAIN "sed: 2\n", &error));
  g_assert_nonnull (strstr (error->message, "r.yaml:9:34"));
  g_assert_nonnull (strstr (error->message, "r.yaml:9:39"));
  g_assert_nonnull (strstr (error->message, "r.yaml:11:1"));
}

static void
test_a_byte_order_mark_is_fine (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = parse ("\xef\xbb\xbf" RIGHT, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (recipe->name, ==, "t");
  g_assert_null (parse ("\xef\xbb\xbfrecip: 1\nname: t\n", &error));
  g_assert_true (g_str_has_prefix (error->message, "r.yaml:1:1: recip"));
}

static void
test_nul_byte_is_refused (void)
{
  static const char text[] = "recipe: 1\nname: \0x\n";
  g_autoptr (GError) error = NULL;
  g_assert_null (parse_set (text, sizeof text - 1, NULL, NULL, &error));
  g_assert_true (g_str_has_prefix (error->message, "r.yaml:2:7: a NUL byte"));
}

/* The limits are met long before the input ends: what follows the limit is never read, however bad it is. */
static void
test_hostile_sizes_stop_at_the_limits (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *brackets = g_strnfill (200 * 1024, '[');
  g_assert_null (parse (brackets, &error));
  g_assert_cmpstr (error->message, ==, "r.yaml:1:65: maps and lists are nested more than 64 deep; flatten them");
  g_clear_error (&error);

  g_autoptr (GString) many = g_string_new ("a:\n");
  for (guint i = 0; i < VJ_NODE_COUNT + 10; i++)
    g_string_append (many, "- 1\n");
  g_string_append (many, "\xff");
  many->str[many->len - 1] = '\t';
  g_assert_null (parse (many->str, &error));
  g_assert_nonnull (strstr (error->message, "more than 100000 values"));
  g_clear_error (&error);

  g_autofree char *large = g_strnfill (VJ_NODE_BYTES + 1, '#');
  g_assert_null (parse (large, &error));
  g_assert_nonnull (strstr (error->message, "expected at most 1048576"));
  g_clear_error (&error);

  g_autoptr (GString) wrong = g_string_new (RIGHT);
  for (guint i = 0; i < 5000; i++)
    g_string_append_printf (wrong, "k%u: 1\n", i);
  g_assert_null (parse (wrong->str, &error));
  g_assert_nonnull (strstr (error->message, "... and 4980 more"));
}

/* -- what is right ------------------------------------------------------------- */

static void
test_core_schema_types (void)
{
  static const struct {
    const char *text;
    VjNodeKind kind;
  } cases[] = {{"NO", VJ_NODE_STRING},    {"yes", VJ_NODE_STRING},  {"on", VJ_NODE_STRING},   {"1_000", VJ_NODE_STRING}, {"0777", VJ_NODE_INT},
               {"0o17", VJ_NODE_INT},     {"0x1F", VJ_NODE_INT},    {"-3", VJ_NODE_INT},      {"+3", VJ_NODE_INT},       {"1e3", VJ_NODE_REAL},
               {".5", VJ_NODE_REAL},      {"1.", VJ_NODE_REAL},     {"1.0e-5", VJ_NODE_REAL}, {"1:30", VJ_NODE_STRING},  {"2001-01-01", VJ_NODE_STRING},
               {"true", VJ_NODE_BOOL},    {"FALSE", VJ_NODE_BOOL},  {"~", VJ_NODE_NULL},      {"", VJ_NODE_NULL},        {"\"3\"", VJ_NODE_STRING},
               {"'true'", VJ_NODE_STRING}, {"!!str 3", VJ_NODE_STRING}, {"! 3", VJ_NODE_STRING}, {"9223372036854775807", VJ_NODE_INT},
               {"-9223372036854775808", VJ_NODE_INT}};
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strdup_printf ("a: %s\n", cases[i].text);
    g_autoptr (VjTree) tree = vj_tree_parse (text, strlen (text), "t", "/", NULL);
    g_test_message ("%s", cases[i].text);
    g_assert_nonnull (tree);
    g_assert_cmpint (vj_node_get (vj_tree_root (tree), "a")->kind, ==, cases[i].kind);
  }
}

static void
test_recipe_is_typed (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = parse (
    HEAD "seed: 17\n" MODELS QUESTIONS
         "  open_ended:\n    respond: { model: base, temperature: 1, min_p: 0.1, stop: [\"\\n\\n\", END] }\n    inject: [ { use: rewrite, model: base, weight: 3 }, { use: swap-words } ]\n"
         "  judge: { use: pairwise, model: base, orders: one, samples: 4 }\n  train: { use: sft, model: base, dtype: f32 }\n"
         "evaluate: [ { use: pairs, count: 5 } ]\nrepeat: { iterations: 4, gate: { metric: accuracy, patience: 2 } }\n",
    &error);
  g_assert_no_error (error);
  g_assert_cmpuint (recipe->seed, ==, 17);
  g_assert_cmpint (recipe->questions[0].count, ==, 6);
  g_assert_true (recipe->questions[0].plugin == &scenes);
  g_assert_cmpfloat (recipe->respond.sampling.temperature, ==, 1);
  g_assert_cmpint (recipe->respond.sampling.top_k, ==, 50);
  g_assert_cmpint (recipe->respond.sampling.n, ==, 1);
  g_assert_cmpfloat (recipe->respond.sampling.min_p, ==, 0.1);
  g_assert_cmpfloat (recipe->respond.sampling.repetition_penalty, ==, 1);
  g_assert_cmpuint (g_strv_length (recipe->respond.sampling.stop), ==, 2);
  g_assert_cmpstr (recipe->respond.sampling.stop[0], ==, "\n\n");
  g_assert_cmpstr (recipe->respond.sampling.stop[1], ==, "END");
  g_assert_cmpfloat (recipe->injectors[0].weight, ==, 3);
  g_assert_cmpfloat (recipe->injectors[1].weight, ==, 1);
  g_assert_null (recipe->sampler.plugin);
  g_assert_cmpint (recipe->judge.orders, ==, VJ_ORDERS_ONE);
  g_assert_cmpint (recipe->judge.samples, ==, 4);
  g_assert_cmpstr (recipe->trainer.dtype, ==, "f32");
  g_assert_cmpfloat (recipe->trainer.replay, ==, 0);
  g_assert_cmpfloat (recipe->trainer.replay_closed, ==, 0.5);
  g_assert_false (recipe->gold_filter);
  g_assert_cmpint (recipe->evaluators[0].count, ==, 5);
  g_assert_cmpint (recipe->repeat.iterations, ==, 4);
  g_assert_cmpint (recipe->repeat.pairs, ==, VJ_PAIRS_FRESH);
  g_assert_cmpint (recipe->labels, ==, VJ_LABELS_CONSTRUCTION);
  g_assert_true (recipe->gate.present);
  g_assert_cmpint (recipe->gate.metric, ==, VJ_GATE_METRIC_ACCURACY);
  g_assert_cmpint (recipe->gate.patience, ==, 2);
  g_assert_cmpint (recipe->gate.promote, ==, VJ_PROMOTE_NOT_WORSE);
  g_assert_cmpfloat (recipe->gate.alpha, ==, 0.05);
  g_assert_nonnull (vj_recipe_model (recipe, "base"));
  g_assert_null (vj_recipe_model (recipe, "other"));
}

static void
note_option (gpointer data, const char *name, const char *value)
{
  g_string_append_printf (data, "%s=%s ", name, value);
}

/* Options are told where they differ from their presets: digests of stages hold those. */
static void
test_repeat_options (void)
{
  static const char text[] = HEAD "models: { base: { use: native, path: a/../m }, judge: { use: native, path: m }, far: { use: native, path: n } }\n" QUESTIONS
    PAIRS "  judge: { use: pairwise, model: judge }\n  train: { use: sft, model: judge }\n  labels: shuffled-pairs\n"
    "repeat: { iterations: 1, traces: all, generator: judge, train_from: previous, gate: { alpha: 0.2, patience: 1, min_parsed: 0.30 } }\n";
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = parse (text, &error);
  g_autoptr (GString) told = g_string_new (NULL);

  g_assert_no_error (error);
  vj_recipe_repeat_options (recipe, FALSE, note_option, told);
  vj_recipe_repeat_options (recipe, TRUE, note_option, told);
  g_assert_cmpstr (told->str, ==, "traces=all generator=judge alpha=0.20000000000000001 min_parsed=0.29999999999999999 ");
  g_assert_cmpstr (vj_recipe_labels_name (recipe->labels), ==, "shuffled-pairs");
  g_assert_cmpstr (vj_recipe_generator (recipe, "base"), ==, "judge"); /* one directory, spelled in two ways */
  g_assert_cmpstr (vj_recipe_generator (recipe, "far"), ==, "far");
}

static void
test_replay_and_gold_are_typed (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = parse (
    HEAD MODELS QUESTIONS "  closed_form: { gold: filter, sample: { use: majority, model: base } }\n" JUDGE
         "  train: { use: sft, model: base, replay: 2, replay_closed: 0.25, replay_rewrites: 0.5 }\n", &error);
  g_assert_no_error (error);
  g_assert_true (recipe->gold_filter);
  g_assert_cmpfloat (recipe->trainer.replay, ==, 2);
  g_assert_cmpfloat (recipe->trainer.replay_closed, ==, 0.25);
  g_assert_cmpfloat (recipe->trainer.replay_rewrites, ==, 0.5);
}

static void
test_pretrain_is_typed (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = parse (HEAD "pretrain:\n  init: m\n  courses:\n    - { lessons: [ { use: scenes, count: 3 } ], train: { use: sft } }\n", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (recipe->pretrain_init, ==, "/data/m");
  g_assert_cmpuint (recipe->n_courses, ==, 1);
  g_assert_cmpint (recipe->courses[0].lessons[0].count, ==, 3);
  g_assert_true (recipe->courses[0].train.plugin == &sft);
  g_assert_false (recipe->iterates);
}

static Everything *
fill (const VjRecipePlugin *entry)
{
  Everything *instance = g_new0 (Everything, 1);
  g_autoptr (GError) error = NULL;
  g_assert_true (vj_options_fill (entry->plugin->options, entry->node, vj_recipe_host_keys (entry->role), NULL, instance, &error));
  g_assert_no_error (error);
  return instance;
}

static void
unfill (Everything *instance)
{
  vj_options_clear (options, instance);
  g_free (instance);
}

static void
test_options_fill_the_instance (void)
{
  g_setenv ("VJ_TEST_DIR", "pictures", TRUE);
  g_autoptr (VjRecipe) recipe = parse (RIGHT "  filters:\n    - { use: verdict }\n"
                                             "    - { use: verdict, number: 9, share: 1, flag: true, text: NO, path: \"${VJ_TEST_DIR}/$${x}\", kind: position, kinds: [] }\n",
                                       NULL);
  Everything *presets = fill (&recipe->filters[0]), *given = fill (&recipe->filters[1]);
  g_assert_cmpint (presets->number, ==, 4);
  g_assert_cmpint (presets->kind, ==, 1);
  g_assert_cmpstr (presets->text, ==, "hello");
  g_assert_null (presets->path);
  g_assert_cmpstr (presets->kinds[1], ==, "count");
  g_assert_cmpint (given->number, ==, 9);
  g_assert_cmpfloat (given->share, ==, 1);
  g_assert_true (given->flag);
  g_assert_cmpstr (given->text, ==, "NO");
  g_assert_cmpstr (given->path, ==, "/data/pictures/${x}");
  g_assert_cmpint (given->kind, ==, 2);
  g_assert_null (given->kinds[0]);
  unfill (presets);
  unfill (given);
}

static void
test_set_overrides (void)
{
  const char *const sets[] = {"seed=5", "iteration.questions.0.count=2", "iteration.filters=[ { use: verdict, kinds: [count] } ]",
                              "models.base.number=7", "repeat.iterations=3", "repeat.gate.count=600", "repeat.gate=null", NULL};
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecipe) recipe = parse_set (RIGHT, strlen (RIGHT), sets, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (recipe->seed, ==, 5);
  g_assert_cmpint (recipe->questions[0].count, ==, 2);
  g_assert_cmpuint (recipe->n_filters, ==, 1);
  g_assert_cmpint (recipe->repeat.iterations, ==, 3);
  g_assert_false (recipe->gate.present);
}

static void
test_set_faults (void)
{
  static const char *const cases[][2] = {{"seed", "expected KEY.KEY=VALUE"},      {"a..b=1", "no key path"},
                                         {"seed.x=1", "'seed' is an integer"},    {"iteration.questions.7.count=1", "no place in the list"},
                                         {"seed=[", "not YAML"},                  {"seed=x", "--set: seed: 'x'; expected an integer"},
                                         {"iteration.judge.model=bse", "--set: iteration.judge.model: 'bse'"},
                                         {"seed=", "--set: seed: nothing"}};
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const sets[] = {cases[i][0], NULL};
    g_autoptr (GError) error = NULL;
    const char *text = "recipe: 1\nname: t\nseed: 3\nmodels: { base: { use: native } }\niteration:\n  questions: [ { use: scenes } ]\n" PAIRS JUDGE TRAIN;
    g_assert_null (parse_set (text, strlen (text), sets, NULL, &error));
    g_test_message ("%s: %s", cases[i][0], error->message);
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_RECIPE);
    g_assert_nonnull (strstr (error->message, cases[i][1]));
    g_assert_true (g_str_has_prefix (error->message, "--set"));
  }
}

static char *
write_deploy (const char *text)
{
  g_autofree char *folder = g_dir_make_tmp ("vj-deploy-XXXXXX", NULL);
  char *file = g_build_filename (folder, "d.yaml", NULL);
  g_assert_true (g_file_set_contents (file, text, -1, NULL));
  return file;
}

static void
remove_deploy (const char *file)
{
  g_autofree char *folder = g_path_get_dirname (file);
  g_assert_cmpint (g_unlink (file), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_deploy_overlays_models_and_compute_only (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *file = write_deploy ("models:\n  base: { path: weights }\ncompute: { threads: 3 }\n");
  g_autofree char *folder = g_path_get_dirname (file), *path = g_build_filename (folder, "weights", NULL);
  g_autoptr (VjRecipe) recipe = parse_set (RIGHT, strlen (RIGHT), NULL, file, &error);
  g_assert_no_error (error);
  Everything *model = fill (&recipe->models[0].backend);
  g_assert_cmpstr (model->path, ==, path); /* relative to the deployment file */
  g_assert_cmpint (model->threads, ==, 3);
  unfill (model);
  remove_deploy (file);

  g_autofree char *wrong = write_deploy ("models: {}\nseed: 3\n");
  g_assert_null (parse_set (RIGHT, strlen (RIGHT), NULL, wrong, &error));
  g_assert_nonnull (strstr (error->message, "d.yaml:2:1: seed: a deployment file holds only models and compute"));
  remove_deploy (wrong);
}

static void
test_variables_are_never_shown (void)
{
  g_setenv ("VJ_TEST_KEY", "sk-canary0123456789abcdef", TRUE);
  g_autoptr (GError) error = NULL;
  g_assert_null (parse (HEAD "models:\n  base: { use: native, number: \"${VJ_TEST_KEY}\", kinds: \"${VJ_TEST_KEY}\", kind: \"${VJ_TEST_KEY}\" }\n"
                         "  b: { use: native, kinds: [ \"${VJ_TEST_KEY}\" ] }\n  c: { use: \"${VJ_TEST_KEY}\" }\nseed: \"${VJ_TEST_KEY}\"\n" QUESTIONS PAIRS JUDGE TRAIN, &error));
  g_assert_null (strstr (error->message, "canary"));
}

static void
test_digest_names_meaning_not_spelling (void)
{
  g_autoptr (VjRecipe) a = parse (RIGHT, NULL);
  g_autoptr (VjRecipe) b = parse ("# spelled otherwise\nname: \"t\"\nrecipe: 1\n\n" MODELS QUESTIONS PAIRS JUDGE TRAIN "repeat: { iterations: 3 }\n", NULL);
  g_autoptr (VjRecipe) c = parse (HEAD MODELS QUESTIONS PAIRS "  judge: { use: pairwise, model: base, number: 5 }\n" TRAIN, NULL);
  g_assert_cmpstr (a->digest, ==, b->digest);
  g_assert_cmpstr (a->digest, !=, c->digest);
  g_assert_cmpstr (a->judge.digest, !=, c->judge.digest);
  g_assert_cmpstr (a->trainer.digest, ==, c->trainer.digest);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/recipe/faults-are-told-with-place-and-remedy", test_faults_are_told_with_place_and_remedy);
  g_test_add_func ("/recipe/all-faults-are-told-at-once", test_all_faults_are_told_at_once);
  g_test_add_func ("/recipe/a-byte-order-mark-is-fine", test_a_byte_order_mark_is_fine);
  g_test_add_func ("/recipe/nul-byte-is-refused", test_nul_byte_is_refused);
  g_test_add_func ("/recipe/hostile-sizes-stop-at-the-limits", test_hostile_sizes_stop_at_the_limits);
  g_test_add_func ("/recipe/core-schema-types", test_core_schema_types);
  g_test_add_func ("/recipe/is-typed", test_recipe_is_typed);
  g_test_add_func ("/recipe/repeat-options", test_repeat_options);
  g_test_add_func ("/recipe/replay-and-gold-are-typed", test_replay_and_gold_are_typed);
  g_test_add_func ("/recipe/pretrain-is-typed", test_pretrain_is_typed);
  g_test_add_func ("/recipe/options-fill-the-instance", test_options_fill_the_instance);
  g_test_add_func ("/recipe/set-overrides", test_set_overrides);
  g_test_add_func ("/recipe/set-faults", test_set_faults);
  g_test_add_func ("/recipe/deploy-overlays-models-and-compute-only", test_deploy_overlays_models_and_compute_only);
  g_test_add_func ("/recipe/variables-are-never-shown", test_variables_are_never_shown);
  g_test_add_func ("/recipe/digest-names-meaning-not-spelling", test_digest_names_meaning_not_spelling);
  return g_test_run ();
}
