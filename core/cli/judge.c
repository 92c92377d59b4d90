/* vjrun judge: one image, one question, two answers; the verdict in both orders, with its reasons. */
#include "cli/cli.h"

#include <math.h>
#include <string.h>
#include "base/file.h"
#include "image/image.h"
#include "plugin/instance.h"

/* What was asked on the command line. */
typedef struct {
  char *model, *backend, *compute, *judge, *recipe, *question, *answer_a, *answer_b;
  char **images;
} Request;

/* Whom it is put to. */
typedef struct {
  VjInstance *judge, *backend;
  VjRun *run;
  VjQuestion question;
} Bench;

static const char *const verdict_names[] = {"no verdict", "answer A is better", "answer B is better"};

static char *
ask_backend (Bench *bench, const VjRequest *asked, GError **error)
{
  const uint64_t seed = 0;
  VjRequest request = *asked;
  VjReply reply = {0};

  request.sampling.n = 1;
  request.sampling.temperature = 0;
  request.seeds = &seed;
  gboolean good = VJ_INSTANCE_CALL (bench->backend, VjBackendOps, submit, bench->run, 1, &request, error);
  if (!vj_verb_good (vj_instance_plugin (bench->backend), "submit", good, error))
    return NULL;
  VjFlow flow = VJ_INSTANCE_FLOW (bench->backend, VjBackendOps, poll, VJ_FLOWS_POLL, error, bench->run, &reply);
  if (flow == VJ_FLOW_OK && reply.text == NULL)
    vj_fail (error, VJ_EXIT_BACKEND, "judge: the backend gave no answer: %s", reply.error ? reply.error : "it says nothing");
  else if (flow == VJ_FLOW_END)
    vj_fail (error, VJ_EXIT_BACKEND, "judge: the backend lost the request");
  g_free (reply.error);
  return reply.text;
}

/* How sure the judge is of its verdict, 0 to 1: the probability of the verdict's mark after the trace, against that of the
 * other. Nothing for a backend that cannot score and a judge that marks its verdict otherwise. */
static gboolean
print_confidence (Bench *bench, const VjRequest *request, const char *reply, VjVerdict verdict, GError **error)
{
  static const char *const marks[] = {"[[A]]", "[[B]]"};
  const VjBackendOps *ops = VJ_INSTANCE_OPS (bench->backend, VjBackendOps);
  const char *said = verdict == VJ_VERDICT_UNPARSED ? NULL : g_strrstr (reply, marks[verdict - VJ_VERDICT_A]);
  double scores[2];
  if (said == NULL || ops->score == NULL)
    return TRUE;
  g_autofree char *trace = g_strndup (reply, (gsize) (said - reply));
  if (!ops->score (vj_instance_self (bench->backend), bench->run, request, trace, marks, 2, scores, error))
    return FALSE;
  double other = scores[verdict == VJ_VERDICT_A] - scores[verdict == VJ_VERDICT_B];
  g_print ("  confidence  %.4f\n", 1 / (1 + exp (other)));
  return TRUE;
}

/* One order. The verdict names the answers as the command line does; the trace keeps the letters that the judge saw,
 * which a line of its own translates. */
