/* Whether an option table can be trusted: a plugin author's slip is told before a recipe meets it. */
#include "recipe/options-private.h"

#include <math.h>
#include <string.h>

#define OPTIONS_MAX 256 /* a table that goes on longer has lost its end row */

static gsize
size_of (VjOptionType type)
{
  switch (type) {
  case VJ_OPTION_INT:
  case VJ_OPTION_CHOICE:
    return sizeof (int64_t);
  case VJ_OPTION_REAL:
    return sizeof (double);
  case VJ_OPTION_BOOL:
    return sizeof (gboolean);
  case VJ_OPTION_STRING:
  case VJ_OPTION_PATH:
  case VJ_OPTION_LIST:
    return sizeof (char *);
  }
  return 0;
}

static gboolean
name_is_sound (const char *name)
{
  return g_ascii_islower (*name) && strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen (name)
         && strlen (name) <= 64;
}

/* The fault of one row by itself, static; NULL: none. */
static const char *
row_fault (const VjOption *option, gsize instance_size)
{
  gsize size = size_of (option->type);
  if (!name_is_sound (option->name))
    return "its name must be a-z, 0-9 and _, beginning with a letter";
  if (size == 0)
    return "its type is not one of VjOptionType";
  if (option->doc == NULL || *option->doc == '\0')
    return "it has no doc; say in one sentence what it does";
  if (option->size != size)
    return "its member has the wrong size for its type";
  if (option->offset > instance_size || size > instance_size - option->offset || option->offset % size != 0)
    return "its member lies outside the instance or is not aligned";
  if ((option->type == VJ_OPTION_INT || option->type == VJ_OPTION_REAL)
      && !(isfinite (option->min) && isfinite (option->max) && option->min <= option->max))
    return "min and max must be finite, min at most max";
  if (option->type == VJ_OPTION_CHOICE && (option->choices == NULL || option->choices[0] == NULL))
    return "a choice needs choices";
  return NULL;
}

static gboolean
preset_is_sound (const VjOption *option, gsize instance_size, const char *where, GError **error)
{
  if (option->preset == NULL)
    return TRUE;
  g_autofree void *scratch = g_malloc0 (instance_size);
  g_autofree char *fault = vj_option_set_text (option, scratch, option->preset, "/");
  const VjOption table[] = {*option, VJ_OPTION_END};
  vj_options_clear (table, scratch);
  return fault == NULL || vj_fail (error, VJ_EXIT_PLUGIN, "%s: option '%s': its preset is %s; mend the table", where, option->name, fault);
}

/* Against the rows before it. */
static const char *
pair_fault (const VjOption *a, const VjOption *b)
{
  if (strcmp (a->name, b->name) == 0)
    return "two options have this name";
  if (a->offset < b->offset + b->size && b->offset < a->offset + a->size)
    return "it shares its member with another option";
  return NULL;
}

gboolean
vj_options_sound (const VjOption *options, gsize instance_size, const char *where, GError **error)
{
  for (guint i = 0; options != NULL && options[i].name != NULL; i++) {
    const char *fault = i == OPTIONS_MAX ? "the table has more than 256 rows; end it by VJ_OPTION_END"
                                         : row_fault (&options[i], instance_size);
    for (guint j = 0; fault == NULL && j < i; j++)
      fault = pair_fault (&options[i], &options[j]);
    if (fault != NULL)
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: option '%.64s': %s; mend the table", where, options[i].name, fault);
    if (!preset_is_sound (&options[i], instance_size, where, error))
      return FALSE;
  }
  return TRUE;
}
