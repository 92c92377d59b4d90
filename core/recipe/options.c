/* Option tables at work: presets, then the recipe, then the host's overrides. */
#include "recipe/options.h"
#include "base/log.h"
#include "base/nearest.h"
#include "recipe/options-private.h"
#include "recipe/problems.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static void *
member (void *instance, const VjOption *option)
{
  return (char *) instance + option->offset;
}

gboolean
vj_option_required (const VjOption *option)
{
  switch (option->type) {
  case VJ_OPTION_STRING:
  case VJ_OPTION_LIST:
    return FALSE;
  case VJ_OPTION_PATH:
    return option->preset == NULL && !option->optional;
  default:
    return option->preset == NULL;
  }
}

const char *
vj_option_type_name (VjOptionType type)
{
  static const char *const names[] = {"integer", "number", "true or false", "text", "path", "choice", "list"};
  return (guint) type < G_N_ELEMENTS (names) ? names[type] : "unknown";
}

char *
vj_option_range (const VjOption *option)
{
  char lo[32], hi[32];
  const char *unit = option->unit != NULL ? option->unit : "";
  g_ascii_formatd (lo, sizeof lo, "%.12g", option->min);
  g_ascii_formatd (hi, sizeof hi, "%.12g", option->max);
  g_autofree char *all = option->choices != NULL ? g_strjoinv (", ", (char **) option->choices) : NULL;
  switch (option->type) {
  case VJ_OPTION_INT:
    return g_strdup_printf ("an integer from %s to %s%s%s", lo, hi, *unit != '\0' ? " " : "", unit);
  case VJ_OPTION_REAL:
    return g_strdup_printf ("a number from %s to %s%s%s", lo, hi, *unit != '\0' ? " " : "", unit);
  case VJ_OPTION_BOOL:
    return g_strdup ("true or false");
  case VJ_OPTION_STRING:
    return g_strdup ("text");
  case VJ_OPTION_PATH:
    return g_strdup ("a path");
  case VJ_OPTION_CHOICE:
    return g_strdup_printf ("one of %s", all);
  case VJ_OPTION_LIST:
    return all != NULL ? g_strdup_printf ("a list of %s", all) : g_strdup ("a list of texts");
  }
  return g_strdup ("");
}

/* -- values -------------------------------------------------------------------- */

/* The fault of a value for an option, in words that follow the place; NULL: none. */
static char *
wrong (const VjOption *option, const char *shown)
{
  g_autofree char *range = vj_option_range (option);
  return g_strdup_printf ("%s; expected %s", shown, range);
}

static int64_t
choice_index (const VjOption *option, const char *text)
{
  for (int64_t i = 0; option->choices[i] != NULL; i++)
    if (strcmp (option->choices[i], text) == 0)
      return i;
  return -1;
}

/* `shown` stands in the message for `text`, which may be the value of a variable. */
static char *
wrong_choice (const VjOption *option, const char *text, const char *shown)
{
  g_autofree char *hint = vj_nearest_hint (text, option->choices);
  return g_strconcat (shown, hint, NULL);
}

static char *
set_number (const VjOption *option, void *instance, int64_t integer, double real, const char *shown)
{
  double value = option->type == VJ_OPTION_INT ? (double) integer : real;
  if (!(value >= option->min && value <= option->max))
    return wrong (option, shown);
  if (option->type == VJ_OPTION_INT)
    *(int64_t *) member (instance, option) = integer;
  else
    *(double *) member (instance, option) = real;
  return NULL;
}

static void
set_string (const VjOption *option, void *instance, char *text)
{
  char **at = member (instance, option);
  g_free (*at);
  *at = text;
}

/* Takes the list. */
static void
set_list (const VjOption *option, void *instance, char **list)
{
  char ***at = member (instance, option);
  g_strfreev (*at);
  *at = list;
}

static gboolean
item_fits (const VjOption *option, const char *item)
{
  return option->choices == NULL || choice_index (option, item) >= 0;
}

static char *
set_choice (const VjOption *option, void *instance, const char *text, const char *shown)
{
  int64_t index = choice_index (option, text);
  if (index < 0)
    return wrong_choice (option, text, shown);
  *(int64_t *) member (instance, option) = index;
  return NULL;
}

static char *
set_list_text (const VjOption *option, void *instance, const char *text)
{
  g_auto (GStrv) list = *text != '\0' ? g_strsplit (text, ",", -1) : g_new0 (char *, 1);
  for (guint i = 0; list[i] != NULL; i++) {
    if (item_fits (option, g_strstrip (list[i])))
      continue;
    g_autofree char *item = vj_text_excerpt (list[i], 60), *shown = g_strdup_printf ("'%s'", item);
    return wrong_choice (option, list[i], shown);
  }
  set_list (option, instance, g_steal_pointer (&list));
  return NULL;
}

