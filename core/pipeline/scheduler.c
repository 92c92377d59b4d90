/* The ask/tell scheduler. */
#include "pipeline/scheduler.h"

#include <signal.h>
#include <string.h>
#include "record/request.h"

#define WINDOW 256               /* draws: several batches of a backend, so that it never waits for a commit */
#define GROUP_US (300 * 1000)    /* a reply waits this long at most for its fsync                            */
#define PROGRESS_US (100 * 1000)
#define MAX_ROUNDS 64            /* a plugin that asks on and on is broken                                   */

/* A unit and what it waits for. */
typedef struct {
  VjUnit *unit;
  VjReplies *replies;
  guint round, requests; /* requests asked in the rounds before */
  guint waiting;         /* draws that are not durable yet      */
  char *failure;         /* of the first draw that has no answer */
  gboolean done;
  VjFlow flow;
} Task;

/* One place in a task's replies that a draw fills. */
typedef struct {
  Task *task;
  guint request, draw;
} Slot;

/* A draw on its way, by key: several slots may wait for the same one. */
typedef struct {
  char *key;
  GArray *slots; /* of Slot */
} Draw;

/* A request on its way: its missing draws alone. */
typedef struct {
  guint64 ticket;
  VjModel *model;
  VjRequest *request;
  GPtrArray *draws; /* of Draw, borrowed from State.draws */
  guint left;
} Parcel;

typedef struct {
  const VjScheduler *host;
  const VjWork *work;
  guint window;
  GQueue tasks;           /* admitted and not settled, in order    */
  GQueue ready;           /* tasks to tell                         */
  GHashTable *draws;      /* key -> Draw, claimed or in flight     */
  GHashTable *parcels;    /* ticket -> Parcel, in flight           */
  GQueue outbox;          /* Parcels claimed but not committed     */
  GPtrArray *fresh;       /* Tasks, one entry per reply that is not committed */
  guint64 tickets, in_flight, waiting_out, settled;
  gint64 group_since, reported;
  gboolean exhausted;
  guint turn; /* of the models, when polling */
} State;

void
vj_unit_clear (VjUnit *unit)
{
  g_clear_pointer (&unit->id, g_free);
  g_clear_pointer (&unit->stream, g_free);
  g_clear_pointer (&unit->reason, g_free);
  g_clear_pointer (&unit->failure, g_free);
}

