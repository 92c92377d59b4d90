/* vj/plugin.h - all that a role plugin includes.
 *
 * Shape of every plugin: an instance struct, an option table over its members, one to
 * three verbs, one VJ_DEFINE_<ROLE> line. The host reads the recipe, checks it against
 * the table, fills the instance, then calls the verbs. A plugin keeps no static state,
 * never blocks on a model, never prints and never exits.
 *
 * ask / tell: `ask` adds the requests a record needs; the host answers them (from the
 * ledger, or by a backend, in whatever batches are best) and then calls `tell`, a pure
 * function of its arguments and the run's seeded stream. A verb that returns
 * VJ_FLOW_ERROR has set the GError; with any other value the GError is untouched.
 * Unless said otherwise pointers handed to a verb are borrowed for the length of the
 * call, and strings are UTF-8. */
#ifndef VJ_PLUGIN_H
#define VJ_PLUGIN_H

#include <vj/chat.h>
#include <stddef.h>

G_BEGIN_DECLS

#define VJ_ABI_MAJOR 2 /* must equal the host's     */
#define VJ_ABI_MINOR 2 /* must not exceed the host's */
#define VJ_PLUGIN_MAGIC 0x564a5031u

typedef enum {
  VJ_FLOW_ERROR = -1, /* the run stops: GError is set                                     */
  VJ_FLOW_OK,
  VJ_FLOW_SKIP, /* this record is dropped; the reason is in the result                    */
  VJ_FLOW_MORE, /* tell: ask again; the replies so far stay in `replies`                  */
  VJ_FLOW_END   /* source, evaluator: no more records; backend: nothing is queued         */
} VjFlow;

/* Open-ended questions take long answers; closed-form ones a number, a word, a letter. */
typedef enum { VJ_FORM_OPEN, VJ_FORM_CLOSED } VjForm;

/* Host objects. */
typedef struct VjRun VjRun;         /* this call's randomness, log, cancellation             */
typedef struct VjImage VjImage;     /* an image, decoded on demand, named by pixel digest     */
typedef struct VjDraft VjDraft;     /* the record a source or evaluator is filling            */
typedef struct VjAsk VjAsk;         /* the requests a plugin wants answered                   */
typedef struct VjReplies VjReplies; /* their answers, in the order asked, over all rounds     */
typedef struct VjScores VjScores;   /* what an evaluator counted                              */
typedef struct VjCourse VjCourse;   /* what a trainer trains on, from and to                  */

/* -- records as plugins see them -------------------------------------------- */

typedef struct {
  const char *id;       /* unique in the run                   */
  const char *prompt;
  const char *category; /* "" if none                          */
  VjForm form;
  const VjImage *const *images; /* [n_images]                  */
  size_t n_images;
} VjQuestion;

/* A gold case of an evaluator: what `next` drafted. */
typedef struct {
  VjQuestion question;
  const char *chosen, *rejected; /* NULL when the case is no pair */
  const char *gold;              /* NULL when none was given      */
} VjCase;

typedef enum { VJ_VERDICT_UNPARSED, VJ_VERDICT_A, VJ_VERDICT_B } VjVerdict;

/* A judgment of one pair in one order, as filters see it. */
typedef struct {
  const char *id;       /* of this trace                                        */
  const char *pair;     /* id of the pair: equal for both orders and all samples */
  const VjQuestion *question;
  const char *chosen, *rejected;
  const char *how;      /* what made the rejected answer worse: an injection's kind, "minority", ... */
  gboolean chosen_is_a; /* the order                                            */
  guint sample;         /* number among the samples of this order, from 0       */
  VjVerdict verdict;
  gboolean right;       /* the verdict agrees with the construction             */
  const char *text;     /* the reasoning trace, verdict included                */
  guint samples;        /* drawn for this order in all, also those that an earlier filter dropped (since 2.1) */
} VjTrace;

/* -- requests and replies ---------------------------------------------------- */

/* temperature 0 is greedy; top_k 0, top_p 1, min_p 0, repetition_penalty 0 or 1 and stop NULL switch those off. */
typedef struct {
  double temperature, top_p;
  int64_t top_k, max_tokens, n; /* n: draws of the same prompt */
  double min_p, repetition_penalty;
  char **stop; /* NULL-terminated; whichever comes first ends the reply and is cut off. Borrowed, as the messages. */
} VjSampling;

