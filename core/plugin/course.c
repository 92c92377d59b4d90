/* VjCourse: what a trainer trains on, from and to. */
#include "plugin/host.h"

typedef struct {
  VjMessage *messages;
  gsize n;
} Example;

struct VjCourse {
  VjCourseConfig config; /* strings owned */
  GArray *examples;      /* of Example */
};

static void
example_clear (gpointer data)
{
  Example *example = data;
  vj_messages_free (example->messages, example->n);
}

VjCourse *
vj_course_new (const VjCourseConfig *config)
{
  VjCourse *course = g_new0 (VjCourse, 1);
  course->config = *config;
  course->config.model = g_strdup (config->model);
  course->config.state = g_strdup (config->state);
  course->config.output = g_strdup (config->output);
  course->config.checkpoint = g_strdup (config->checkpoint);
  course->config.dtype = g_strdup (config->dtype);
  course->examples = g_array_new (FALSE, TRUE, sizeof (Example));
  g_array_set_clear_func (course->examples, example_clear);
  return course;
}

void
vj_course_free (VjCourse *course)
{
  if (course == NULL)
    return;
  g_array_unref (course->examples);
  g_free ((char *) course->config.model);
  g_free ((char *) course->config.state);
  g_free ((char *) course->config.output);
  g_free ((char *) course->config.checkpoint);
  g_free ((char *) course->config.dtype);
  g_free (course);
}

void
vj_course_add (VjCourse *course, const VjMessage *messages, gsize n_messages)
{
  Example example = {.messages = vj_messages_copy (messages, n_messages), .n = n_messages};
  g_array_append_val (course->examples, example);
}

size_t
vj_course_count (const VjCourse *course)
{
  return course->examples->len;
}

const VjMessage *
vj_course_example (VjCourse *course, size_t index, size_t *ret_n_messages)
{
  if (index >= course->examples->len) {
    *ret_n_messages = 0;
    return NULL;
  }
  const Example *example = &g_array_index (course->examples, Example, index);
  *ret_n_messages = example->n;
  return example->messages;
}

const char *
vj_course_model (const VjCourse *course)
{
  return course->config.model;
}

gboolean
vj_course_fresh (const VjCourse *course, uint64_t *ret_seed)
{
  if (course->config.fresh && ret_seed != NULL)
    *ret_seed = course->config.seed;
  return course->config.fresh;
}

const char *
vj_course_state (const VjCourse *course)
{
  return course->config.state;
}

const char *
vj_course_output (const VjCourse *course)
{
  return course->config.output;
}

const char *
vj_course_checkpoint (const VjCourse *course)
{
  return course->config.checkpoint;
}

const char *
vj_course_dtype (const VjCourse *course)
{
  return course->config.dtype;
}

void
vj_course_step (VjCourse *course, size_t step, size_t steps, double loss, double learning_rate, double grad_norm)
{
  if (course->config.step != NULL)
    course->config.step (course->config.data, step, steps, loss, learning_rate, grad_norm);
}