gboolean
vj_scheduler_go_on (const gint *stop, GError **error)
{
  gint signal_number = stop != NULL ? g_atomic_int_get (stop) : 0;
  if (signal_number == 0)
    return TRUE;
  return vj_fail (error, signal_number == SIGTERM ? VJ_EXIT_TERMINATED : VJ_EXIT_INTERRUPTED,
                  "run: stopped by %s; everything answered is kept; the same command goes on from here",
                  signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void
task_free (const State *state, Task *task)
{
  g_clear_pointer (&task->replies, vj_replies_free);
  if (task->unit != NULL)
    state->work->unit_free (task->unit);
  g_free (task->failure);
  g_free (task);
}

static void
draw_free (gpointer data)
{
  Draw *draw = data;
  g_array_unref (draw->slots);
  g_free (draw->key);
  g_free (draw);
}

static void
parcel_free (gpointer data)
{
  Parcel *parcel = data;
  g_clear_pointer (&parcel->request, vj_request_free);
  g_ptr_array_unref (parcel->draws);
  g_free (parcel);
}

static void
state_done (State *state)
{
  for (GList *at = state->tasks.head; at != NULL; at = at->next)
    task_free (state, at->data);
  g_queue_clear (&state->tasks);
  g_queue_clear (&state->ready);
  g_queue_clear_full (&state->outbox, parcel_free);
  g_hash_table_unref (state->parcels);
  g_hash_table_unref (state->draws);
  g_ptr_array_unref (state->fresh);
}

static const char *
stream_of (const VjUnit *unit)
{
  return unit->stream != NULL ? unit->stream : unit->id;
}

static void
report (State *state, VjProgressKind kind)
{
  gint64 now = g_get_monotonic_time ();
  if (kind == VJ_PROGRESS_STEP && now - state->reported < PROGRESS_US)
    return;
  state->reported = now;
  VjProgressEvent event = {.kind = kind, .stage = state->work->title, .unit = state->work->unit,
                           .done = state->work->done + state->settled, .total = state->work->total};
  vj_progress_report (state->host->progress, &event);
}

static gboolean
open_group (State *state, GError **error)
{
  if (vj_store_in_group (state->host->store))
    return TRUE;
  state->group_since = g_get_monotonic_time ();
  return vj_store_begin (state->host->store, error);
}

/* -- asking -------------------------------------------------------------------- */

/* Greedy draws do not depend on their seed: with one and the same they share one key. */
static guint64
seed_of (const State *state, const Task *task, const VjRequest *request, guint number, guint draw)
{
  if (request->sampling.temperature == 0)
    return 0;
  g_autofree char *id = g_strdup_printf ("%s#%u", stream_of (task->unit), number);
  return vj_random_seed_named (state->host->seed, state->work->stage, id, draw);
}

/* A key that is in the ledger fills its slot at once, one in flight gets another slot; a missing one gives a Draw. */
static gboolean
look_up (State *state, const char *key, const Slot *slot, Draw **ret_draw, GError **error)
{
  VjReplyState known = VJ_REPLY_UNKNOWN;
  g_auto (VjStoredReply) reply = {0};
  Draw *draw = g_hash_table_lookup (state->draws, key);

  *ret_draw = NULL;
  if (draw != NULL) {
    g_array_append_val (draw->slots, *slot);
    slot->task->waiting++;
    return TRUE;
  }
  if (!vj_store_reply_lookup (state->host->store, key, &known, &reply, error))
    return FALSE;
  if (known == VJ_REPLY_ANSWERED) {
    if (reply.error != NULL && slot->task->failure == NULL)
      slot->task->failure = g_strdup (reply.error);
    vj_replies_set (slot->task->replies, slot->request, slot->draw, reply.text ? reply.text : "", reply.finish);
    return TRUE;
  }
  if (!open_group (state, error)
      || !vj_store_reply_claim (state->host->store, key, slot->task->unit->id, state->work->stage, error))
    return FALSE;
  draw = g_new0 (Draw, 1);
  draw->key = g_strdup (key);
  draw->slots = g_array_new (FALSE, FALSE, sizeof (Slot));
  g_array_append_val (draw->slots, *slot);
  g_hash_table_insert (state->draws, draw->key, draw);
  slot->task->waiting++;
  *ret_draw = draw;
  return TRUE;
}

/* Looks up every draw of one request; the missing ones make a parcel. */
static gboolean
expand (State *state, Task *task, const VjRequest *request, GError **error)
{
  VjModel *model = task->unit->model;
  guint n = (guint) MAX (request->sampling.n, 1), number = task->requests++;
  g_autofree uint64_t *seeds = g_new (uint64_t, n);
  g_autoptr (GPtrArray) missing = g_ptr_array_new ();

  if (model == NULL)
    return vj_fail (error, VJ_EXIT_RECIPE, "%s: '%s': the plugin asks a model but none is named; add `model:` to its entry",
                    state->work->title, task->unit->id);
  g_autofree char *canonical = vj_request_canonical (request, model->identity, error);
  if (canonical == NULL)
    return FALSE;
  gsize at = vj_replies_add (task->replies, n);
  for (guint i = 0; i < n; i++) {
    guint64 seed = seed_of (state, task, request, number, i);
    g_autofree char *key = vj_request_key (canonical, seed);
    Slot slot = {task, (guint) at, i};
    Draw *draw = NULL;
    if (!look_up (state, key, &slot, &draw, error))
      return FALSE;
    if (draw == NULL)
      continue;
    seeds[missing->len] = seed;
    g_ptr_array_add (missing, draw);
  }
  if (missing->len == 0)
    return TRUE;

  Parcel *parcel = g_new0 (Parcel, 1);
  VjSampling sampling = request->sampling;
  sampling.n = missing->len;
  parcel->ticket = ++state->tickets;
  parcel->model = model;
  parcel->request = vj_request_new (request->messages, request->n_messages, &sampling, seeds);
  parcel->left = missing->len;
  parcel->draws = g_steal_pointer (&missing);
  state->waiting_out += parcel->left;
  g_queue_push_tail (&state->outbox, parcel);
  return TRUE;
}

/* A round of `ask`; the round's `tell` begins the same stream. A task that waits for nothing afterwards is ready. */
static gboolean
ask (State *state, Task *task, GError **error)
{
  const VjWork *work = state->work;
  VjUnit *unit = task->unit;
  g_autoptr (VjAsk) asked = vj_ask_new ();

  if (work->ask != NULL) {
    vj_run_aim (state->host->run, work->stage, stream_of (unit), task->round, 0, task->round);
    VjFlow flow = work->ask (work->self, state->host->run, unit, task->round > 0 ? task->replies : NULL, asked, error);
    if (flow == VJ_FLOW_ERROR)
      return FALSE;
    if (flow == VJ_FLOW_SKIP) {
      if (unit->reason == NULL)
        unit->reason = g_strdup ("the plugin asked nothing");
      task->done = TRUE;
      task->flow = VJ_FLOW_SKIP;
      return TRUE;
    }
  }
  for (guint i = 0; i < asked->requests->len; i++)
    if (!expand (state, task, asked->requests->pdata[i], error))
      return FALSE;
  if (task->waiting == 0)
    g_queue_push_tail (&state->ready, task);
  return TRUE;
}

static gboolean
tell (State *state, Task *task, GError **error)
{
  const VjWork *work = state->work;
  VjUnit *unit = task->unit;

  if (task->failure != NULL) {
    unit->reason = g_strdup ("no answer");
    unit->failure = g_strdup (task->failure);
    task->done = TRUE;
    task->flow = VJ_FLOW_SKIP;
    return TRUE;
  }
  vj_run_aim (state->host->run, work->stage, stream_of (unit), task->round, 0, task->round);
  VjFlow flow = work->tell (work->self, state->host->run, unit, task->replies, error);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  if (flow == VJ_FLOW_MORE) {
    if (++task->round == MAX_ROUNDS)
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: '%s': the plugin asked for more than %d rounds; it never comes to an end",
                      work->title, unit->id, MAX_ROUNDS);
    return ask (state, task, error);
  }
  if (flow == VJ_FLOW_SKIP && unit->reason == NULL)
    unit->reason = g_strdup ("no reason given");
  task->done = TRUE;
  task->flow = flow;
  return TRUE;
}

/* Writes the tasks at the head of the line that are done. */
static gboolean
settle (State *state, GError **error)
{
  for (Task *task; (task = g_queue_peek_head (&state->tasks)) != NULL && task->done;) {
    if (!open_group (state, error) || !state->work->settle (state->work->self, task->unit, task->flow, error))
      return FALSE;
    state->settled++;
    g_queue_pop_head (&state->tasks);
    task_free (state, task);
  }
  report (state, VJ_PROGRESS_STEP);
  return TRUE;
}

/* Takes new units in while the window has room. A slow unit at the head must not let the line grow for ever. */
static gboolean
admit (State *state, GError **error)
{
  while (!state->exhausted && state->in_flight + state->waiting_out < state->window
         && state->tasks.length < 4 * state->window && g_queue_is_empty (&state->ready)) {
    VjUnit *unit = NULL;
    if (!state->work->next (state->work->self, &unit, error))
      return FALSE;
    if (unit == NULL) {
      state->exhausted = TRUE;
      break;
    }
    Task *task = g_new0 (Task, 1);
    task->unit = unit;
    task->replies = vj_replies_new ();
    g_queue_push_tail (&state->tasks, task);
    if (!ask (state, task, error))
      return FALSE;
    if (task->done)
      return settle (state, error);
  }
  return TRUE;
}

/* -- sending and receiving --------------------------------------------------------- */

/* One draw has its reply, text or error: into the ledger, and to every slot that waits for it. */
static gboolean
receive (State *state, Draw *draw, const VjStoredReply *reply, GError **error)
{
  if (!open_group (state, error) || !vj_store_reply_answer (state->host->store, draw->key, reply, error))
    return FALSE;
  for (guint i = 0; i < draw->slots->len; i++) {
    Slot *slot = &g_array_index (draw->slots, Slot, i);
    if (reply->error != NULL && slot->task->failure == NULL)
      slot->task->failure = g_strdup (reply->error);
    vj_replies_set (slot->task->replies, slot->request, slot->draw, reply->text ? reply->text : "", reply->finish);
    g_ptr_array_add (state->fresh, slot->task);
  }
  g_hash_table_remove (state->draws, draw->key);
  return TRUE;
}

/* A request that cannot be sent at all (too long, a broken image) is the fault of one record, not of the run. */
static gboolean
refuse (State *state, Parcel *parcel, const GError *cause, GError **error)
{
  VjStoredReply reply = {.error = cause->message};
  gboolean good = TRUE;
  for (guint i = 0; good && i < parcel->draws->len; i++)
    good = receive (state, parcel->draws->pdata[i], &reply, error);
  parcel_free (parcel);
  return good;
}

static gboolean
submit (State *state, const Parcel *parcel, GError **error)
{
  const VjModel *model = parcel->model;
  gboolean good = VJ_VERB (model->plugin, "submit",
                           model->ops->submit (model->self, state->host->run, parcel->ticket, parcel->request, error));
  return vj_verb_good (model->plugin, "submit", good, error);
}

static gboolean
send_all (State *state, GError **error)
{
  for (Parcel *parcel; (parcel = g_queue_pop_head (&state->outbox)) != NULL;) {
    g_autoptr (GError) cause = NULL;
    state->waiting_out -= parcel->left;
    if (!submit (state, parcel, &cause)) {
      if (vj_error_exit (cause) == VJ_EXIT_DATA) { /* kept as any reply is, so nothing else may be one */
        if (!refuse (state, parcel, cause, error))
          return FALSE;
        continue;
      }
      parcel_free (parcel);
      g_propagate_error (error, g_steal_pointer (&cause));
      return FALSE;
    }
    parcel->model->in_flight += parcel->left;
    state->in_flight += parcel->left;
    g_clear_pointer (&parcel->request, vj_request_free);
    g_hash_table_insert (state->parcels, &parcel->ticket, parcel);
  }
  return TRUE;
}

/* Commits; then replies are durable and their tasks may be told, and claims are durable and may be sent. */
static gboolean
flush (State *state, GError **error)
{
  if (vj_store_in_group (state->host->store) && !vj_store_commit (state->host->store, error))
    return FALSE;
  for (guint i = 0; i < state->fresh->len; i++) {
    Task *task = state->fresh->pdata[i];
    if (--task->waiting == 0)
      g_queue_push_tail (&state->ready, task);
  }
  g_ptr_array_set_size (state->fresh, 0);
  return send_all (state, error);
}

static gboolean
flush_is_due (const State *state)
{
  if (!vj_store_in_group (state->host->store))
    return FALSE;
  if (g_get_monotonic_time () - state->group_since >= GROUP_US)
    return TRUE;
  if (state->ready.length > 0)
    return FALSE;
  return state->in_flight == 0 || (state->outbox.length > 0 && state->in_flight < state->window / 2);
}

/* The next model in turn that has something in flight; NULL when none has. */
static VjModel *
whose_turn (State *state)
{
  gsize n = 0;
  while (vj_models_at (state->host->models, n) != NULL)
    n++;
  for (gsize i = 1; i <= n; i++) {
    VjModel *model = vj_models_at (state->host->models, (state->turn + i) % n);
    if (model->in_flight > 0) {
      state->turn = (guint) ((state->turn + i) % n);
      return model;
    }
  }
  return NULL;
}

/* Waits for one reply. */
static gboolean
poll_one (State *state, GError **error)
{
  VjReply reply = {0};
  VjModel *model = whose_turn (state);
  VjFlow flow;

  if (model == NULL)
    return vj_fail (error, VJ_EXIT_BUG, "%s: draws are in flight but no model has any", state->work->title);
  flow = VJ_VERB (model->plugin, "poll", model->ops->poll (model->self, state->host->run, &reply, error));
  flow = vj_verb_flow (model->plugin, "poll", flow, VJ_FLOWS_POLL, error);
  if (flow == VJ_FLOW_ERROR)
    return FALSE;
  Parcel *parcel = flow == VJ_FLOW_OK ? g_hash_table_lookup (state->parcels, &reply.ticket) : NULL;
  Draw *draw = parcel != NULL && reply.draw < parcel->draws->len ? parcel->draws->pdata[reply.draw] : NULL;
  g_autofree char *text = reply.text, *failure = reply.error;
  if (draw == NULL || (text == NULL) == (failure == NULL))
    return vj_fail (error, VJ_EXIT_BACKEND, "%s: backend: %s; report it to the backend's author", state->work->title,
                    flow == VJ_FLOW_OK ? "a reply that nobody waits for, or neither text nor error"
                                       : "it says that nothing is queued, but draws are in flight");
  parcel->draws->pdata[reply.draw] = NULL;
  parcel->left--;
  model->in_flight--;
  state->in_flight--;
  VjStoredReply stored = {.text = text, .error = failure, .finish = reply.finish, .prompt_tokens = reply.prompt_tokens,
                          .completion_tokens = reply.completion_tokens};
  gboolean good = receive (state, draw, &stored, error);
  if (parcel->left == 0)
    g_hash_table_remove (state->parcels, &reply.ticket);
  return good;
}

/* One turn of the loop; *ret_over when nothing is left to do. */
static gboolean
turn (State *state, gboolean *ret_over, GError **error)
{
  if (!vj_scheduler_go_on (state->host->stop, error))
    return FALSE;
  for (Task *task; (task = g_queue_pop_head (&state->ready)) != NULL;)
    if (!tell (state, task, error))
      return FALSE;
  if (!settle (state, error) || !admit (state, error))
    return FALSE;
  if (flush_is_due (state) && !flush (state, error))
    return FALSE;
  if (!g_queue_is_empty (&state->ready))
    return TRUE;
  if (state->in_flight > 0)
    return poll_one (state, error);
  *ret_over = state->exhausted && state->tasks.length == 0 && !vj_store_in_group (state->host->store);
  return TRUE;
}

gboolean
vj_scheduler_run (const VjScheduler *scheduler, const VjWork *work, GError **error)
{
  State state = {.host = scheduler, .work = work, .window = scheduler->window ? scheduler->window : WINDOW};
  gboolean good = TRUE, over = FALSE;

  g_queue_init (&state.tasks);
  g_queue_init (&state.ready);
  g_queue_init (&state.outbox);
  state.draws = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, draw_free);
  state.parcels = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, parcel_free);
  state.fresh = g_ptr_array_new ();
  report (&state, VJ_PROGRESS_BEGIN);
  while (good && !over)
    good = turn (&state, &over, error);
  if (good)
    report (&state, VJ_PROGRESS_END);
  /* What was answered before the failure is worth keeping; a store that failed refuses, which is fine. */
  else if (vj_store_in_group (scheduler->store) && !vj_store_commit (scheduler->store, NULL))
    vj_store_rollback (scheduler->store);
  state_done (&state);
  return good;
}