typedef struct {
  VjSpeaker speaker;
  const char *text;
  const VjImage *const *images; /* [n_images], shown before the text */
  size_t n_images;
} VjMessage;

typedef struct {
  const VjMessage *messages; /* [n_messages] */
  size_t n_messages;
  VjSampling sampling;
  const uint64_t *seeds; /* [sampling.n]: the random stream of each draw */
} VjRequest;

/* One draw's answer. `text` belongs to the receiver; or `error` says why there is none and never will be. */
typedef struct {
  uint64_t ticket;
  uint32_t draw; /* index into the request's seeds */
  char *text, *error;
  VjFinish finish;
  uint32_t prompt_tokens, completion_tokens;
} VjReply;

/* -- results that plugins fill ------------------------------------------------
 * Owned members are allocated by g_malloc and belong to the host once the verb returns.
 * `reason` goes with VJ_FLOW_SKIP: a short lower-case phrase, the same for the same
 * cause, since the funnel counts by it ("the rewrite changed nothing"). */

/* One place where two texts differ: characters (Unicode code points) [chosen, chosen + n_chosen) of the one stand where the
 * other has [rejected, rejected + n_rejected). One of the two may be empty. */
typedef struct {
  uint32_t chosen, n_chosen, rejected, n_rejected;
} VjSpan;

typedef struct {
  char *text;       /* owned: the worse answer                                        */
  const char *kind; /* static: "attribute", "count", "position", ...                  */
  char *change;     /* owned, may be NULL: what was changed, e.g. "red -> blue"       */
  char *reason;     /* owned                                                          */
  /* since 2.1 */
  VjSpan *spans; /* owned, [n_spans], in order; outside of them both answers are alike. NULL: the host finds them itself */
  size_t n_spans;
  VjImage **images; /* owned, [n_images], each a reference: what `text` was said of, where that is not the question's images */
  size_t n_images;
} VjInjection;

typedef struct {
  char *chosen, *rejected; /* owned. With SKIP `chosen` may be given: the draws settled on it, but no pair came of it */
  char *how;               /* owned: e.g. "majority 11 of 16, against 3" */
  char *reason;            /* owned                                     */
} VjSampledPair;

typedef struct {
  VjVerdict verdict;
  char *trace; /* owned: the reasoning to train on, verdict included; NULL: the reply as it is */
} VjJudgment;

/* -- options ------------------------------------------------------------------ */

typedef enum {
  VJ_OPTION_INT,    /* int64_t                                                    */
  VJ_OPTION_REAL,   /* double                                                     */
  VJ_OPTION_BOOL,   /* gboolean                                                   */
  VJ_OPTION_STRING, /* char *, NULL only when the preset is NULL                  */
  VJ_OPTION_PATH,   /* char *, absolute; a relative one is relative to the recipe */
  VJ_OPTION_CHOICE, /* int64_t, index into `choices`                              */
  VJ_OPTION_LIST    /* char **, NULL-terminated strings; preset separated by commas */
} VjOptionType;

typedef struct {
  const char *name, *unit, *doc; /* doc: one sentence; unit: "" if none                   */
  const char *preset;            /* the default, spelled as in a recipe; NULL: required   *
                                  * (INT, REAL, BOOL, CHOICE, PATH) or absent (STRING, LIST) */
  const char *const *choices;    /* CHOICE, and LIST whose items are limited: NULL-terminated */
  VjOptionType type;
  uint32_t offset, size; /* of the member in the instance struct; checked at compile time */
  double min, max;       /* INT, REAL: inclusive                                          */
  gboolean optional;     /* PATH: may be left out, then NULL                              */
} VjOption;

#define VJ__MEMBER(Instance, member, ctype)                                                    \
  .offset = offsetof (Instance, member),                                                       \
  .size = sizeof (ctype)                                                                       \
          + 0 * sizeof (char[__builtin_types_compatible_p (ctype, __typeof__ (((Instance *) 0)->member)) ? 1 : -1])

