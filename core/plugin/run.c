/* VjRun, VjScores, VjReplies: the small host objects. */
#include "base/file.h"
#include "plugin/host.h"

#include <string.h>

struct VjRun {
  VjRandom random;
  uint64_t seed, index;
  guint round;
  VjLog *log;
  const gint *stop;
  char *stage, *record;
  VjRunPlan plan;
};

VjRun *
vj_run_new (uint64_t seed, VjLog *log, const gint *stop)
{
  VjRun *run = g_new0 (VjRun, 1);
  run->seed = seed;
  run->log = log;
  run->stop = stop;
  vj_run_aim (run, "", "", 0, 0, 0);
  return run;
}

void
vj_run_free (VjRun *run)
{
  if (run == NULL)
    return;
  g_free (run->stage);
  g_free (run->record);
  g_free (run);
}

void
vj_run_aim (VjRun *run, const char *stage, const char *record, uint64_t draw, uint64_t index, guint round)
{
  vj_random_init_named (&run->random, run->seed, stage, record, draw);
  if (g_strcmp0 (run->stage, stage) != 0) {
    g_free (run->stage);
    run->stage = g_strdup (stage);
  }
  g_free (run->record);
  run->record = g_strdup (record);
  run->index = index;
  run->round = round;
}

void
vj_run_set_plan (VjRun *run, const VjRunPlan *plan)
{
  run->plan = *plan;
}

const VjRunPlan *
vj_run_plan (const VjRun *run)
{
  return &run->plan;
}

uint32_t
vj_run_random (VjRun *run, uint32_t below)
{
  return vj_random_below (&run->random, below);
}

double
vj_run_real (VjRun *run)
{
  return vj_random_real (&run->random);
}

uint64_t
vj_run_seed (VjRun *run)
{
  return vj_random_next (&run->random);
}

uint64_t
vj_run_index (const VjRun *run)
{
  return run->index;
}

guint
vj_run_round (const VjRun *run)
{
  return run->round;
}

gboolean
vj_run_stopping (const VjRun *run)
{
  return run->stop != NULL && g_atomic_int_get (run->stop) != 0;
}

void
vj_run_log (VjRun *run, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  const char *record = run->record != NULL ? run->record : "";
  vj_log_write (run->log, VJ_LOG_INFO, run->stage != NULL && *run->stage != '\0' ? run->stage : NULL, "%s%s%s", record,
                *record != '\0' ? ": " : "", text);
}

char *
vj_file_text (const char *path, size_t max_bytes, GError **error)
{
  g_autoptr (GBytes) bytes = vj_file_read (path, max_bytes, error);
  gsize length;
  const char *text = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;
  return bytes != NULL ? g_strndup (text != NULL ? text : "", length) : NULL;
}

/* -- replies ------------------------------------------------------------------- */

typedef struct {
  char *text;
  VjFinish finish;
} Draw;

typedef struct {
  Draw *draws;
  gsize n;
} Answer;

struct VjReplies {
  GArray *answers; /* of Answer */
};

static void
answer_clear (gpointer data)
{
  Answer *answer = data;
  for (gsize i = 0; i < answer->n; i++)
    g_free (answer->draws[i].text);
  g_free (answer->draws);
}

VjReplies *
vj_replies_new (void)
{
  VjReplies *replies = g_new0 (VjReplies, 1);
  replies->answers = g_array_new (FALSE, TRUE, sizeof (Answer));
  g_array_set_clear_func (replies->answers, answer_clear);
  return replies;
}

void
vj_replies_free (VjReplies *replies)
{
  if (replies == NULL)
    return;
  g_array_unref (replies->answers);
  g_free (replies);
}

gsize
vj_replies_add (VjReplies *replies, gsize draws)
{
  Answer answer = {.draws = g_new0 (Draw, draws), .n = draws};
  g_array_append_val (replies->answers, answer);
  return replies->answers->len - 1;
}

/* NULL outside: a plugin that counts wrong reads an empty text rather than foreign memory. */
static Draw *
draw_at (const VjReplies *replies, gsize request, gsize draw)
{
  if (replies == NULL || request >= replies->answers->len)
    return NULL;
  Answer *answer = &g_array_index (replies->answers, Answer, request);
  return draw < answer->n ? &answer->draws[draw] : NULL;
}

void
vj_replies_set (VjReplies *replies, gsize request, gsize draw, const char *text, VjFinish finish)
{
  Draw *at = draw_at (replies, request, draw);
  g_return_if_fail (at != NULL);
  g_free (at->text);
  at->text = g_strdup (text);
  at->finish = finish;
}

size_t
vj_replies_count (const VjReplies *replies)
{
  return replies != NULL ? replies->answers->len : 0;
}

size_t
vj_replies_draws (const VjReplies *replies, size_t request)
{
  return replies != NULL && request < replies->answers->len ? g_array_index (replies->answers, Answer, request).n : 0;
}

const char *
vj_replies_text (const VjReplies *replies, size_t request, size_t draw)
{
  const Draw *at = draw_at (replies, request, draw);
  return at != NULL && at->text != NULL ? at->text : "";
}

VjFinish
vj_replies_finish (const VjReplies *replies, size_t request, size_t draw)
{
  const Draw *at = draw_at (replies, request, draw);
  return at != NULL ? at->finish : VJ_FINISH_STOP;
}

/* -- scores -------------------------------------------------------------------- */

struct VjScores {
  GArray *scores; /* of VjScore; metric owned */
};

static void
score_clear (gpointer data)
{
  g_free ((char *) ((VjScore *) data)->metric);
}

VjScores *
vj_scores_new (void)
{
  VjScores *scores = g_new0 (VjScores, 1);
  scores->scores = g_array_new (FALSE, TRUE, sizeof (VjScore));
  g_array_set_clear_func (scores->scores, score_clear);
  return scores;
}

void
vj_scores_free (VjScores *scores)
{
  if (scores == NULL)
    return;
  g_array_unref (scores->scores);
  g_free (scores);
}

void
vj_scores_add (VjScores *scores, const char *metric, double right, double total)
{
  for (guint i = 0; i < scores->scores->len; i++) {
    VjScore *score = &g_array_index (scores->scores, VjScore, i);
    if (strcmp (score->metric, metric) == 0) {
      score->right += right;
      score->total += total;
      return;
    }
  }
  VjScore score = {.metric = g_strdup (metric), .right = right, .total = total};
  g_array_append_val (scores->scores, score);
}

gsize
vj_scores_count (const VjScores *scores)
{
  return scores->scores->len;
}

const VjScore *
vj_scores_peek (const VjScores *scores, gsize index)
{
  return &g_array_index (scores->scores, VjScore, index);
}
