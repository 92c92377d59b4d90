/* Gathering faults. */
#include "recipe/problems.h"
#include "base/log.h"
#include "recipe/node-private.h"

static void
add (VjProblems *problems, VjExit exit, const char *line)
{
  if (problems->lines == NULL) {
    problems->lines = g_string_new (NULL);
    problems->exit = exit;
  }
  if (problems->count++ < VJ_PROBLEMS_MAX)
    g_string_append_printf (problems->lines, "%s%s", problems->lines->len > 0 ? "\n" : "", line);
}

static void
add_line (VjProblems *problems, const char *place, const char *path, const char *format, va_list args)
{
  g_autofree char *text = g_strdup_vprintf (format, args);
  g_autofree char *line = g_strdup_printf ("%s: %s%s%s", place, path, *path != '\0' ? ": " : "", text);
  add (problems, VJ_EXIT_RECIPE, line);
}

void
vj_problem_at (VjProblems *problems, const VjNode *node, const char *format, ...)
{
  g_autofree char *place = vj_place (node->origin, node->line, node->column);
  g_autofree char *path = vj_node_path (node);
  va_list args;
  va_start (args, format);
  add_line (problems, place, path, format, args);
  va_end (args);
}

void
vj_problem_at_key (VjProblems *problems, const VjNode *node, const char *format, ...)
{
  g_autofree char *place = vj_place (node->origin, node->key_line, node->key_column);
  g_autofree char *path = vj_node_path (node);
  va_list args;
  va_start (args, format);
  add_line (problems, place, path, format, args);
  va_end (args);
}

void
vj_problem_missing (VjProblems *problems, const VjNode *map, const char *key, const char *format, ...)
{
  g_autofree char *place = vj_place (map->origin, map->line, map->column);
  g_autofree char *parent = vj_node_path (map);
  g_autofree char *path = g_strdup_printf ("%s%s%s", parent, *parent != '\0' ? "." : "", key);
  va_list args;
  va_start (args, format);
  add_line (problems, place, path, format, args);
  va_end (args);
}

void
vj_problem_error (VjProblems *problems, GError *error)
{
  add (problems, vj_error_exit (error), error->message);
  g_error_free (error);
}

gboolean
vj_problems_done (VjProblems *problems, GError **error)
{
  if (problems->lines == NULL)
    return TRUE;
  if (problems->count > VJ_PROBLEMS_MAX)
    g_string_append_printf (problems->lines, "\n... and %u more", problems->count - VJ_PROBLEMS_MAX);
  vj_fail (error, problems->exit, "%s", problems->lines->str);
  g_string_free (problems->lines, TRUE);
  problems->lines = NULL;
  return FALSE;
}

char *
vj_problem_value (const VjNode *node)
{
  if (node->text == NULL)
    return g_strdup (vj_node_kind_name (node->kind));
  if (node->expanded)
    return g_strdup ("the variable's value");
  if (node->kind == VJ_NODE_NULL && *node->text == '\0')
    return g_strdup ("nothing");
  g_autofree char *text = vj_text_excerpt (node->text, 60);
  return g_strdup_printf ("'%s'", text);
}