#define VJ_OPTION_INT(I, m, default_, lo, hi, unit_, doc_) \
  {.name = #m, .unit = (unit_), .doc = (doc_), .preset = (default_), .type = VJ_OPTION_INT, \
   VJ__MEMBER (I, m, int64_t), .min = (lo), .max = (hi)}
#define VJ_OPTION_REAL(I, m, default_, lo, hi, unit_, doc_) \
  {.name = #m, .unit = (unit_), .doc = (doc_), .preset = (default_), .type = VJ_OPTION_REAL, \
   VJ__MEMBER (I, m, double), .min = (lo), .max = (hi)}
#define VJ_OPTION_BOOL(I, m, default_, doc_) \
  {.name = #m, .unit = "", .doc = (doc_), .preset = (default_), .type = VJ_OPTION_BOOL, VJ__MEMBER (I, m, gboolean)}
#define VJ_OPTION_STRING(I, m, default_, doc_) \
  {.name = #m, .unit = "", .doc = (doc_), .preset = (default_), .type = VJ_OPTION_STRING, VJ__MEMBER (I, m, char *)}
#define VJ_OPTION_PATH(I, m, doc_) \
  {.name = #m, .unit = "", .doc = (doc_), .type = VJ_OPTION_PATH, VJ__MEMBER (I, m, char *)}
#define VJ_OPTION_PATH_OPTIONAL(I, m, doc_) \
  {.name = #m, .unit = "", .doc = (doc_), .type = VJ_OPTION_PATH, VJ__MEMBER (I, m, char *), .optional = TRUE}
#define VJ_OPTION_CHOICE(I, m, default_, choices_, doc_) \
  {.name = #m, .unit = "", .doc = (doc_), .preset = (default_), .choices = (choices_), .type = VJ_OPTION_CHOICE, \
   VJ__MEMBER (I, m, int64_t)}
#define VJ_OPTION_LIST(I, m, default_, choices_, doc_) \
  {.name = #m, .unit = "", .doc = (doc_), .preset = (default_), .choices = (choices_), .type = VJ_OPTION_LIST, \
   VJ__MEMBER (I, m, char **)}
#define VJ_OPTION_END \
  {                   \
    .name = NULL      \
  }

/* The options of a `VjSampling sampling` member, for plugins that ask a model. */
#define VJ__SAMPLING(I, m, type_, ctype, default_, lo, hi, unit_, doc_)                                   \
  {.name = #m, .unit = (unit_), .doc = (doc_), .preset = (default_), .type = (type_),                     \
   .offset = offsetof (I, sampling.m), .size = sizeof (ctype), .min = (lo), .max = (hi)}
#define VJ_OPTIONS_SAMPLING(I, temperature_, top_k_, top_p_, max_tokens_)                                 \
  VJ__SAMPLING (I, temperature, VJ_OPTION_REAL, double, temperature_, 0, 100, "",                         \
                "Sampling temperature; 0 always takes the likeliest token."),                             \
  VJ__SAMPLING (I, top_k, VJ_OPTION_INT, int64_t, top_k_, 0, 1e6, "tokens",                               \
                "Sample among this many likeliest tokens; 0 means all."),                                 \
  VJ__SAMPLING (I, top_p, VJ_OPTION_REAL, double, top_p_, 1e-4, 1, "",                                       \
                "Sample among the likeliest tokens that together reach this probability."),               \
  VJ__SAMPLING (I, max_tokens, VJ_OPTION_INT, int64_t, max_tokens_, 1, 1e6, "tokens",                     \
                "Longest reply."),                                                                        \
  VJ__SAMPLING (I, min_p, VJ_OPTION_REAL, double, "0", 0, 1, "",                                          \
                "Sample among tokens at least this times as likely as the likeliest; 0 means all."),      \
  VJ__SAMPLING (I, repetition_penalty, VJ_OPTION_REAL, double, "1", 0.01, 100, "",                        \
                "Above 1 makes tokens of the prompt and of the reply so far less likely; 1 switches it off."), \
  VJ__SAMPLING (I, stop, VJ_OPTION_LIST, char **, NULL, 0, 0, "",                                         \
                "Strings that end the reply and are cut off.")

/* -- roles --------------------------------------------------------------------- */

/* X (NAME, folder): the recipe's and the file system's names of the roles. */
#define VJ_ROLE_TABLE(X)          \
  X (SOURCE, "sources")           \
  X (INJECTOR, "injectors")       \
  X (SAMPLER, "samplers")         \
  X (JUDGE, "judges")             \
  X (FILTER, "filters")           \
  X (TRAINER, "trainers")         \
  X (EVALUATOR, "evaluators")     \
  X (BACKEND, "backends")         \
  X (COMPUTE, "compute")

typedef enum {
#define VJ__ROLE_ENUM(name, folder) VJ_ROLE_##name,
  VJ_ROLE_TABLE (VJ__ROLE_ENUM)
#undef VJ__ROLE_ENUM
  VJ_N_ROLES
} VjRole;

/* source: yields questions. Each call gets a stream of its own (see vj_run_index), so a
 * procedural source that draws from it alone needs no state. SKIP quarantines one bad record. */
typedef struct {
  uint32_t size;
  VjFlow (*next) (void *self, VjRun *run, VjDraft *draft, GError **error);
} VjSourceOps;

/* injector: makes a good response worse. A new round's `ask` sees the replies so far (NULL in the first). */
typedef struct {
  uint32_t size;
  VjFlow (*ask) (const void *self, VjRun *run, const VjQuestion *question, const char *response,
                 const VjReplies *so_far, VjAsk *ask, GError **error); /* (optional) */
  VjFlow (*tell) (const void *self, VjRun *run, const VjQuestion *question, const char *response,
                  const VjReplies *replies, VjInjection *ret_injection, GError **error);
} VjInjectorOps;

/* sampler: turns draws of a closed question into a pair. */
typedef struct {
  uint32_t size;
  VjFlow (*ask) (const void *self, VjRun *run, const VjQuestion *question, const VjReplies *so_far,
                 VjAsk *ask, GError **error);
  VjFlow (*tell) (const void *self, VjRun *run, const VjQuestion *question, const VjReplies *replies,
                  VjSampledPair *ret_pair, GError **error);
} VjSamplerOps;

/* judge: asks which of two answers is better, and reads one reply. Exactly one request per
 * `ask` (the host draws `samples` of it); `tell` reads one draw of it. */
typedef struct {
  uint32_t size;
  VjFlow (*ask) (const void *self, VjRun *run, const VjQuestion *question, const char *answer_a,
                 const char *answer_b, VjAsk *ask, GError **error);
  VjFlow (*tell) (const void *self, VjRun *run, const VjQuestion *question, const char *answer_a,
                  const char *answer_b, const char *reply, VjJudgment *ret_judgment, GError **error);
} VjJudgeOps;

/* filter: keeps (OK) or drops (SKIP, with *ret_reason owned by the host) a trace. `observe` sees every
 * trace that reached this filter before the first `keep`. */
typedef struct {
  uint32_t size;
  VjFlow (*observe) (void *self, VjRun *run, const VjTrace *trace, GError **error); /* (optional) */
  VjFlow (*keep) (void *self, VjRun *run, const VjTrace *trace, char **ret_reason, GError **error);
} VjFilterOps;

/* trainer: course + model -> new model directory. */
typedef struct {
  uint32_t size;
  gboolean (*train) (void *self, VjRun *run, VjCourse *course, GError **error);
} VjTrainerOps;

/* evaluator: yields gold cases. Without `ask` every case is a pair, judged by the recipe's judge in both
 * orders and scored by the host; with it, the evaluator asks the model itself and counts. */
typedef struct {
  uint32_t size;
  VjFlow (*next) (void *self, VjRun *run, VjDraft *draft, GError **error);
  VjFlow (*ask) (const void *self, VjRun *run, const VjCase *gold, const VjReplies *so_far, VjAsk *ask,
                 GError **error); /* (optional) */
  VjFlow (*tell) (const void *self, VjRun *run, const VjCase *gold, const VjReplies *replies, VjScores *scores,
                  GError **error); /* (optional, goes with ask) */
} VjEvaluatorOps;

/* backend: answers requests. One thread drives it. */
typedef struct {
  uint32_t size;
  /* Queues a request under the caller's ticket; copies what it needs. VJ_EXIT_DATA is the request's own fault and kept as its
   * answer; any other error ends the run, which the same command goes on with. */
  gboolean (*submit) (void *self, VjRun *run, uint64_t ticket, const VjRequest *request, GError **error);
  /* Waits for one finished draw (OK), or says that nothing is queued (END). */
  VjFlow (*poll) (void *self, VjRun *run, VjReply *ret_reply, GError **error);
  /* Digest of weights and sampler: replies of equal identities are interchangeable. Borrowed. */
  const char *(*identity) (void *self);
  /* (optional) ret_logprobs[n] = log-probability (natural) of each continuation of `begun`, the beginning of a reply to
   * the request's messages. Comparable with each other. Waits; draws that are queued stay queued. */
  gboolean (*score) (void *self, VjRun *run, const VjRequest *request, const char *begun, const char *const *continuations,
                     size_t n, double *ret_logprobs, GError **error);
} VjBackendOps;

/* -- the descriptor ------------------------------------------------------------- */

typedef struct {
  uint32_t magic, abi_major, abi_minor, size; /* never move */
  VjRole role;
  const char *name;    /* [a-z][a-z0-9-]*, the file's name without .so */
  const char *version; /* of the plugin, e.g. "1.0"                    */
  const char *summary; /* one sentence                                 */
  const char *license; /* SPDX                                         */
  uint32_t instance_size;
  const VjOption *options;                                    /* ends with VJ_OPTION_END; NULL: none */
  /* (optional) after the options are filled. Cheap and without a trace, but for backends: an instance may be started and
   * stopped only to see whether it can be (vjrun check, and each run before its first stage). */
  gboolean (*start) (void *self, VjRun *run, GError **error);
  void (*stop) (void *self);                                  /* (optional) takes half-started instances */
  const void *ops;                                            /* the role's table                     */
} VjPlugin;

#define VJ__DEFINE(role_, Instance, OpsType, ops_, ...)                                          \
  __attribute__ ((visibility ("default"))) const VjPlugin *vj_plugin_query (void);               \
  const VjPlugin *vj_plugin_query (void)                                                         \
  {                                                                                              \
    static const OpsType ops__ = ops_;                                                           \
    static const VjPlugin plugin__ = {.magic = VJ_PLUGIN_MAGIC,                                  \
                                      .abi_major = VJ_ABI_MAJOR,                                 \
                                      .abi_minor = VJ_ABI_MINOR,                                 \
                                      .size = sizeof (VjPlugin),                                 \
                                      .role = (role_),                                           \
                                      .instance_size = sizeof (Instance),                        \
                                      .ops = &ops__,                                             \
                                      __VA_ARGS__};                                              \
    return &plugin__;                                                                            \
  }
#define VJ__OPS(...) {__VA_ARGS__}

#define VJ_DEFINE_SOURCE(I, next_, ...) \
  VJ__DEFINE (VJ_ROLE_SOURCE, I, VjSourceOps, VJ__OPS (sizeof (VjSourceOps), (next_)), __VA_ARGS__)
#define VJ_DEFINE_INJECTOR(I, tell_, ask_, ...) \
  VJ__DEFINE (VJ_ROLE_INJECTOR, I, VjInjectorOps, VJ__OPS (sizeof (VjInjectorOps), (ask_), (tell_)), __VA_ARGS__)
#define VJ_DEFINE_SAMPLER(I, tell_, ask_, ...) \
  VJ__DEFINE (VJ_ROLE_SAMPLER, I, VjSamplerOps, VJ__OPS (sizeof (VjSamplerOps), (ask_), (tell_)), __VA_ARGS__)
#define VJ_DEFINE_JUDGE(I, tell_, ask_, ...) \
  VJ__DEFINE (VJ_ROLE_JUDGE, I, VjJudgeOps, VJ__OPS (sizeof (VjJudgeOps), (ask_), (tell_)), __VA_ARGS__)
#define VJ_DEFINE_FILTER(I, keep_, observe_, ...) \
  VJ__DEFINE (VJ_ROLE_FILTER, I, VjFilterOps, VJ__OPS (sizeof (VjFilterOps), (observe_), (keep_)), __VA_ARGS__)
#define VJ_DEFINE_TRAINER(I, train_, ...) \
  VJ__DEFINE (VJ_ROLE_TRAINER, I, VjTrainerOps, VJ__OPS (sizeof (VjTrainerOps), (train_)), __VA_ARGS__)
#define VJ_DEFINE_EVALUATOR(I, next_, ask_, tell_, ...)                                             \
  VJ__DEFINE (VJ_ROLE_EVALUATOR, I, VjEvaluatorOps, VJ__OPS (sizeof (VjEvaluatorOps), (next_), (ask_), (tell_)), \
              __VA_ARGS__)
#define VJ_DEFINE_BACKEND(I, submit_, poll_, identity_, score_, ...)                                \
  VJ__DEFINE (VJ_ROLE_BACKEND, I, VjBackendOps,                                                     \
              VJ__OPS (sizeof (VjBackendOps), (submit_), (poll_), (identity_), (score_)), __VA_ARGS__)

/* -- what the host offers -------------------------------------------------------- */

/* The call's own stream, named by (run seed, stage, record id): the same in every run, on every machine.
 * The `ask` and the `tell` of one round begin the same stream: what `ask` drew first, `tell` draws again. */
VJ_API uint32_t vj_run_random (VjRun *run, uint32_t below); /* uniform in [0, below)            */
VJ_API double vj_run_real (VjRun *run);                     /* uniform in [0, 1)                */
VJ_API uint64_t vj_run_seed (VjRun *run);                   /* 64 fresh bits, to seed a stream  */
VJ_API uint64_t vj_run_index (const VjRun *run);            /* source, evaluator: number of this `next`, from 0 */
VJ_API guint vj_run_round (const VjRun *run);               /* ask, tell: number of the round, from 0 */
VJ_API gboolean vj_run_stopping (const VjRun *run);         /* a stop was asked for: return soon */
VJ_API void vj_run_log (VjRun *run, const char *format, ...) G_GNUC_PRINTF (2, 3); /* a line for the operator */

/* What the rest of the recipe makes of the plugin's records: for a `start` that can tell by it that nothing of its plugin would
 * ever be of use, and refuse. 0 and FALSE where it is not known. Borrowed. Since 2.1; members may be added at the end. */
typedef struct {
  guint orders, samples;  /* in how many orders the judge sees each pair, and its samples of each         */
  gboolean gold_needed;   /* source: the only one, and pairs of closed questions without gold are dropped */
  gboolean fresh_weights; /* trainer: it begins from weights that are drawn anew                          */
} VjRunPlan;
VJ_API const VjRunPlan *vj_run_plan (const VjRun *run);

/* A small file of the plugin's own, whole and NUL-terminated (g_free). FIFOs, devices and what is longer than `max_bytes`
 * are refused without a wait, which plain reading does not promise. NULL on error. */
VJ_API char *vj_file_text (const char *path, size_t max_bytes, GError **error);

/* Draft: strings are copied. Images keep the order of their calls. */
VJ_API void vj_draft_question (VjDraft *draft, VjForm form, const char *prompt, const char *category);
/* Name within the source, for ids that survive reordering; without it the number of the `next` call is used. */
VJ_API void vj_draft_key (VjDraft *draft, const char *key);
/* The right answer, kept apart: never shown to a plugin but an evaluator, and used for measuring only, unless the recipe asks
 * the host for the gold filter. */
VJ_API void vj_draft_gold (VjDraft *draft, const char *gold);
/* Evaluators: the better and the worse answer. */
VJ_API void vj_draft_pair (VjDraft *draft, const char *chosen, const char *rejected, const char *how);
/* Encoded bytes (PNG, JPEG, ...); copied. FALSE: not an image we read; the draft then has reason and detail for a SKIP. */
VJ_API gboolean vj_draft_image_bytes (VjDraft *draft, const void *bytes, size_t length, GError **error);
/* A file below the directory `root`, which it may not leave. `name` comes from the data and is not trusted. FALSE as above. */
VJ_API gboolean vj_draft_image_file (VjDraft *draft, const char *root, const char *name, GError **error);
/* With VJ_FLOW_SKIP: why this record is quarantined ("no field 'image'"), the same words for the same cause, since the funnel
 * counts by them; where it stands ("data.jsonl:12"); and what is particular to it, in any length. */
VJ_API void vj_draft_reason (VjDraft *draft, const char *format, ...) G_GNUC_PRINTF (2, 3);
VJ_API void vj_draft_place (VjDraft *draft, const char *place);
VJ_API void vj_draft_detail (VjDraft *draft, const char *detail);

/* Ask: everything is copied. The first form shows the question's images, then `text`, in one user message. */
VJ_API void vj_ask_text (VjAsk *ask, const VjQuestion *question, const char *text, const VjSampling *sampling);
VJ_API void vj_ask_messages (VjAsk *ask, const VjMessage *messages, size_t n_messages, const VjSampling *sampling);

/* Replies: requests count over all rounds; each has draws. Text is borrowed. A draw the backend could not
 * answer makes the host drop the record before `tell`, so every text here is a real one. */
VJ_API size_t vj_replies_count (const VjReplies *replies);
VJ_API size_t vj_replies_draws (const VjReplies *replies, size_t request);
VJ_API const char *vj_replies_text (const VjReplies *replies, size_t request, size_t draw);
VJ_API VjFinish vj_replies_finish (const VjReplies *replies, size_t request, size_t draw);

/* Scores: adds `right` of `total` to the named metric. */
VJ_API void vj_scores_add (VjScores *scores, const char *metric, double right, double total);

/* Image: digest is borrowed. Decoding gives pixels that the caller frees by g_free ((void *) pixels.rgb);
 * their digest stays the image's. */
VJ_API const char *vj_image_digest (const VjImage *image);
VJ_API gboolean vj_image_decode (const VjImage *image, VjPixels *ret_pixels, GError **error);

/* Since 2.1: ways to make an image worse. strength and share lie in [0, 1]. */
typedef enum {
  VJ_DEGRADE_NOISE, /* x = sqrt (1 - strength^2) x + strength e on pixels in [-1, 1], e of N(0, 1): a diffusion's forward step; *
                     * where the shorter side has 1024 pixels or more, one e for a square of side / 512 pixels               */
  VJ_DEGRADE_BLUR,  /* close to a Gaussian whose deviation is `strength` eighths of the shorter side                    */
  VJ_DEGRADE_MASK,  /* random gray rectangles over at least `share` of the pixels                                       */
  VJ_DEGRADE_BLANK, /* nothing but gray                                                                                 */
  VJ_DEGRADE_ERASE  /* rectangles as of a mask, each in the median of its rim, channel by channel: what stood there is gone, not      *
                     * hidden. Since 2.2                                                                                */
} VjDegrade;
/* A worse image of the same size, with its own digest: a new reference, given back by vj_image_unref. The pixels depend on
 * those of `image` and on the arguments alone, on every machine; take `seed` from vj_run_seed. NULL on error. */
VJ_API VjImage *vj_image_degrade (const VjImage *image, VjDegrade how, double strength, double share, uint64_t seed,
                                  GError **error);
VJ_API VjImage *vj_image_ref (const VjImage *image);
VJ_API void vj_image_unref (VjImage *image); /* NULL is fine */

/* Course: examples are borrowed for as long as the course lives; an assistant message is what is learned. */
VJ_API size_t vj_course_count (const VjCourse *course);
VJ_API const VjMessage *vj_course_example (VjCourse *course, size_t index, size_t *ret_n_messages);
VJ_API const char *vj_course_model (const VjCourse *course);      /* directory to start from              */
VJ_API gboolean vj_course_fresh (const VjCourse *course, uint64_t *ret_seed); /* TRUE: weights are drawn anew */
VJ_API const char *vj_course_state (const VjCourse *course);      /* state file of the course before; NULL: none */
VJ_API const char *vj_course_output (const VjCourse *course);     /* directory to make                    */
VJ_API const char *vj_course_checkpoint (const VjCourse *course); /* file for exact resume of this course; *
                                                                   * it also is the next course's state    */
VJ_API const char *vj_course_dtype (const VjCourse *course);      /* of the weights to write: "bf16", "f32" */
/* One optimizer step was made. */
VJ_API void vj_course_step (VjCourse *course, size_t step, size_t steps, double loss, double learning_rate,
                            double grad_norm);

G_END_DECLS
#endif
