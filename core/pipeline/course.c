/* Stage `course` of pretraining: lessons drafted by sources, whose gold is the target text. Nothing else ever trains
 * on gold. Lessons are procedural and many, so they are drafted anew when an interrupted course goes on, not stored. */
#include "pipeline/context.h"

static gboolean
add_lesson (const VjDraft *draft, const char *plugin, VjCourse *course, GError **error)
{
  if (draft->gold == NULL)
    return vj_fail (error, VJ_EXIT_PLUGIN, "source '%s': a lesson has no target text; a lesson is a question with gold",
                    plugin);
  VjMessage messages[] = {
    {.speaker = VJ_SPEAKER_USER,
     .text = draft->prompt,
     .images = (const VjImage *const *) draft->images->pdata,
     .n_images = draft->images->len},
    {.speaker = VJ_SPEAKER_ASSISTANT, .text = draft->gold},
  };
  vj_course_add (course, messages, G_N_ELEMENTS (messages));
  return TRUE;
}

static gboolean
add_lessons (VjContext *context, const VjStep *step, gsize number, VjCourse *course, guint64 *count, guint64 total,
             GError **error)
{
  const VjRecipePlugin *entry = &context->recipe->courses[step->index].lessons[number];
  g_autofree char *stream = g_strdup_printf ("course %u/lessons.%zu", step->index + 1, number);
  g_auto (VjDrafter) drafter = {0};

  if (!vj_drafter_init (&drafter, context, entry, stream, "", error))
    return FALSE;
  for (;;) {
    g_autofree char *id = NULL;
    if (!vj_scheduler_go_on (context->stop, error))
      return FALSE;
    VjFlow flow = vj_drafter_next (&drafter, context, &id, error);
    if (flow == VJ_FLOW_ERROR || flow == VJ_FLOW_END)
      return flow == VJ_FLOW_END;
    if (flow != VJ_FLOW_OK) {
      g_autofree char *problem = vj_draft_problem (drafter.draft);
      return vj_fail (error, VJ_EXIT_DATA, "source '%s': lesson %" G_GUINT64_FORMAT ": %s; mend it: a lesson is never left out",
                      entry->name, drafter.index - 1, problem);
    }
    if (!add_lesson (drafter.draft, entry->name, course, error))
      return FALSE;
    if (++*count % 500 == 0)
      vj_context_progress (context, step, VJ_PROGRESS_STEP, "lessons", *count, total, NULL);
  }
}

static gboolean
fill_course (VjContext *context, const VjStep *step, gpointer data, VjCourse *course, GError **error)
{
  const VjRecipeCourse *entry = &context->recipe->courses[step->index];
  guint64 *count = data, total = 0;

  for (gsize i = 0; i < entry->n_lessons; i++)
    total += entry->lessons[i].count > 0 ? (guint64) entry->lessons[i].count : 0;
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "lessons", 0, total, NULL);
  /* One group, so that lessons with a fault are not taken for the run's before they are mended. */
  if (!vj_store_in_group (context->store) && !vj_store_begin (context->store, error))
    return FALSE;
  for (gsize i = 0; i < entry->n_lessons; i++)
    if (!add_lessons (context, step, i, course, count, total, error))
      return FALSE;
  if (!vj_store_commit (context->store, error))
    return FALSE;
  vj_context_progress (context, step, VJ_PROGRESS_END, "lessons", *count, *count, NULL);
  vj_context_progress (context, step, VJ_PROGRESS_BEGIN, "steps", 0, 0, NULL);
  return TRUE;
}

gboolean
vj_work_course (VjContext *context, const VjStep *step, GError **error)
{
  const VjRecipe *recipe = context->recipe;
  gboolean first = step->index == 0, last = step->index + 1 == recipe->n_courses;
  g_autofree char *before = first ? g_strdup (recipe->pretrain_init) : vj_context_model_dir (context, step->index, FALSE);
  g_autofree char *output = vj_context_model_dir (context, step->iteration, last);
  g_autofree char *before_state = first ? NULL : vj_context_state_file (context, step->index);
  g_autofree char *state = vj_context_state_file (context, step->iteration);
  guint64 lessons = 0;
  VjCourseConfig config = {.model = before,
                           .fresh = first,
                           .seed = vj_random_seed_named (recipe->seed, "weights", NULL, 0),
                           .state = before_state,
                           .output = output,
                           .checkpoint = state,
                           .dtype = recipe->pretrain_dtype};

  /* The trainer reads that directory itself. */
  return (first || vj_made_check (context, before, NULL, error)) && vj_step_begin (context, step, 0, error)
         && vj_context_train (context, step, &recipe->courses[step->index].train, &config, fill_course, &lessons, error)
         && vj_made_note (context, output, error)
         && vj_step_end (context, step, (gint64) lessons, (gint64) lessons, error);
}