char *
vj_option_set_text (const VjOption *option, void *instance, const char *text, const char *directory)
{
  g_autofree char *head = vj_text_excerpt (text, 60), *shown = g_strdup_printf ("'%s'", head);
  gint64 integer = 0;
  char *end = NULL;
  double real;
  switch (option->type) {
  case VJ_OPTION_INT:
    if (!g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, &integer, NULL))
      return wrong (option, shown);
    return set_number (option, instance, integer, 0, shown);
  case VJ_OPTION_REAL:
    real = g_ascii_strtod (text, &end);
    if (end == text || *end != '\0' || !isfinite (real))
      return wrong (option, shown);
    return set_number (option, instance, 0, real, shown);
  case VJ_OPTION_BOOL:
    if (strcmp (text, "true") != 0 && strcmp (text, "false") != 0)
      return wrong (option, shown);
    *(gboolean *) member (instance, option) = *text == 't';
    return NULL;
  case VJ_OPTION_STRING:
    set_string (option, instance, g_strdup (text));
    return NULL;
  case VJ_OPTION_PATH:
    set_string (option, instance, g_canonicalize_filename (text, directory));
    return NULL;
  case VJ_OPTION_CHOICE:
    return set_choice (option, instance, text, shown);
  case VJ_OPTION_LIST:
    return set_list_text (option, instance, text);
  }
  return wrong (option, shown);
}

/* A value that has text where another kind was due: the usual slips get their remedy. */
static char *
wrong_kind (const VjOption *option, const VjNode *node)
{
  static const char *const yes[] = {"yes", "Yes", "YES", "on", "On", "ON", "y", "Y", NULL};
  static const char *const no[] = {"no", "No", "NO", "off", "Off", "OFF", "n", "N", NULL};
  g_autofree char *shown = vj_problem_value (node);
  g_autofree char *fault = wrong (option, shown);
  const char *text = node->text != NULL ? node->text : "";
  if (option->type == VJ_OPTION_BOOL && (g_strv_contains (yes, text) || g_strv_contains (no, text)))
    return g_strdup_printf ("%s; YAML 1.2 reads %s as text: write %s", fault, shown, g_strv_contains (yes, text) ? "true" : "false");
  if ((option->type == VJ_OPTION_STRING || option->type == VJ_OPTION_PATH) && node->children == NULL && node->kind != VJ_NODE_NULL)
    return g_strdup_printf ("%s; it reads as %s: quote it", fault, vj_node_kind_name (node->kind));
  if ((option->type == VJ_OPTION_INT || option->type == VJ_OPTION_REAL) && node->kind == VJ_NODE_STRING
      && strpbrk (text, "0123456789") != NULL)
    return g_strdup_printf ("%s; write a bare number, without quotes, separators or unit", fault);
  if (option->type == VJ_OPTION_LIST && node->kind == VJ_NODE_STRING) {
    const char *quote = text[strcspn (text, "[]{},:#&*!|>'\"%@` \n")] != '\0' ? "'" : "";
    return g_strdup_printf ("%s; write [%s%s%s]", fault, quote, node->expanded ? "..." : text, quote);
  }
  return g_steal_pointer (&fault);
}

static char *
set_list_node (const VjOption *option, void *instance, const VjNode *node)
{
  g_autoptr (GStrvBuilder) list = g_strv_builder_new ();
  for (guint i = 0; i < node->children->len; i++) {
    const VjNode *item = node->children->pdata[i];
    g_autofree char *shown = vj_problem_value (item);
    if (item->kind != VJ_NODE_STRING)
      return g_strdup_printf ("item %u is %s; expected text%s", i, shown, item->children == NULL ? "; quote it" : "");
    if (!item_fits (option, item->text))
      return wrong_choice (option, item->text, shown);
    g_strv_builder_add (list, item->text);
  }
  set_list (option, instance, g_strv_builder_end (list));
  return NULL;
}

