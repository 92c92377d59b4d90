/* One plugin of each role that does nothing, for tests that read recipes: `builtin` goes to vj_registry_new.
 * All have the options of Everything, but the filter needy, which has one that must be given. */
#ifndef VJ_TESTS_STUB_PLUGINS_H
#define VJ_TESTS_STUB_PLUGINS_H

#include "vj/plugin.h"

typedef struct {
  int64_t number, kind;
  double share;
  gboolean flag;
  char *text, *path;
  char **kinds;
  int64_t threads;
} Everything;

static const char *const kinds[] = {"attribute", "count", "position", NULL};
static const VjOption options[] = {
  VJ_OPTION_INT (Everything, number, "4", 1, 9, "units", "A number."),
  VJ_OPTION_REAL (Everything, share, "0.5", 0, 1, "", "A share."),
  VJ_OPTION_BOOL (Everything, flag, "false", "A flag."),
  VJ_OPTION_STRING (Everything, text, "hello", "A text."),
  VJ_OPTION_PATH_OPTIONAL (Everything, path, "A path."),
  VJ_OPTION_CHOICE (Everything, kind, "count", kinds, "A kind."),
  VJ_OPTION_LIST (Everything, kinds, "attribute,count", kinds, "Kinds."),
  VJ_OPTION_INT (Everything, threads, "0", 0, 64, "", "Threads."),
  VJ_OPTION_END,
};
typedef struct {
  int64_t must;
} Needy;
static const VjOption needy_options[] = {VJ_OPTION_INT (Needy, must, NULL, 1, 9, "", "A number that must be given."), VJ_OPTION_END};

static VjFlow next (void *s, VjRun *r, VjDraft *d, GError **e) { (void) s, (void) r, (void) d, (void) e; return VJ_FLOW_END; }
static VjFlow inject (const void *s, VjRun *r, const VjQuestion *q, const char *a, const VjReplies *p, VjInjection *i, GError **e)
{ (void) s, (void) r, (void) q, (void) a, (void) p, (void) i, (void) e; return VJ_FLOW_OK; }
static VjFlow inject_ask (const void *s, VjRun *r, const VjQuestion *q, const char *a, const VjReplies *p, VjAsk *i, GError **e)
{ (void) s, (void) r, (void) q, (void) a, (void) p, (void) i, (void) e; return VJ_FLOW_OK; }
static VjFlow sample_ask (const void *s, VjRun *r, const VjQuestion *q, const VjReplies *p, VjAsk *a, GError **e)
{ (void) s, (void) r, (void) q, (void) p, (void) a, (void) e; return VJ_FLOW_OK; }
static VjFlow sample_tell (const void *s, VjRun *r, const VjQuestion *q, const VjReplies *p, VjSampledPair *a, GError **e)
{ (void) s, (void) r, (void) q, (void) p, (void) a, (void) e; return VJ_FLOW_OK; }
static VjFlow judge_ask (const void *s, VjRun *r, const VjQuestion *q, const char *a, const char *b, VjAsk *k, GError **e)
{ (void) s, (void) r, (void) q, (void) a, (void) b, (void) k, (void) e; return VJ_FLOW_OK; }
static VjFlow judge_tell (const void *s, VjRun *r, const VjQuestion *q, const char *a, const char *b, const char *t, VjJudgment *j, GError **e)
{ (void) s, (void) r, (void) q, (void) a, (void) b, (void) t, (void) j, (void) e; return VJ_FLOW_OK; }
static VjFlow keep (void *s, VjRun *r, const VjTrace *t, char **w, GError **e) { (void) s, (void) r, (void) t, (void) w, (void) e; return VJ_FLOW_OK; }
static gboolean train (void *s, VjRun *r, VjCourse *c, GError **e) { (void) s, (void) r, (void) c, (void) e; return TRUE; }
static gboolean submit (void *s, VjRun *r, uint64_t t, const VjRequest *q, GError **e) { (void) s, (void) r, (void) t, (void) q, (void) e; return TRUE; }
static VjFlow poll_ (void *s, VjRun *r, VjReply *p, GError **e) { (void) s, (void) r, (void) p, (void) e; return VJ_FLOW_END; }
static const char *identity (void *s) { (void) s; return "x"; }

static const VjSourceOps source_ops = {sizeof (VjSourceOps), next};
static const VjInjectorOps injector_ops = {sizeof (VjInjectorOps), inject_ask, inject};
static const VjInjectorOps plain_injector_ops = {sizeof (VjInjectorOps), NULL, inject};
static const VjSamplerOps sampler_ops = {sizeof (VjSamplerOps), sample_ask, sample_tell};
static const VjJudgeOps judge_ops = {sizeof (VjJudgeOps), judge_ask, judge_tell};
static const VjFilterOps filter_ops = {sizeof (VjFilterOps), NULL, keep};
static const VjTrainerOps trainer_ops = {sizeof (VjTrainerOps), train};
static const VjEvaluatorOps evaluator_ops = {sizeof (VjEvaluatorOps), next, NULL, NULL};
static const VjBackendOps backend_ops = {sizeof (VjBackendOps), submit, poll_, identity, NULL};

#define PLUGIN(var, role_, name_, Instance, ops_, options_)                                                                    \
  static const VjPlugin var = {.magic = VJ_PLUGIN_MAGIC, .abi_major = VJ_ABI_MAJOR, .abi_minor = VJ_ABI_MINOR,                 \
                               .size = sizeof (VjPlugin), .role = role_, .name = name_, .version = "1", .summary = "For tests.", \
                               .license = "Apache-2.0", .instance_size = sizeof (Instance), .options = options_, .ops = ops_}
PLUGIN (scenes, VJ_ROLE_SOURCE, "scenes", Everything, &source_ops, options);
PLUGIN (rewrite, VJ_ROLE_INJECTOR, "rewrite", Everything, &injector_ops, options);
PLUGIN (swap, VJ_ROLE_INJECTOR, "swap-words", Everything, &plain_injector_ops, options);
PLUGIN (majority, VJ_ROLE_SAMPLER, "majority", Everything, &sampler_ops, options);
PLUGIN (pairwise, VJ_ROLE_JUDGE, "pairwise", Everything, &judge_ops, options);
PLUGIN (verdict, VJ_ROLE_FILTER, "verdict", Everything, &filter_ops, options);
PLUGIN (sft, VJ_ROLE_TRAINER, "sft", Everything, &trainer_ops, options);
PLUGIN (pairs, VJ_ROLE_EVALUATOR, "pairs", Everything, &evaluator_ops, options);
PLUGIN (native, VJ_ROLE_BACKEND, "native", Everything, &backend_ops, options);
PLUGIN (needy, VJ_ROLE_FILTER, "needy", Needy, &filter_ops, needy_options);
static const VjPlugin *const builtin[] = {&scenes, &rewrite, &swap, &majority, &pairwise, &verdict, &sft, &pairs, &native, &needy, NULL};

#endif