static gboolean
judge_order (Bench *bench, const char *first, const char *second, gboolean swapped, VjVerdict *ret_verdict, GError **error)
{
  g_autoptr (VjAsk) ask = vj_ask_new ();
  VjJudgment judgment = {0};

  vj_run_aim (bench->run, "judge", swapped ? "b" : "a", 0, 0, 0);
  VjFlow flow = VJ_INSTANCE_FLOW (bench->judge, VjJudgeOps, ask, VJ_FLOWS_SKIP, error, bench->run, &bench->question, first,
                                  second, ask);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  if (ask->requests->len != 1)
    return vj_fail (error, VJ_EXIT_PLUGIN, "judge: the judge asked %u requests where one is due", ask->requests->len);
  g_autofree char *reply = ask_backend (bench, ask->requests->pdata[0], error);
  if (reply == NULL)
    return FALSE;
  flow = VJ_INSTANCE_FLOW (bench->judge, VjJudgeOps, tell, VJ_FLOWS_SKIP, error, bench->run, &bench->question, first, second,
                           reply, &judgment);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  g_autofree char *trace = vj_text_inert (judgment.trace ? judgment.trace : reply, -1);
  g_free (judgment.trace);
  VjVerdict verdict = flow == VJ_FLOW_OK ? judgment.verdict : VJ_VERDICT_UNPARSED;
  if (verdict < VJ_VERDICT_UNPARSED || verdict > VJ_VERDICT_B)
    return vj_fail (error, VJ_EXIT_PLUGIN, "judge: the verdict is %d, which is none; report it to the plugin's author",
                    (int) verdict);
  if (swapped && verdict != VJ_VERDICT_UNPARSED)
    verdict = verdict == VJ_VERDICT_A ? VJ_VERDICT_B : VJ_VERDICT_A;
  g_print ("%s\n  verdict  %s\n  trace    %s\n",
           swapped ? "order 2: the trace calls your answer B 'A', and your answer A 'B'"
                   : "order 1: the trace calls your answers A and B as you do",
           verdict_names[verdict], trace);
  *ret_verdict = verdict;
  return print_confidence (bench, ask->requests->pdata[0], reply, judgment.verdict, error);
}

static gboolean
judge_both (Bench *bench, const Request *request, GError **error)
{
  VjVerdict first, second;
  if (!judge_order (bench, request->answer_a, request->answer_b, FALSE, &first, error)
      || !judge_order (bench, request->answer_b, request->answer_a, TRUE, &second, error))
    return FALSE;
  if (first == VJ_VERDICT_UNPARSED || second == VJ_VERDICT_UNPARSED)
    g_print ("no verdict in %s: if the model was trained on another prompt, name a recipe that has it with --recipe\n",
             first == second ? "either order" : "one of the two orders");
  else
    g_print ("%s\n", first != second ? "the two orders do not agree"
                     : first == VJ_VERDICT_A ? "answer A is better, in both orders" : "answer B is better, in both orders");
  return TRUE;
}

static void
unref_image (gpointer image)
{
  vj_image_unref (image);
}

/* Images are named by the user himself, so any readable path is fine. */
static GPtrArray *
load_images (char **files, GError **error)
{
  g_autoptr (GPtrArray) images = g_ptr_array_new_with_free_func (unref_image);
  for (guint i = 0; files != NULL && files[i] != NULL; i++) {
    g_autoptr (GBytes) bytes = vj_file_read (files[i], VJ_IMAGE_MAX_BYTES, error);
    VjImage *image = bytes != NULL ? vj_image_new_from_bytes (bytes, files[i], error) : NULL;
    if (image == NULL)
      return NULL;
    g_ptr_array_add (images, image);
  }
  return g_steal_pointer (&images);
}

/* The judge of the recipe with its options, or the plugin with its presets. */
static VjInstance *
open_judge (VjCli *cli, VjRegistry *registry, const Request *request, VjRun *run, VjRecipe **ret_recipe, GError **error)
{
  if (request->recipe != NULL) {
    *ret_recipe = vj_cli_recipe (cli, registry, request->recipe, error);
    if (*ret_recipe == NULL)
      return NULL;
    if ((*ret_recipe)->judge.plugin == NULL) {
      vj_fail (error, VJ_EXIT_RECIPE, "%s: it has no judge; name another recipe or leave --recipe out", request->recipe);
      return NULL;
    }
    return vj_instance_new ((*ret_recipe)->judge.plugin, (*ret_recipe)->judge.node, NULL, run, error);
  }
  const VjPlugin *plugin = vj_registry_find (registry, VJ_ROLE_JUDGE, request->judge ? request->judge : "pairwise", error);
  return plugin != NULL ? vj_instance_new (plugin, NULL, NULL, run, error) : NULL;
}

/* The model of the user's directory, with what the recipe says of the judge's model besides; or by the backend that is asked for,
 * else native, with its presets. */