char *
vj_option_set_node (const VjOption *option, void *instance, const VjNode *node)
{
  g_autofree char *shown = vj_problem_value (node);
  switch (option->type) {
  case VJ_OPTION_INT:
    if (node->kind != VJ_NODE_INT)
      return wrong_kind (option, node);
    return set_number (option, instance, node->integer, 0, shown);
  case VJ_OPTION_REAL:
    if (node->kind != VJ_NODE_INT && node->kind != VJ_NODE_REAL)
      return wrong_kind (option, node);
    return set_number (option, instance, 0, node->real, shown);
  case VJ_OPTION_BOOL:
    if (node->kind != VJ_NODE_BOOL)
      return wrong_kind (option, node);
    *(gboolean *) member (instance, option) = node->boolean;
    return NULL;
  case VJ_OPTION_STRING:
    if (node->kind != VJ_NODE_STRING)
      return wrong_kind (option, node);
    set_string (option, instance, g_strdup (node->text));
    return NULL;
  case VJ_OPTION_PATH:
    if (node->kind != VJ_NODE_STRING || *node->text == '\0')
      return wrong_kind (option, node);
    set_string (option, instance, g_canonicalize_filename (node->text, node->origin->directory));
    return NULL;
  case VJ_OPTION_CHOICE:
    if (node->children != NULL || node->kind == VJ_NODE_NULL)
      return wrong_kind (option, node);
    return set_choice (option, instance, node->text, shown);
  case VJ_OPTION_LIST:
    if (node->kind != VJ_NODE_SEQUENCE)
      return wrong_kind (option, node);
    return set_list_node (option, instance, node);
  }
  return wrong_kind (option, node);
}

/* -- filling ------------------------------------------------------------------- */

static const VjOption *
find (const VjOption *options, const char *name)
{
  for (; options != NULL && options->name != NULL; options++)
    if (strcmp (options->name, name) == 0)
      return options;
  return NULL;
}

static char *
hint_of_keys (const VjOption *options, const char *const *host, const char *word)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 0; host != NULL && host[i] != NULL; i++)
    g_ptr_array_add (names, (gpointer) host[i]);
  for (; options != NULL && options->name != NULL; options++)
    g_ptr_array_add (names, (gpointer) options->name);
  g_ptr_array_add (names, NULL);
  return vj_nearest_hint (word, (const char *const *) names->pdata);
}

static const char *
overridden (const char *const *overrides, const char *name)
{
  const char *value = NULL;
  for (; overrides != NULL && overrides[0] != NULL; overrides += 2)
    if (strcmp (overrides[0], name) == 0)
      value = overrides[1];
  return value;
}

static void
fill_one (const VjOption *option, const VjNode *entry, const char *const *overrides, void *instance, VjProblems *problems)
{
  const char *over = overridden (overrides, option->name);
  const VjNode *node = over == NULL ? vj_node_get (entry, option->name) : NULL;
  const char *directory = entry != NULL ? entry->origin->directory : NULL;
  char *fault = NULL;
  if (node != NULL)
    fault = vj_option_set_node (option, instance, node);
  else if (over != NULL || option->preset != NULL)
    fault = vj_option_set_text (option, instance, over != NULL ? over : option->preset, directory);
  else if (vj_option_required (option)) {
    g_autofree char *range = vj_option_range (option);
    int length = (int) strlen (option->doc) - g_str_has_suffix (option->doc, ".");
    fault = g_strdup_printf ("this option must be given: %.*s; expected %s", length, option->doc, range);
  }
  if (fault == NULL)
    return;
  GError *error = NULL;
  if (node != NULL)
    vj_problem_at (problems, node, "%s", fault);
  else if (entry != NULL)
    vj_problem_missing (problems, entry, option->name, "%s", fault);
  else if (!vj_fail (&error, VJ_EXIT_RECIPE, "%s: %s", option->name, fault))
    vj_problem_error (problems, error);
  g_free (fault);
}

gboolean
vj_options_fill (const VjOption *options, const VjNode *entry, const char *const *host, const char *const *overrides,
                 void *instance, GError **error)
{
  VjProblems problems = {0};
  for (guint i = 0; i < vj_node_length (entry); i++) {
    const VjNode *child = vj_node_at (entry, i);
    if (child->key == NULL || (host != NULL && g_strv_contains (host, child->key)) || find (options, child->key) != NULL)
      continue;
    g_autofree char *hint = hint_of_keys (options, host, child->key);
    vj_problem_at_key (&problems, child, "this key is not known here%s", hint);
  }
  for (const char *const *over = overrides; over != NULL && over[0] != NULL; over += 2) {
    GError *unknown = NULL;
    if (find (options, over[0]) == NULL && !vj_fail (&unknown, VJ_EXIT_RECIPE, "'%s': the plugin has no such option", over[0]))
      vj_problem_error (&problems, unknown);
  }
  for (const VjOption *option = options; option != NULL && option->name != NULL; option++)
    fill_one (option, entry, overrides, instance, &problems);
  if (vj_problems_done (&problems, error))
    return TRUE;
  vj_options_clear (options, instance);
  return FALSE;
}

void
vj_options_clear (const VjOption *options, void *instance)
{
  for (; options != NULL && options->name != NULL; options++) {
    if (options->type == VJ_OPTION_STRING || options->type == VJ_OPTION_PATH)
      g_clear_pointer ((char **) member (instance, options), g_free);
    else if (options->type == VJ_OPTION_LIST)
      g_clear_pointer ((char ***) member (instance, options), g_strfreev);
  }
}