static VjInstance *
open_backend (VjRegistry *registry, const Request *request, const VjRecipe *recipe, VjRun *run, GError **error)
{
  g_autofree char *model = g_canonicalize_filename (request->model, NULL);
  const char *overrides[] = {"path", model, request->compute != NULL ? "compute" : NULL, request->compute, NULL};
  const VjRecipeModel *named = recipe != NULL && request->backend == NULL ? vj_recipe_model (recipe, recipe->judge.model) : NULL;
  if (named != NULL)
    return vj_instance_new (named->backend.plugin, named->backend.node, overrides, run, error);
  const VjPlugin *plugin = vj_registry_find (registry, VJ_ROLE_BACKEND, request->backend ? request->backend : "native", error);
  return plugin != NULL ? vj_instance_new (plugin, NULL, overrides, run, error) : NULL;
}

static gboolean
work (VjCli *cli, const Request *request, GError **error)
{
  g_autoptr (VjRegistry) registry = vj_cli_registry (cli, error);
  g_autoptr (VjRun) run = vj_run_new (0, cli->log, NULL);
  g_autoptr (VjRecipe) recipe = NULL;
  g_autoptr (GPtrArray) images = registry != NULL ? load_images (request->images, error) : NULL;
  g_autoptr (VjInstance) judge = images != NULL ? open_judge (cli, registry, request, run, &recipe, error) : NULL;
  g_autoptr (VjInstance) backend = judge != NULL ? open_backend (registry, request, recipe, run, error) : NULL;

  if (backend == NULL)
    return FALSE;
  Bench bench = {.judge = judge, .backend = backend, .run = run};
  bench.question = (VjQuestion){.id = "q", .prompt = request->question, .category = "", .form = VJ_FORM_OPEN,
                                .images = (const VjImage *const *) images->pdata, .n_images = images->len};
  return judge_both (&bench, request, error);
}

static int
judge_main (VjCli *cli, Request *request, int argc, char **argv)
{
  GError *error = NULL;
  int code = VJ_EXIT_DONE;
  const GOptionEntry entries[] = {
    {"image", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &request->images, "An image to show (may be repeated)", "FILE"},
    {"question", 0, 0, G_OPTION_ARG_STRING, &request->question, "The question", "TEXT"},
    {"answer-a", 'a', 0, G_OPTION_ARG_STRING, &request->answer_a, "The first answer", "TEXT"},
    {"answer-b", 'b', 0, G_OPTION_ARG_STRING, &request->answer_b, "The second answer", "TEXT"},
    {"recipe", 0, 0, G_OPTION_ARG_FILENAME, &request->recipe, "Take the judge, its prompt and its model's settings from this recipe", "FILE"},
    {"judge", 0, 0, G_OPTION_ARG_STRING, &request->judge, "Judge plugin (default pairwise)", "PLUGIN"},
    {"backend", 0, 0, G_OPTION_ARG_STRING, &request->backend, "Backend plugin (default the recipe's, else native)", "PLUGIN"},
    {"compute", 0, 0, G_OPTION_ARG_STRING, &request->compute, "What the backend computes with (default the recipe's, else auto)", "COMPUTE"},
    G_OPTION_ENTRY_NULL,
  };

  if (!vj_cli_options (cli, entries, "MODELDIR", "Judges two answers to a question about an image, in both orders, greedily.", &argc,
                       &argv, &code))
    return code;
  if (argc != 2)
    return vj_cli_usage (cli, "judge", argc < 2 ? "a model directory is missing" : "one model at a time");
  if (request->question == NULL || request->answer_a == NULL || request->answer_b == NULL)
    return vj_cli_usage (cli, "judge", "--question, --answer-a and --answer-b must be given");
  if (request->recipe == NULL && (cli->sets != NULL || cli->deploy != NULL))
    return vj_cli_usage (cli, "judge", "--set and --deploy change a recipe, and none is given; add --recipe, or leave them out");
  request->model = argv[1];
  return work (cli, request, &error) ? VJ_EXIT_DONE : vj_cli_fail (cli, error);
}

int
vj_cli_judge (VjCli *cli, int argc, char **argv)
{
  Request request = {0};
  int code = judge_main (cli, &request, argc, argv);
  g_free (request.backend);
  g_free (request.compute);
  g_free (request.judge);
  g_free (request.recipe);
  g_free (request.question);
  g_free (request.answer_a);
  g_free (request.answer_b);
  g_strfreev (request.images);
  return code;
}
